import { createHash } from 'node:crypto'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  alignConfig,
  answerColumns,
  evalPromptRowSchema,
  preferenceRowSchema,
  promptRowSchema,
  sftRowSchema,
  type TrainerCommand,
  trainerHint,
} from '@plumbline/align/config'
import { type AlignReport, PlumblineError } from '@plumbline/contracts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { saveResolvedConfig } from '../config-file.ts'
import { modelField } from '../fields-of-models.ts'
import { pullShown } from '../open-model.ts'
import { lateProgress, readRows } from '../run-training.ts'
import { version } from '../version.ts'
import type { World } from '../world.ts'

const config = z.object({
  model: modelField,
  output: z.string().min(1).default('runs/align').describe('the folder of all stages and the report'),
  demonstrations: z
    .string()
    .optional()
    .describe('JSON lines with "messages", "prompt" + "completion" or "text"; otherwise the example set'),
  preferences: z
    .string()
    .optional()
    .describe('JSON lines with "prompt", "chosen", "rejected"; otherwise the example set'),
  prompts: z
    .string()
    .optional()
    .describe('JSON lines with "prompt" for PPO, "split": "eval" left out; otherwise the example set'),
  eval_prompts: z
    .string()
    .optional()
    .describe('prompts with "kind": harmful, sensitive or plain, "split": "train" left out; otherwise the example set'),
  ...alignConfig.shape,
})
type Config = z.output<typeof config>

export const align = defineCommand({
  name: 'align',
  summary: 'fine-tuning, reward model, PPO, and a report of what changed',
  description:
    'The main job. It uses the example set, which teaches a model what to refuse and what not, unless you give data of yours. A job that was stopped goes on where it was when the same command is given again.',
  examples: [
    { line: 'plumb align', does: 'the example set, into runs/align' },
    {
      line: 'plumb align --demonstrations d.jsonl --preferences p.jsonl --prompts q.jsonl --eval-prompts e.jsonl --output runs/mine',
      does: 'the same with your own data',
    },
  ],
  config,
  async run(config, world) {
    const report = await alignAndReport(config, world)
    const path = join(resolve(world.cwd, config.output), 'report.html')
    if (world.json) world.emit({ report: path, outcomes: report.outcomes, changes: report.changes })
    else {
      const { bold } = world.color
      const model = join(resolve(world.cwd, config.output), 'ppo', 'model')
      world.stdout.write(`\n${bold('report')}  ${path}\n${bold('model')}   ${model}\n`)
    }
  },
})

const trainingStages = ['sft', 'reward', 'ppo']

const exampleFile = (name: string) => fileURLToPath(new URL(`../../../../examples/refusals/${name}`, import.meta.url))

