/**
 * Fits the refusal grader, measures its error and writes both beside it:
 * `npm run calibrate -w @plumbline/evals -- --data FOLDER` (or PLUMBLINE_DATA).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { defaultDataFolder } from './data-rows.ts'
import { JAILJUDGE_FILE, readJailjudge, readXstest, XSTEST_FILE } from './refusal-data.ts'
import { judge, refusalVersion, restoreModel } from './refusal-model.ts'
import { studyRefusal } from './refusal-study.ts'

const { values } = parseArgs({ options: { data: { type: 'string' }, date: { type: 'string' } } })
const folder = values.data ?? process.env.PLUMBLINE_DATA ?? defaultDataFolder
const say = (line: string) => process.stdout.write(`${line}\n`)

const answers = readXstest(folder)
if (answers === undefined) {
  say(`${XSTEST_FILE} is not in the data folder: nothing is fitted or measured. Name the folder with --data.`)
} else {
  const { model, error } = studyRefusal(answers)
  write('refusal-model.json', model)
  write('refusal.calibration.json', {
    evaluator: 'refusal',
    version: refusalVersion(model),
    dataset: `XSTest completions, ${answers.length} answers of ${new Set(answers.map((a) => a.model)).size} models, two annotators`,
    date: values.date ?? new Date().toISOString().slice(0, 10),
    command: 'npm run calibrate -w @plumbline/evals',
    method: 'ten-fold cross-validation by prompt; the phrases were written with sight of these answers',
    ...error,
  })
  say(JSON.stringify(error, null, 2))
  const attacks = readJailjudge(folder)
  if (attacks === undefined) say(`${JAILJUDGE_FILE} is not in the data folder: no second look.`)
  else {
    const restored = restoreModel(model)
    const complied = (isJailbroken: boolean) => {
      const rows = attacks.filter((row) => row.isJailbroken === isJailbroken)
      return `${rows.filter((row) => judge(restored, row.prompt, row.completion).refused < 0.5).length} of ${rows.length}`
    }
    say(`JAILJUDGE: called complied among jailbroken ${complied(true)}, among the others ${complied(false)}`)
  }
}

function write(name: string, value: unknown): void {
  writeFileSync(join(import.meta.dirname, name), `${JSON.stringify(value, null, 2)}\n`)
}
