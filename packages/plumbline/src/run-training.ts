import { resolve } from 'node:path'
import type { RunInputs, TrainerWorld } from '@plumbline/align'
import { idleLoraFields, type LoraConfig, trainerHint } from '@plumbline/align/config'
import { z } from 'zod'
import { saveResolvedConfig } from './config-file.ts'
import { dataName, type JsonLinesOptions, readJsonLines } from './json-lines.ts'
import { pullShown, readChatTemplate } from './open-model.ts'
import type { Progress, ProgressOptions } from './progress.ts'
import { version } from './version.ts'
import type { World } from './world.ts'

/** Config fields of every command that trains. */
export const runFields = {
  output: z.string().min(1).describe('the run folder: metrics, checkpoints, samples and the model'),
  resume: z.boolean().default(false).describe('go on with the run that is in the output folder'),
  allow_changed_inputs: z
    .boolean()
    .default(false)
    .describe('with --resume: go on although data or model are not what the run started from'),
  save_total_limit: z.number().int().min(1).default(2).describe('checkpoints to keep, beside the best'),
}

interface RunConfig extends LoraConfig {
  readonly output: string
  readonly resume: boolean
  readonly allow_changed_inputs: boolean
  readonly save_total_limit: number
}

/** Runs `train` in the run folder of `config`, with its progress shown; gives the model's folder. */
export async function runTraining(
  command: string,
  config: RunConfig & Record<string, unknown>,
  inputs: RunInputs,
  world: World,
  train: (trainer: TrainerWorld) => Promise<(folder: string) => Promise<void>>,
): Promise<string> {
  const [{ openRunFolder, runTrainer }, { createComputePool }] = await Promise.all([
    import('@plumbline/align'),
    import('@plumbline/engine'),
  ])
  const idle = idleLoraFields(config).map((name) => `--${name.replaceAll('_', '-')}`)
  if (idle.length > 0)
    world.log.warn(`Without --use-peft all weights are trained: nothing comes of ${idle.join(', ')}.`)
  const { resume, allow_changed_inputs: allowChangedInputs, ...resolved } = config
  let isOpen = false
  const openRun = async () => {
    const run = await openRunFolder(resolve(world.cwd, config.output), {
      command,
      config: resolved,
      inputs,
      resume,
      allowChangedInputs,
      now: world.now,
      version,
      writeConfig: (folder) => saveResolvedConfig(folder, command, config),
      keep: config.save_total_limit,
      best: 'lowest',
      warn: world.log.warn,
      signal: world.signal,
    })
    isOpen = true
    if (resume && run.state === 'new') world.log.warn(`${run.path} holds no run to resume: a new one starts.`)
    return run
  }
  const progress = lateProgress(command, 'steps', world)
  const { signal, log, availableMemory: availableBytes } = world
  const pool = createComputePool()
  try {
    const clock = () => performance.now()
    const run = await runTrainer(
      { openRun, pool, signal, availableBytes, onStep: progress.set, log: log.info, clock },
      train,
    )
    progress.end()
    if (run.state === 'finished') log.info(`${run.path} is finished; nothing to do.`)
    return run.modelFolder
  } finally {
    pool.dispose()
    if (signal.aborted && isOpen)
      log.info(`The run is kept in ${config.output}: the same command with --resume goes on.`)
  }
}

/** A bar that appears with the first call of `set`: only then is it known how long the work is, and where it begins. */
export function lateProgress(title: string, unit: ProgressOptions['unit'], world: World) {
  let progress: Progress | undefined
  return {
    set(done: number, total: number) {
      progress ??= world.progress(title, total, { unit, from: done })
      progress.set(done)
    },
    end: () => progress?.end(),
  }
}

interface Inputs {
  /** By the flag that names them. They are pulled if need be. */
  readonly models: Readonly<Record<string, string>>
  readonly data: Readonly<
    Record<string, { readonly path: string | undefined; readonly rows: readonly unknown[] | undefined }>
  >
  /** The path of a Jinja file. */
  readonly chatTemplate: string | undefined
}

/** What a run starts from, by flag. Throws what is wrong with a model's name or a template's file. */
export async function describeInputs({ models, data, chatTemplate }: Inputs, world: World): Promise<RunInputs> {
  const { describeModel, describeRows, describeText } = await import('@plumbline/align')
  const inputs: Record<string, RunInputs[string]> = {}
  for (const [flag, name] of Object.entries(models))
    inputs[flag] = await describeModel((await pullShown(name, world)).path, name)
  for (const [flag, { path, rows }] of Object.entries(data))
    if (path !== undefined && rows !== undefined) inputs[flag] = describeRows(dataName(path), rows)
  if (chatTemplate !== undefined)
    inputs.chat_template = describeText(chatTemplate, await readChatTemplate(chatTemplate, world))
  return inputs
}

/** All rows of a data file. Rows of another kind may be for another trainer: then it is named. */
export async function readRows<Schema extends z.ZodObject>(
  path: string,
  schema: Schema,
  world: World,
  { hintFor = (columns) => trainerHint(columns), without }: Pick<JsonLinesOptions, 'hintFor' | 'without'> = {},
): Promise<z.output<Schema>[]> {
  const { placeRow } = await import('@plumbline/align')
  const rows: z.output<Schema>[] = []
  for await (const { line, row } of readJsonLines(path, schema, world, { hintFor, without }))
    rows.push(placeRow(row, `${dataName(path)}:${line}`))
  return rows
}
