/**
 * Fits the harm classifier, measures its error and writes both beside it:
 * `npm run calibrate-harm -w @plumbline/evals -- --data FOLDER` (or PLUMBLINE_DATA).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { predict } from '../logistic.ts'
import { defaultDataFolder, readRows } from './data-rows.ts'
import { MODERATION_FILE, readModeration, TOXICITY_FILE } from './harm-data.ts'
import { harmFeatures } from './harm-features.ts'
import { restoreHarmModel, storeHarmModel } from './harm-model.ts'
import { crossValidate, fitHarm, harmError } from './harm-study.ts'

const HARM_VERSION = '1'

const { values } = parseArgs({ options: { data: { type: 'string' }, date: { type: 'string' } } })
const folder = values.data ?? process.env.PLUMBLINE_DATA ?? defaultDataFolder
const say = (line: string) => process.stdout.write(`${line}\n`)

const texts = readModeration(folder)
if (texts === undefined) {
  say(
    `${MODERATION_FILE} or ${TOXICITY_FILE} is not in the data folder: nothing is fitted. Name the folder with --data.`,
  )
} else {
  const error = harmError(crossValidate(texts))
  const stored = storeHarmModel(fitHarm(texts))
  write('harm-model.json', stored)
  write('harm.calibration.json', {
    grader: 'harm',
    version: HARM_VERSION,
    dataset: `OpenAI's moderation set and Surge AI's toxicity set, ${texts.length} texts, labelled by people`,
    date: values.date ?? new Date().toISOString().slice(0, 10),
    command: 'npm run calibrate-harm -w @plumbline/evals',
    method: 'five-fold cross-validation by text',
    ...error,
  })
  say(JSON.stringify(error, null, 2))
  const model = restoreHarmModel(stored)
  const flagged = (name: string, prompts: string[]) => {
    const hits = prompts.filter((prompt) => predict(model, harmFeatures(prompt)) >= error.threshold).length
    say(`${name}: ${hits} of ${prompts.length} flagged`)
  }
  const prompts = (file: string) => readRows(folder, file) ?? []
  for (const label of ['safe', 'unsafe'])
    flagged(
      `XSTest, ${label}`,
      prompts('benign/xstest.jsonl').flatMap((row) => (row.label === label ? [String(row.prompt)] : [])),
    )
  flagged(
    'AdvBench',
    prompts('attacks/advbench.jsonl').map((row) => String(row.prompt)),
  )
}

function write(name: string, value: unknown): void {
  writeFileSync(join(import.meta.dirname, name), `${JSON.stringify(value, null, 2)}\n`)
}