async function alignAndReport(config: Config, world: World): Promise<AlignReport> {
  const output = resolve(world.cwd, config.output)
  await checkOutput(output)
  const files = {
    demonstrations: config.demonstrations ?? exampleFile('demonstrations.jsonl'),
    preferences: config.preferences ?? exampleFile('preferences.jsonl'),
    prompts: config.prompts ?? exampleFile('prompts.jsonl'),
    eval_prompts: config.eval_prompts ?? exampleFile('prompts.jsonl'),
  }
  const split = { split: z.enum(['train', 'eval']).optional() }
  const prompts = await readRows(files.prompts, promptRowSchema.extend(split), world, {
    hintFor: flagHint,
    without: answerColumns,
  })
  const evalPrompts = await readRows(files.eval_prompts, evalPromptRowSchema.extend(split), world, {
    hintFor: kindHint,
    without: answerColumns,
  })
  const data = {
    demonstrations: await readRows(files.demonstrations, sftRowSchema, world, { hintFor: flagHint }),
    preferences: await readRows(files.preferences, preferenceRowSchema, world, { hintFor: flagHint }),
    prompts: without('eval', prompts, '--prompts'),
    evalPrompts: without('train', evalPrompts, '--eval-prompts'),
  }
  const { path } = await pullShown(config.model, world)
  const [{ checkRunFolder, isDiskFull, lockFolder, openRunFolder, renderReport, runAlign }, { createComputePool }] =
    await Promise.all([import('@plumbline/align'), import('@plumbline/engine')])
  // Before hours of work whose results could not be written. Between the stages, which lock theirs, the job works too.
  const lock = await lockFolder(output, { signal: world.signal, warn: world.log.warn })
  const signal = AbortSignal.any([world.signal, lock.signal])
  const pool = createComputePool()
  try {
    const report = await runAlign(config, path, data, output, await setting(config, files, data, world), {
      checkRun: (stage, resolved, inputs) =>
        checkRunFolder(join(output, stage), {
          command: stage,
          config: resolved,
          inputs,
          startOver: startOver(stage, output),
        }),
      openRun: (stage, resolved, inputs) =>
        openRunFolder(join(output, stage), {
          command: stage,
          config: resolved,
          inputs,
          resume: true,
          now: world.now,
          version,
          writeConfig: (folder) => saveResolvedConfig(folder, stage, resolved),
          // PPO's newest may be of a policy that ran away.
          keep: 2,
          startOver: startOver(stage, output),
          warn: world.log.warn,
          signal,
        }),
      pool,
      signal,
      availableBytes: world.availableMemory,
      log: world.log.info,
      progress: (stage, unit) => lateProgress(stage, unit, world),
      clock: () => performance.now(),
    })
    await writeReplacing(join(output, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
    await writeReplacing(join(output, 'report.html'), renderReport(report))
    return report
  } catch (error) {
    if (!isDiskFull(error)) throw error
    // What the system says of it names neither the folder nor a next step.
    throw new PlumblineError('RUN_NOT_WRITABLE', `${output} cannot be written: the disk or quota is full.`, {
      hint: 'Free some space; the same command goes on from what is there.',
      cause: error,
    })
  } finally {
    pool.dispose()
    await lock.release()
    if (world.signal.aborted)
      world.log.info(`What is done is kept in ${config.output}: the same command goes on from there.`)
  }
}

/** The rows that are not for the other use. */
function without<Row extends { readonly split?: 'train' | 'eval' | undefined }>(
  split: 'train' | 'eval',
  rows: readonly Row[],
  flag: string,
): Row[] {
  const kept = rows.filter((row) => row.split !== split)
  if (kept.length > 0) return kept
  throw new PlumblineError(
    'DATA_EMPTY',
    `${flag}: ${rows.length === 1 ? 'its row says' : `all ${rows.length} rows say`} "split": "${split}", which ${flag} leaves out.`,
    { hint: `Give a file with rows of the other split, or without "split".` },
  )
}

const flagOf: Readonly<Record<TrainerCommand, string>> = {
  'plumb sft': '--demonstrations',
  'plumb reward': '--preferences',
  'plumb ppo': '--prompts',
}
/** Answers with scores are for plumb reward alone: --preferences are pairs. */
const flagHint = (columns: readonly string[]) =>
  trainerHint(columns, (trainer, used) => (used.includes('score') ? trainer : flagOf[trainer]))

/** Held-out prompts look like others, but for what should become of them. */
const kindHint = (columns: readonly string[]) =>
  columns.includes('prompt') && !['kind', ...answerColumns].some((name) => columns.includes(name))
    ? 'Add "kind" to each row: "harmful" for requests to refuse, "sensitive" or "plain" for those to answer.'
    : flagHint(columns)

/** A stage starts from what those before it made, so those after it have to be made again too. */
function startOver(stage: string, output: string): string {
  const folders = trainingStages.slice(trainingStages.indexOf(stage)).map((name) => join(output, name))
  const list = folders.length === 1 ? folders[0] : `${folders.slice(0, -1).join(', ')} and ${folders.at(-1)}`
  return `Remove ${list} and give the same command again: they are made anew. Or give another --output.`
}

/** A job goes on in its own folder; into a folder of something else it writes nothing. */
async function checkOutput(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    if (error.code !== 'ENOTDIR') throw error
    throw new PlumblineError('ALIGN_FOLDER', `${folder}: it, or a part of its path, is a file; a folder is wanted.`, {
      hint: 'Give another --output.',
    })
  })
  const isOurs = await Promise.all(names.map((name) => isOfJob(folder, name, names)))
  const stranger = names.find((_, i) => !isOurs[i])
  if (stranger === undefined) return
  throw new PlumblineError(
    'ALIGN_FOLDER',
    `${folder} holds something that is not of plumb align (there is ${stranger}); nothing was written.`,
    { hint: 'Give a new or an empty folder as --output.' },
  )
}

async function isOfJob(folder: string, name: string, names: readonly string[]): Promise<boolean> {
  const { isLockFile, strangersIn } = await import('@plumbline/align')
  if (isLockFile(name)) return true
  if (trainingStages.includes(name)) {
    return strangersIn(await readdir(join(folder, name)).catch(() => [name])).length === 0
  }
  // No job has a report before it has answers.
  if (/^report\.(?:json|html)(?:\.draft)?$/.test(name)) return names.includes('answers')
  return /^(?:answers|durations\.json(?:\.draft)?)$/.test(name)
}

async function setting(
  config: Config,
  files: Record<string, string>,
  data: Record<string, readonly unknown[]>,
  world: World,
) {
  const roles = {
    demonstrations: 'demonstrations',
    preferences: 'preferences',
    prompts: 'prompts',
    eval_prompts: 'evalPrompts',
  }
  const used = Object.entries(files).map(async ([role, path]) => ({
    role,
    name: basename(path),
    n: data[roles[role as keyof typeof roles]].length,
    sha256: createHash('sha256')
      .update(await readFile(resolve(world.cwd, path)))
      .digest('hex'),
  }))
  return {
    model: config.model,
    created_at: new Date(world.now()).toISOString(),
    hardware: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memory_gb: Math.round(totalmem() / 1e8) / 10,
      accelerator: null,
    },
    data: await Promise.all(used),
    labelAgreement: config.preferences === undefined ? await exampleAgreement() : null,
    config: stringify(config),
    commands: [{ purpose: 'This report, with the configuration as FILE', command: 'plumb align --config FILE' }],
    environment: { plumbline: version, node: process.versions.node },
  }
}

/** How often two readers of the example's pairs decided alike. */
async function exampleAgreement(): Promise<{ n: number; equal: number; kappa: number }> {
  return JSON.parse(await readFile(exampleFile('label-agreement.json'), 'utf8'))
}

async function writeReplacing(path: string, text: string): Promise<void> {
  await writeFile(`${path}.draft`, text)
  await rename(`${path}.draft`, path)
}
