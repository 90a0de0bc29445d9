/**
 * The folder that a training run writes: `--output`.
 *
 *     run.json  config.yaml  metrics.jsonl  samples.jsonl  tensorboard/  checkpoints/step-00000010/  model/
 *
 * A run that ends anywhere, also by kill -9, a power cut or a full disk, resumes from its newest whole checkpoint, and
 * its logs then hold what they would have held without the end.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { Lock } from '@plumbline/models'
import { type Checkpoint, type CheckpointToSave, listCheckpoints, tidyCheckpoints } from './checkpoint.ts'
import { openCheckpoints } from './run-checkpoints.ts'
import { checkConfig, goesFurther, type RunConfig } from './run-config.ts'
import { runWriteError } from './run-files.ts'
import { changedInputs, checkInputs, type RunInputs } from './run-inputs.ts'
import { lockRunFolder } from './run-lock.ts'
import { openRunLogs, type RunLogs, type SampleRow } from './run-logs.ts'
import { type RunRecord, type RunStatus, readRunRecord, writeRunRecord } from './run-record.ts'

export interface OpenRunOptions {
  /** Such as "ppo". */
  command: string
  /** The resolved values by outward name. A run is resumed with the same ones alone, but for those that do no harm. */
  config: RunConfig
  resume?: boolean
  /** What the run starts from. A run is resumed from the same alone, unless `allowChangedInputs`. */
  inputs?: RunInputs
  allowChangedInputs?: boolean
  /** Milliseconds since 1970. */
  now: () => number
  /** Plumbline's. */
  version: string
  /** Writes config.yaml into the folder. */
  writeConfig?: (folder: string) => Promise<void>
  /** How many of the newest checkpoints stay; all when not given. The best one stays beside them. */
  keep?: number | undefined
  /** Which `metric` of a checkpoint is the best. */
  best?: 'lowest' | 'highest' | undefined
  /** The next step, as a sentence, when the run that is there cannot go on as asked; by default another `--output`. */
  startOver?: string
  /** Keys of `config` that may differ on resume, beside those that are known to do no harm. */
  mayDiffer?: readonly string[]
  /** Hears what a person should know: a damaged checkpoint that was skipped, a run that starts from its beginning, a wait. */
  warn?: (text: string) => void
  /** Ends the wait for a folder whose last user may still be at work. */
  signal?: AbortSignal
}

export interface RunFolder {
  readonly path: string
  /** Where the trained model goes. */
  readonly modelFolder: string
  /** Of a finished run nothing but `loadCheckpoint` and `close` may be called. */
  readonly state: 'new' | 'resumed' | 'finished'
  /** Fires with LOCK_LOST when another process took the folder over: stop, and write no more. */
  readonly signal: AbortSignal
  /**
   * The newest whole checkpoint, undefined when there is none. A resumed run calls this before it writes anything: the
   * logs are cut back to the checkpoint here. Throws CHECKPOINT_DAMAGED when none of those that are there is whole.
   */
  loadCheckpoint(): Promise<Checkpoint | undefined>
  /** The checkpoint with the best metric, undefined when none has one. Changes nothing. */
  loadBestCheckpoint(): Promise<Checkpoint | undefined>
  /**
   * A line in metrics.jsonl (`global_step`, `epoch` first) and scalars for TensorBoard, on the disk within two seconds.
   * Log a step, then save it: what is logged after a checkpoint is dropped when the run resumes from it.
   */
  logMetrics(step: number, record: Readonly<Record<string, number>>): void
  /** A line in samples.jsonl for each row, and a table for TensorBoard. */
  logSamples(step: number, rows: readonly SampleRow[]): void
  /** On the disk when this returns; then old ones beyond `keep` go. Throws CHECKPOINT_FAILED. */
  saveCheckpoint(checkpoint: CheckpointToSave): Promise<void>
  /** Ends the run well. `writeModel` gets `modelFolder`, which an earlier, killed end may have filled. */
  finish(options?: { writeModel?: (folder: string) => Promise<void> }): Promise<void>
  /** Notes that the user stopped the run; save a checkpoint before. */
  interrupt(): Promise<void>
  /** Notes why the run ended; an INTERRUPTED error counts as `interrupt`. Never throws: the error is what matters. */
  fail(error: unknown): Promise<void>
  /** Frees the folder; a second call does nothing. */
  close(): Promise<void>
}

