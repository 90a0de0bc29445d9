/**
 * Checkpoints of a run: `checkpoints/step-00000010/` with `arrays.safetensors` and `state.json`. A checkpoint is there
 * whole or not at all, also after a power cut: it is written beside its place, flushed to the disk, then renamed.
 */
import { createHash, hash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { formatBytes, syncFolder, writeSafetensors } from '@plumbline/models'
import { readArrays } from './checkpoint-arrays.ts'
import { checkJson, type JsonValue } from './json-value.ts'
import { isDiskFull, writeDurably } from './run-files.ts'

/** What a trainer hands over to be kept. */
export interface CheckpointToSave {
  /** Optimizer steps that are done. */
  step: number
  /** Weights, moments and the like by name. They must not change while they are written. */
  arrays: ReadonlyMap<string, Float32Array>
  /** Everything else that the next step depends on: schedule, data position, random state. */
  state: JsonValue
  /** What `best` compares; a checkpoint without one is never the best. */
  metric?: number | undefined
}

/** What a trainer gets back. The arrays can be parameters as they are: shared memory, nothing else refers to them. */
export interface Checkpoint {
  readonly step: number
  readonly arrays: Map<string, Float32Array<SharedArrayBuffer>>
  readonly state: JsonValue
  readonly metric: number | undefined
}

/** How much of each log belongs to a checkpoint, in bytes. What follows is cut off when the run resumes from it. */
export interface LogSizes {
  readonly metrics: number
  readonly samples: number
  /** The event file has its start time in its name. */
  readonly events: { readonly file: string; readonly bytes: number }
}

/** What a checkpoint knows of the run it belongs to. */
export interface CheckpointOrigin {
  readonly command: string
  readonly version: string
  readonly config: { readonly [key: string]: JsonValue }
}

/** The content of state.json. */
export interface CheckpointRecord extends CheckpointOrigin {
  readonly format: 1
  readonly step: number
  readonly metric: number | null
  readonly arrays: { readonly bytes: number; readonly sha256: string }
  readonly logs: LogSizes
  readonly state: JsonValue
}

const arraysName = 'arrays.safetensors'
const stateName = 'state.json'

// Far more than random states and data positions take.
const maxStateBytes = 256 << 20

function checkpointName(step: number): string {
  return `step-${String(step).padStart(8, '0')}`
}

/** Steps of the checkpoints in a folder, oldest first. */
export async function listCheckpoints(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((): string[] => [])
  return names
    .filter((name) => /^step-\d{8,}$/.test(name))
    .map((name) => Number(name.slice('step-'.length)))
    .sort((a, b) => a - b)
}

/** Finishes or takes back what a killed process left half done. */
export async function tidyCheckpoints(folder: string): Promise<void> {
  const names = await readdir(folder).catch((): string[] => [])
  for (const name of names) {
    const [, replaced] = /^\.(step-\d+)\.old$/.exec(name) ?? []
    // Killed between the two renames of a replacement: the old one is the only one of its step.
    if (replaced !== undefined && !names.includes(replaced)) await rename(join(folder, name), join(folder, replaced))
    else if (/^\.step-\d+\.(old|draft)$/.test(name)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

/**
 * Writes a checkpoint; it is on the disk when this returns. An older one of the same step is replaced. When it fails,
 * all others stay as they are. Throws CHECKPOINT_FAILED, and a TypeError for a state that JSON cannot hold.
 */
export async function writeCheckpoint(
  folder: string,
  { step, arrays, state, metric }: CheckpointToSave,
  origin: CheckpointOrigin,
  logs: LogSizes,
): Promise<void> {
  checkJson(state, 'state')
  const draft = join(folder, `.${checkpointName(step)}.draft`)
  try {
    await mkdir(folder, { recursive: true })
    await rm(draft, { recursive: true, force: true })
    await ensureSpace(folder, bytesOf(arrays))
    await mkdir(draft)
    const sha256 = createHash('sha256')
    let bytes = 0
    const onBytes = (chunk: Uint8Array) => {
      sha256.update(chunk)
      bytes += chunk.length
    }
    const tensors = [...arrays].map(([name, data]) => ({ name, shape: [data.length], data }))
    await writeSafetensors(join(draft, arraysName), tensors, { onBytes, sync: true })
    const record: CheckpointRecord = {
      format: 1,
      ...origin,
      step,
      metric: metric !== undefined && Number.isFinite(metric) ? metric : null,
      arrays: { bytes, sha256: sha256.digest('hex') },
      logs,
      state,
    }
    await writeDurably(join(draft, stateName), sealed(record))
    await syncFolder(draft)
    await publish(folder, draft, checkpointName(step))
  } catch (error) {
    await rm(draft, { recursive: true, force: true }).catch(() => {})
    throw await checkpointFailed(folder, { step, arrays }, error)
  }
}

function bytesOf(arrays: ReadonlyMap<string, Float32Array>): number {
  // The header and state.json are small beside the arrays, but not nothing.
  return arrays.values().reduce((sum, { byteLength }) => sum + byteLength, 1 << 20)
}

/** state.json with its own checksum: a flipped digit in a random state would go unseen otherwise. */
function sealed(record: CheckpointRecord): string {
  const text = JSON.stringify(record)
  return `{"sha256":"${hash('sha256', text)}",\n"checkpoint":${text}}\n`
}

async function publish(folder: string, draft: string, name: string): Promise<void> {
  const target = join(folder, name)
  const aside = join(folder, `.${name}.old`)
  const isReplaced = (await stat(target).catch(() => undefined)) !== undefined
  if (isReplaced) await rename(target, aside)
  await rename(draft, target)
  await syncFolder(folder)
  if (isReplaced) await rm(aside, { recursive: true, force: true })
}

/** Knows before a byte is written that a gigabyte will not fit. */
async function ensureSpace(folder: string, needed: number): Promise<void> {
  if (needed > (await freeBytes(folder))) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** The error for a checkpoint that could not be written; one that is not about the disk comes back as it is. */
export async function checkpointFailed(
  folder: string,
  { step, arrays }: Pick<CheckpointToSave, 'step' | 'arrays'>,
  cause: unknown,
): Promise<unknown> {
  const needed = bytesOf(arrays)
  const { code, message } = cause as NodeJS.ErrnoException
  if (cause instanceof PlumblineError || code === undefined) return cause
  const isFull = isDiskFull(cause)
  const free = await freeBytes(folder).catch(() => undefined)
  const space = `${formatBytes(needed)} are needed (${needed} bytes), ${free === undefined ? 'unknown' : `${formatBytes(free)} (${free} bytes)`} are free`
  const why = isFull
    ? `the disk or quota is full, ${space}`
    : code === 'EFBIG'
      ? `the limit on the size of a file is reached, ${space}`
      : message
  const [last] = (await listCheckpoints(folder)).slice(-1)
  const next =
    last === undefined
      ? 'No checkpoint is there yet.'
      : `The one of step ${last} is untouched: --resume continues from it.`
  return new PlumblineError(
    'CHECKPOINT_FAILED',
    `The checkpoint of step ${step} could not be written to ${folder}: ${why}.`,
    {
      hint: `${next} ${isFull ? 'Free some space, lower --save-total-limit, or use an --output on a larger disk.' : 'Check the disk and your rights to the folder.'}`,
      cause,
    },
  )
}

/** Reads what a checkpoint says of itself. Throws CHECKPOINT_DAMAGED. */
export async function readRecord(folder: string, step: number): Promise<CheckpointRecord> {
  const path = join(folder, checkpointName(step), stateName)
  const stats = await stat(path).catch(missing)
  if (stats === undefined) throw damaged(path, 'is missing')
  if (stats.size > maxStateBytes) throw damaged(path, `has ${stats.size} bytes`)
  let file: { sha256?: unknown; checkpoint?: CheckpointRecord } | null
  try {
    file = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    if (cause instanceof SyntaxError) throw damaged(path, 'is not JSON', cause)
    throw cause
  }
  const record = file?.checkpoint
  if (record === undefined || file?.sha256 !== hash('sha256', JSON.stringify(record))) {
    throw damaged(path, 'does not have the content that was written')
  }
  if (record.format !== 1) {
    throw new PlumblineError('CHECKPOINT_VERSION', `${path} was written by plumbline ${record.version}.`, {
      hint: 'Resume with that version or a newer one.',
    })
  }
  return record
}

/** Reads a whole checkpoint and checks every byte. Throws CHECKPOINT_DAMAGED. */
export async function readCheckpoint(folder: string, record: CheckpointRecord): Promise<Checkpoint> {
  const { step, state, metric } = record
  const path = join(folder, checkpointName(step), arraysName)
  const arrays = await readArrays(path, record.arrays)
  if (arrays === undefined) throw damaged(path, 'does not have the content that was written')
  return { step, arrays, state, metric: metric ?? undefined }
}

/** Whether an older checkpoint may help. */
export function isDamaged(error: unknown): error is PlumblineError {
  return error instanceof PlumblineError && error.code === 'CHECKPOINT_DAMAGED'
}

/** The error for a checkpoint that is not what was written. */
function damaged(path: string, what: string, cause?: unknown): PlumblineError {
  return new PlumblineError('CHECKPOINT_DAMAGED', `The checkpoint file ${path} ${what}.`, {
    hint: 'An older checkpoint can be used; if there is none, start again with another --output.',
    cause,
  })
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
  throw error
}

/** Removes a checkpoint. The rename first: a half-removed one must not look like one. */
export async function removeCheckpoint(folder: string, step: number): Promise<void> {
  const name = checkpointName(step)
  const aside = join(folder, `.${name}.draft`)
  await rename(join(folder, name), aside).catch(missing)
  await rm(aside, { recursive: true, force: true })
}
