import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { type PlumblineError, type Run, type RunRecordFile, runRecordSchema } from '@plumbline/contracts'
import type { RunPlace } from './find-runs.ts'
import { parseObject, problem, readLastLines, readPlainText } from './plain-file.ts'

/** A run with what run.json says of it. */
export interface KnownRun {
  readonly place: RunPlace
  /** Undefined where run.json cannot be read; `reason` says why then. */
  readonly record: RunRecordFile | undefined
  readonly reason: string | undefined
  /** What the list is sorted by, in milliseconds. */
  readonly startedMs: number
}

const maxRecordBytes = 1 << 20
const tailBytes = 16 * 1024
const longestMessage = 4_000
/** Its process touches the lock every two seconds; another one may take it over after fifteen. */
const silentMs = 30_000

/** Undefined when it has gone. */
export async function readRun(place: RunPlace): Promise<KnownRun | undefined> {
  const path = join(place.folder, 'run.json')
  try {
    const text = await readPlainText(path, maxRecordBytes)
    if (text === undefined) return undefined
    const object = parseObject(text)
    if (object === undefined) throw problem(path, 'is no JSON object')
    const parsed = runRecordSchema.safeParse(object)
    if (!parsed.success) {
      const { path: key, message } = parsed.error.issues[0]
      throw problem(path, `is not what a run writes there: ${key.join('.')}: ${message}`)
    }
    return { place, record: parsed.data, reason: undefined, startedMs: timeOf(Date.parse(parsed.data.started)) }
  } catch (error) {
    const startedMs = timeOf((await lstat(path).catch(() => undefined))?.mtimeMs ?? 0)
    return { place, record: undefined, reason: (error as PlumblineError).message, startedMs }
  }
}

const timeOf = (ms: number) => Math.min(Math.max(0, Math.floor(ms)), Number.MAX_SAFE_INTEGER)

/** How it stands now. */
export async function describeRun({ place, record, reason }: KnownRun, now: number): Promise<Run> {
  const { id, name, folder } = place
  const metrics = join(folder, 'metrics.jsonl')
  const last = await lastStep(metrics)
  if (record === undefined) {
    const error = { code: 'RUN_BROKEN', message: reason ?? '' }
    return { id, name, command: null, status: 'unreadable', ...last, started_at: null, updated_at: null, error }
  }
  const hasEnded = record.status !== 'running'
  const isSilent = !hasEnded && !(await isHeld(folder, now))
  // run.json is written at checkpoints alone.
  const touched = hasEnded ? 0 : ((await lstat(metrics).catch(() => undefined))?.mtimeMs ?? 0)
  return {
    id,
    name,
    command: record.command.slice(0, 100),
    status: isSilent ? 'killed' : record.status,
    ...last,
    started_at: record.started,
    updated_at: new Date(Math.max(touched, Date.parse(record.updated))).toISOString(),
    error: record.error && { ...record.error, message: record.error.message.slice(0, longestMessage) },
  }
}

/** Whether a living process holds the run: whatever the host, it touches the lock. */
async function isHeld(folder: string, now: number): Promise<boolean> {
  const lock = await lstat(join(folder, '.lock')).catch(() => undefined)
  return lock !== undefined && now - lock.mtimeMs < silentMs
}

async function lastStep(metrics: string): Promise<Pick<Run, 'step' | 'epoch'>> {
  const { lines } = await readLastLines(metrics, tailBytes).catch(() => ({ lines: [] }))
  const { global_step: step, epoch } = parseObject(lines.at(-1) ?? '') ?? {}
  return { step: typeof step === 'number' ? step : null, epoch: typeof epoch === 'number' ? epoch : null }
}