/**
 * Opens a run folder: a new one, or with `resume` one that is there. A run that never made a step, as its data were
 * wrong, is in nobody's way: without `resume` a new one takes its place. Throws RUN_FOLDER_NOT_EMPTY, RUN_EXISTS, RUN_IN_USE,
 * RUN_OTHER_COMMAND, CONFIG_DIFFERS, INPUTS_DIFFER, RUN_BROKEN and RUN_NOT_WRITABLE; nothing is changed then.
 */
export async function openRunFolder(path: string, options: OpenRunOptions): Promise<RunFolder> {
  const folder = resolve(path)
  const lock = await lockRunFolder(folder, options)
  try {
    const found = await readRunRecord(folder)
    const before = found && (options.resume || (await hasResults(folder, found))) ? found : undefined
    if (before !== undefined) checkResumable(folder, before, options)
    if (isFinished(before, options.config)) {
      return await openRun({ folder, lock, options, record: before, state: 'finished' })
    }
    await tidy(folder)
    const record = recordOf(options, before)
    await writeRunRecord(folder, record)
    await options.writeConfig?.(folder)
    const state = before === undefined ? 'new' : 'resumed'
    return await openRun({ folder, lock, options, record, state })
  } catch (error) {
    await lock.release()
    throw runWriteError(folder, error)
  }
}

/**
 * Whether the run in the folder is finished, as resuming would find it. Throws RUN_OTHER_COMMAND, CONFIG_DIFFERS and
 * INPUTS_DIFFER as resuming would, long before it is tried, and RUN_BROKEN where the model of a finished run is gone;
 * `inputs` are those that are known by now. Changes nothing.
 */
export async function checkRunFolder(
  path: string,
  options: Pick<OpenRunOptions, 'command' | 'config' | 'startOver' | 'inputs'>,
): Promise<boolean> {
  const folder = resolve(path)
  const before = await readRunRecord(folder)
  if (before === undefined) return false
  const { inputs = {}, config, startOver } = options
  const known = before.inputs && Object.entries(before.inputs).filter(([name]) => Object.hasOwn(inputs, name))
  checkResumable(folder, { ...before, inputs: known && Object.fromEntries(known) }, { ...options, resume: true })
  const isDone = isFinished(before, config)
  if (isDone && (await statOf(join(folder, 'model'))) === undefined)
    throw new PlumblineError('RUN_BROKEN', `The run in ${folder} is finished, and its model is gone.`, {
      hint: startOver ?? 'Put the model back, or start a new run with another --output.',
    })
  return isDone
}

/** Whether nothing is left to do for a run with this configuration. */
function isFinished(before: RunRecord | undefined, config: RunConfig): before is RunRecord {
  return before?.status === 'finished' && !goesFurther(before.config, config)
}

/** Whether a run left something that was computed: a checkpoint, a line of its logs, a model. */
async function hasResults(folder: string, { status, step }: RunRecord): Promise<boolean> {
  if (status === 'finished' || step !== null) return true
  const sizes = ['metrics.jsonl', 'samples.jsonl'].map(async (name) => (await statOf(join(folder, name)))?.size ?? 0)
  if ((await Promise.all(sizes)).some((size) => size > 0)) return true
  const checkpoints = await listCheckpoints(join(folder, 'checkpoints'))
  return checkpoints.length > 0 || (await statOf(join(folder, 'model'))) !== undefined
}

const statOf = (path: string) => stat(path).catch(() => undefined)

/** Fails before anything is written when the run that is there cannot go on as `options` say. */
function checkResumable(folder: string, before: RunRecord, options: Omit<OpenRunOptions, 'now' | 'version'>) {
  const { resume, command, config, inputs, allowChangedInputs, startOver, mayDiffer = [], warn } = options
  if (!resume) {
    throw new PlumblineError(
      'RUN_EXISTS',
      `${folder} holds a run already: plumb ${before.command}, ${describe(before)}.`,
      {
        hint: 'Continue it with --resume, or give another --output.',
      },
    )
  }
  if (before.command !== command) {
    throw new PlumblineError('RUN_OTHER_COMMAND', `${folder} holds a run of plumb ${before.command}, not ${command}.`, {
      hint: `Resume it with plumb ${before.command}, or give another --output.`,
    })
  }
  // Without a checkpoint nothing was computed that another configuration could contradict.
  if (before.step === null) return
  checkConfig(folder, before.config, config, { mayDiffer, startOver })
  if (!before.inputs || !inputs) return
  if (!allowChangedInputs) {
    const hint = startOver ?? 'Put it back as it was, or start a new run with another --output.'
    const hasFlag = allowChangedInputs !== undefined
    const further = hasFlag ? ' --allow-changed-inputs goes on all the same.' : ''
    return checkInputs(folder, before.inputs, inputs, hint + further)
  }
  for (const line of changedInputs(before.inputs, inputs)) warn?.(`Goes on all the same: ${line}.`)
}

