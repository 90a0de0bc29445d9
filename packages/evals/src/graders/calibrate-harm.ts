/**
 * Fits the harm classifier, measures its error and writes both beside it:
 * `npm run calibrate-harm -w @plumbline/evals -- --data FOLDER` (or PLUMBLINE_DATA).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { hashOf } from '../calibrate.ts'
import { defaultDataFolder, readRows } from './data-rows.ts'
import { MODERATION_FILE, readModeration, TOXICITY_FILE } from './harm-data.ts'
import { countHarm } from './harm-features.ts'
import {
  type HarmHead,
  harmCategories,
  harmScores,
  harmVersion,
  restoreHarmModel,
  storeHarmModel,
} from './harm-model.ts'
import { countTexts, crossValidate, fitHarm, harmErrors } from './harm-study.ts'

const { values } = parseArgs({ options: { data: { type: 'string' }, date: { type: 'string' } } })
const folder = values.data ?? process.env.PLUMBLINE_DATA ?? defaultDataFolder
const say = (line: string) => process.stdout.write(`${line}\n`)

const texts = readModeration(folder)
if (texts === undefined) {
  say(
    `${MODERATION_FILE} or ${TOXICITY_FILE} is not in the data folder: nothing is fitted. Name the folder with --data.`,
  )
} else {
  const counted = countTexts(texts)
  const errors = harmErrors(crossValidate(counted, say))
  const stored = storeHarmModel(fitHarm(counted))
  const record = (evaluator: 'harm' | 'toxicity', head: HarmHead, set: string) => ({
    evaluator,
    version: harmVersion(evaluator, stored, errors[head].threshold),
    dataset: `${set}, ${errors[head].n} texts, labelled by people`,
    data_hash: hashOf(texts.filter(({ labels }) => labels[head] !== undefined)),
    date: values.date ?? new Date().toISOString().slice(0, 10),
    command: 'npm run calibrate-harm -w @plumbline/evals',
    method: 'five-fold cross-validation by text',
    ...errors[head],
  })
  write('harm-model.json', stored)
  write('harm.calibration.json', {
    any: record('harm', 'any', 'OpenAI’s moderation set'),
    toxicity: record('toxicity', 'toxicity', 'Surge AI’s toxicity set of comments'),
    categories: Object.fromEntries(harmCategories.map((category) => [category, errors[category]])),
  })
  say(JSON.stringify(errors, null, 2))
  const model = restoreHarmModel(stored)
  const flagged = (name: string, prompts: string[]) => {
    const hits = prompts.filter((prompt) => harmScores(model, countHarm(prompt)).any >= errors.any.threshold).length
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
