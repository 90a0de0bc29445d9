import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { Calibration, Evaluation, Evaluator } from '@plumbline/evals'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { calibrationLines, evaluatorLines, summaryLines } from '../evaluation-text.ts'
import { dataName } from '../json-lines.ts'
import type { World } from '../world.ts'

const config = z.object({
  evaluator: z
    .string()
    .default('harm')
    .describe('harm, toxicity, refusal, over-refusal, personal-data, groundedness, facts, canary or judge'),
  data: z
    .string()
    .optional()
    .describe('JSON lines with "prompt" and "completion", and what the evaluator needs beside them; - for stdin'),
  output: z.string().min(1).optional().describe('write the rows, or the calibration record, to this file'),
  list: z.boolean().default(false).describe('list the evaluators with their measured error'),
  calibrate: z.boolean().default(false).describe('measure the evaluator against the column "label" of the data'),
  calibration: z.string().optional().describe('a calibration record to use instead of the one that comes along'),
  facts: z.string().optional().describe('JSON lines with "about" and "value": facts that hold for every row'),
  judge_url: z.url().optional().describe('an OpenAI-compatible server, with /v1, for the judge'),
  judge_model: z.string().min(1).max(200).optional().describe('the model that judges'),
  judge_key_env: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/)
    .optional()
    .describe('the environment variable that holds the key of the judge’s server'),
  judge_budget_ms: z.number().int().min(1).max(600_000).default(30_000).describe('longest wait for one verdict'),
  policy: z.string().min(1).max(8_000).optional().describe('what the judge does not allow, in words'),
})
type Config = z.output<typeof config>

/** Answers that a judge is asked about at once. */
const CONCURRENT_ROWS = 4

export const evaluateCommand = defineCommand({
  name: 'evaluate',
  summary: 'harm, refusals, personal data and other findings in given answers',
  description:
    'Each row gets a score, a label and the version that decided; the rate has its 95 % interval and is corrected where the evaluator’s error was measured. Beside prompt and completion, groundedness reads "context", facts "facts" (a list of "about" and "value"), canary "answers", over-refusal "prompt_is_harmful".',
  examples: [
    { line: 'plumb evaluate --evaluator harm --data rows.jsonl --json', does: 'one line a row' },
    { line: 'plumb evaluate --list', does: 'what there is, and how well it was measured to work' },
    {
      line: 'plumb evaluate --evaluator refusal --calibrate --data labelled.jsonl --output mine.json',
      does: 'measures it on answers that people labelled',
    },
    {
      line: 'plumb evaluate --evaluator judge --judge-url http://127.0.0.1:8000/v1 --judge-model m --policy "No medical advice." --data rows.jsonl',
      does: 'asks a model',
    },
  ],
  config,
  async run(config, world) {
    if (config.list) return list(world)
    if (config.data === undefined)
      throw new PlumblineError('USAGE_MISSING', 'There is no data.', {
        hint: 'plumb evaluate --evaluator harm --data rows.jsonl --json',
      })
    const { openEvaluator, readCalibration } = await import('../open-evaluator.ts')
    const { readFacts } = await import('../evaluation-rows.ts')
    const evaluator = openEvaluator(config, world.env)
    const facts = await readFacts(config.facts, world)
    const given = { ...config, data: config.data }
    if (config.calibrate) return measure(evaluator, facts, given, world)
    const record =
      config.calibration === undefined ? undefined : await readCalibration(config.calibration, evaluator, world)
    await evaluateRows(evaluator, record, facts, given, world)
  },
})

type Facts = Awaited<ReturnType<typeof import('../evaluation-rows.ts')['readFacts']>>
type Given = Config & { readonly data: string }

async function evaluateRows(
  evaluator: Evaluator,
  calibration: Calibration | undefined,
  facts: Facts,
  { data, output }: Given,
  world: World,
): Promise<void> {
  const { evaluate, summarise } = await import('@plumbline/evals')
  const { readItems } = await import('../evaluation-rows.ts')
  const rows = await readItems(data, facts, world)
  const evaluations: Evaluation[] = []
  const lines: string[] = []
  const progress = world.progress('evaluate', rows.length, { unit: 'rows' })
  for (let start = 0; start < rows.length; start += CONCURRENT_ROWS) {
    world.signal.throwIfAborted()
    const chunk = rows.slice(start, start + CONCURRENT_ROWS)
    const found = await Promise.all(
      chunk.map(({ item }) => evaluate(evaluator, item, { signal: world.signal, calibration })),
    )
    found.forEach((evaluation, i) => {
      const { id, line } = chunk[i]
      const row = { ...(id === undefined ? {} : { id }), line, ...evaluation }
      evaluations.push(evaluation)
      if (output !== undefined) lines.push(`${JSON.stringify(row)}\n`)
      else if (world.json) world.emit(row)
    })
    progress.set(evaluations.length)
  }
  progress.end()
  if (output !== undefined) await writeFile(resolve(world.cwd, output), lines.join(''))
  const summary = summarise(evaluator, evaluations, calibration)
  if (world.json && output !== undefined) world.emit(summary)
  world.stdout.write(`${summaryLines(summary).join('\n')}\n`)
  const failures = evaluations.flatMap((one) => ('error' in one ? [one.error] : []))
  // A pipeline would take it for a measurement.
  if (failures.length === evaluations.length && failures.length > 0)
    throw new PlumblineError(
      'NOTHING_JUDGED',
      `${evaluator.name} could judge none of ${rows.length} rows. The first: ${failures[0].message}`,
      { hint: 'Mend that and give the same command again.' },
    )
}

async function measure(evaluator: Evaluator, facts: Facts, { data, output }: Given, world: World): Promise<void> {
  const { calibrate } = await import('@plumbline/evals')
  const { readLabelled } = await import('../evaluation-rows.ts')
  const run = await calibrate(evaluator, await readLabelled(data, evaluator, facts, world), {
    dataset: dataName(data),
    date: new Date(world.now()).toISOString().slice(0, 10),
    command: `plumb evaluate --evaluator ${evaluator.name} --calibrate --data ${dataName(data)}`,
    method: 'rows that the evaluator was not fitted to, as far as the caller knows',
    signal: world.signal,
  })
  if (output !== undefined) await writeFile(resolve(world.cwd, output), `${JSON.stringify(run.calibration, null, 2)}\n`)
  if (world.json) world.emit({ ...run.calibration, errors: run.errors, set_aside: run.setAside })
  world.stdout.write(`${calibrationLines(run).join('\n')}\n`)
}

async function list(world: World): Promise<void> {
  const { calibrationOf, evaluators } = await import('@plumbline/evals')
  for (const evaluator of Object.values<Evaluator>(evaluators)) {
    const { name, summary, version, flags, passes, needs = [] } = evaluator
    const calibration = calibrationOf(evaluator)
    if (world.json)
      world.emit({ name, summary, version, flags, passes, needs, calibration: calibration ?? 'uncalibrated' })
    else world.stdout.write(`${evaluatorLines(evaluator, calibration).join('\n')}\n`)
  }
  if (!world.json) world.stdout.write('judge: a model of your own, asked by URL\n')
}