/** Nobody holds the lock, so a run that says it is running was killed. */
function describe({ status, step }: RunRecord): string {
  const end = status === 'running' ? 'killed' : status
  return step === null ? `${end}, without a checkpoint` : `${end}, newest checkpoint of step ${step}`
}

/** What a killed process left half done: checkpoints, run.json, the model folder. */
async function tidy(folder: string): Promise<void> {
  await tidyCheckpoints(join(folder, 'checkpoints'))
  for (const name of await readdir(folder)) {
    if (/^\.model\.draft-|^run\.json\.draft$/.test(name)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

function recordOf({ version, command, config, inputs, now }: OpenRunOptions, before: RunRecord | undefined): RunRecord {
  const time = new Date(now()).toISOString()
  return {
    plumbline: version,
    command,
    status: 'running',
    started: before?.started ?? time,
    updated: time,
    pid: process.pid,
    host: hostname(),
    step: before?.step ?? null,
    error: null,
    config: JSON.parse(JSON.stringify(config)),
    ...(inputs && { inputs }),
  }
}

interface Opened {
  folder: string
  lock: Lock
  options: OpenRunOptions
  record: RunRecord
  state: RunFolder['state']
}

async function openRun({ folder, lock, options, record: first, state }: Opened): Promise<RunFolder> {
  const { now, warn = () => {} } = options
  const modelFolder = join(folder, 'model')
  const checkpoints = await openCheckpoints(folder, options)
  let record = first
  let logs: RunLogs | undefined = state === 'new' ? await openRunLogs(folder, undefined, now, warn) : undefined
  const write = async (change: Partial<RunRecord>) => {
    record = { ...record, ...change, updated: new Date(now()).toISOString() }
    await writeRunRecord(folder, record)
  }
  const use = (): RunLogs => {
    lock.signal.throwIfAborted()
    if (logs === undefined) throw new Error(`A ${state} run was written to before its checkpoint was loaded.`)
    return logs
  }
  const end = async (status: RunStatus, error: RunRecord['error'] = null) => {
    lock.signal.throwIfAborted()
    if (state === 'finished') throw new Error('A finished run cannot end again.')
    try {
      await logs?.flush({ sync: true })
    } finally {
      await write({ status, error })
    }
  }
  const ended = (status: RunStatus) => end(status).catch((error) => Promise.reject(runWriteError(folder, error)))
  return {
    path: folder,
    modelFolder,
    state,
    signal: lock.signal,
    async loadCheckpoint() {
      const found = await checkpoints.loadNewest()
      if (state !== 'resumed') return found?.checkpoint
      await logs?.close()
      if (!found) warn(`The run in ${folder} wrote no checkpoint: it starts from step 0.`)
      logs = await openRunLogs(folder, found?.record.logs, now, warn)
      return found?.checkpoint
    },
    loadBestCheckpoint: checkpoints.loadBest,
    logMetrics: (step, values) => guarded(folder, () => use().logMetrics(step, values)),
    logSamples: (step, rows) => guarded(folder, () => use().logSamples(step, rows)),
    async saveCheckpoint(checkpoint) {
      await checkpoints.save(checkpoint, use())
      await write({ step: checkpoint.step }).catch((error) => Promise.reject(runWriteError(folder, error)))
    },
    async finish({ writeModel } = {}) {
      use()
      try {
        await writeModel?.(modelFolder)
      } catch (error) {
        // What is said of any file would send the model to another path; the run goes on here.
        const isWrite = error instanceof PlumblineError && error.code === 'FILE_WRITE_FAILED'
        throw isWrite ? runWriteError(folder, error.cause) : error
      }
      await ended('finished')
    },
    interrupt: () => ended('interrupted'),
    async fail(error) {
      const isStop = error instanceof PlumblineError && error.code === 'INTERRUPTED'
      if (isStop) return end('interrupted').catch(() => {})
      await end('failed', failureOf(error)).catch(() => {})
    },
    async close() {
      const open = logs
      logs = undefined
      try {
        await open?.close()
      } catch (error) {
        throw runWriteError(folder, error)
      } finally {
        await lock.release()
      }
    },
  }
}

function guarded(folder: string, log: () => void): void {
  try {
    log()
  } catch (error) {
    throw runWriteError(folder, error)
  }
}

function failureOf(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: 'UNKNOWN', message: String(error) }
  return { code: error instanceof PlumblineError ? error.code : error.name, message: error.message }
}
