/** What a run tells while it goes: metrics.jsonl, samples.jsonl and TensorBoard's events. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { syncFolder } from '@plumbline/models'
import { AppendFile } from './append-file.ts'
import type { LogSizes } from './checkpoint.ts'
import type { JsonValue } from './json-value.ts'
import { encodeFileVersion, encodeScalars, encodeTextTable, eventFileName } from './tensorboard.ts'

/** One sampled answer: `prompt`, `completion`, and what a trainer adds (`reward`, `finish_reason`, …). */
export type SampleRow = Readonly<Record<string, JsonValue>>

/** The three open files. */
export interface RunLogs {
  logMetrics(step: number, record: Readonly<Record<string, number>>): void
  logSamples(step: number, rows: readonly SampleRow[]): void
  /** Sizes with everything that was logged so far. */
  readonly sizes: LogSizes
  flush(options?: { sync?: boolean }): Promise<void>
  close(): Promise<void>
}

/**
 * Opens the logs of a run, cut off at `sizes`, or empty without them. `warn` hears of a file that is shorter than it was
 * at the checkpoint: someone changed it, and its lines cannot come back.
 */
export async function openRunLogs(
  path: string,
  sizes: LogSizes | undefined,
  now: () => number,
  warn: (text: string) => void,
): Promise<RunLogs> {
  const board = join(path, 'tensorboard')
  await mkdir(board, { recursive: true })
  const events = sizes?.events ?? { file: eventFileName(now(), hostname(), process.pid), bytes: 0 }
  // Events of a time that the run does not remember would draw a second curve over the first.
  for (const name of await readdir(board)) {
    if (/^events\.out\.tfevents\./.test(name) && name !== events.file) await rm(join(board, name))
  }
  const files: AppendFile[] = []
  const openLog = async (name: string, bytes: number) => {
    const size = (await stat(join(path, name)).catch(() => undefined))?.size ?? 0
    if (size < bytes)
      warn(`${join(path, name)} is shorter than at the checkpoint (${size} of ${bytes} bytes): lines are missing.`)
    const file = await AppendFile.open(join(path, name), bytes)
    files.push(file)
    return file
  }
  try {
    const metrics = await openLog('metrics.jsonl', sizes?.metrics ?? 0)
    const samples = await openLog('samples.jsonl', sizes?.samples ?? 0)
    const board = await openLog(join('tensorboard', events.file), events.bytes)
    if (board.size === 0) board.append(encodeFileVersion(now()))
    await syncFolder(join(path, 'tensorboard'))
    return createLogs({ metrics, samples, board, boardName: events.file, now })
  } catch (error) {
    for (const file of files) await file.close().catch(() => {})
    throw error
  }
}

interface LogFiles {
  metrics: AppendFile
  samples: AppendFile
  board: AppendFile
  boardName: string
  now: () => number
}

function createLogs({ metrics, samples, board, boardName, now }: LogFiles): RunLogs {
  const files = [metrics, samples, board]
  return {
    logMetrics(step, record) {
      const { epoch, ...rest } = record
      const first = epoch === undefined ? { global_step: step } : { global_step: step, epoch }
      metrics.append(`${JSON.stringify({ ...first, ...rest }, nameNonFinite)}\n`)
      board.append(encodeScalars(now(), step, Object.entries(record)))
    },
    logSamples(step, rows) {
      if (rows.length === 0) return
      samples.append(rows.map((row) => `${JSON.stringify({ global_step: step, ...row }, nameNonFinite)}\n`).join(''))
      board.append(encodeTextTable(now(), step, 'samples', tableOf(rows)))
    },
    get sizes() {
      return { metrics: metrics.size, samples: samples.size, events: { file: boardName, bytes: board.size } }
    },
    async flush(options) {
      await Promise.all(files.map((file) => file.flush(options)))
    },
    async close() {
      const closed = await Promise.allSettled(files.map((file) => file.close()))
      for (const result of closed) if (result.status === 'rejected') throw result.reason
    },
  }
}

/**
 * JSON has no NaN. "NaN", "Infinity" and "-Infinity" as text are what protobuf's JSON mapping writes too: every JSON
 * parser takes the line, and `float()` in Python, `Number()` in JavaScript and pandas' read_json make numbers of them.
 */
function nameNonFinite(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

/** Titles, then a row of texts for each sample. */
function tableOf(rows: readonly SampleRow[]): string[][] {
  const titles = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const text = (value: JsonValue | undefined) =>
    value === undefined
      ? ''
      : typeof value === 'string'
        ? value
        : typeof value === 'number'
          ? String(value)
          : JSON.stringify(value)
  return [titles, ...rows.map((row) => titles.map((title) => text(row[title])))]
}
