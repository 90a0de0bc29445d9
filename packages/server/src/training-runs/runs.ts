import { join } from 'node:path'
import { PlumblineError, type Run, type RunDetail, type RunPage, rewardEvaluationSchema } from '@plumbline/contracts'
import { createDiskTurns, type DiskTurns } from './disk-turns.ts'
import { findRuns, isInPlace } from './find-runs.ts'
import { jobOf, readJob } from './job.ts'
import { createMetricsLog } from './metrics-log.ts'
import { parseObject, problem, readPlainText } from './plain-file.ts'
import { describeRun, type KnownRun, readRun } from './run-state.ts'
import { readSamples } from './samples.ts'

/** The training runs that lie in a folder. Nothing is written there. */
export interface Runs {
  list(page: { readonly limit: number; readonly after?: string | undefined }, now: number): Promise<RunPage>
  /** Undefined when there is no such run. Throws RUNS_SLOW. */
  find(id: string, now: number): Promise<RunDetail | undefined>
}

const maxEvaluationBytes = 4 * 2 ** 20
/** A look at the disk is good for so long. */
const lookMs = 1_000
const patienceMs = 5_000
/** Logs whose curves stay in memory: about half a megabyte each. */
const mostLogs = 32

export interface RunsOptions {
  readonly folder: string
  /** What people should know of what is shown, as that it is the demo's. */
  readonly note?: string
  readonly turns?: DiskTurns
}

export function openRuns({ folder, note, turns = createDiskTurns(patienceMs) }: RunsOptions): Runs {
  const look = createLook(folder)
  const logs = createLogs()
  return {
    async list({ limit, after }, now) {
      try {
        return await turns(async () => {
          const { runs: all, limit: reached } = await look()
          const from = after === undefined ? 0 : all.findIndex((run) => isAfter(run, after))
          const shown = from < 0 ? [] : all.slice(from, from + limit)
          const hasMore = from >= 0 && from + limit < all.length
          const data: Run[] = []
          for (const run of shown) if (await isInPlace(run.place)) data.push(await describeRun(run, now))
          const next = hasMore ? cursorOf(shown[shown.length - 1]) : null
          const left = reached && `Not all is shown: the search of the folder ended at its limit of ${reached}.`
          const notes = [note, left].filter((text) => text !== undefined)
          return { data, next, note: notes.join(' ') || null, folder: 'read', reason: null }
        })
      } catch (error) {
        return { data: [], next: null, note: note ?? null, folder: 'unreadable', reason: reasonOf(error) }
      }
    },
    find(id, now) {
      return turns(async () => {
        const { runs: all } = await look().catch(() => ({ runs: [] }))
        const run = all.find(({ place }) => place.id === id)
        if (run === undefined || !(await isInPlace(run.place))) return undefined
        return { ...(await detailOf(run, all, logs, now)), note: note ?? null }
      })
    },
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof PlumblineError) return error.message
  return `The folder of runs cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}.`
}

const cursorOf = ({ startedMs, place }: KnownRun) => `${startedMs}-${place.id}`

/** In the order of the list: newest first, then by id. */
function isAfter({ startedMs, place }: KnownRun, cursor: string): boolean {
  const [ms, id] = cursor.split('-')
  return startedMs < Number(ms) || (startedMs === Number(ms) && place.id > id)
}

interface Seen {
  readonly runs: readonly KnownRun[]
  readonly limit: string | undefined
}

/** Called one at a time. */
function createLook(folder: string): () => Promise<Seen> {
  let last: { readonly at: number; readonly seen: Seen } | undefined
  return async () => {
    if (last === undefined || performance.now() - last.at > lookMs) {
      const seen = await readAll(folder)
      last = { at: performance.now(), seen }
    }
    return last.seen
  }
}

async function readAll(folder: string): Promise<Seen> {
  const runs: KnownRun[] = []
  const { places, limit } = await findRuns(folder)
  for (const place of places) {
    const run = await readRun(place)
    if (run !== undefined) runs.push(run)
  }
  return { runs: runs.sort((a, b) => b.startedMs - a.startedMs || (a.place.id < b.place.id ? -1 : 1)), limit }
}

type Logs = (path: string) => ReturnType<typeof createMetricsLog>

/** Those that were looked at last. */
function createLogs(): Logs {
  const logs = new Map<string, ReturnType<typeof createMetricsLog>>()
  return (path) => {
    const log = logs.get(path) ?? createMetricsLog(path)
    logs.delete(path)
    logs.set(path, log)
    for (const [oldest] of logs) if (logs.size > mostLogs) logs.delete(oldest)
    return log
  }
}

async function detailOf(run: KnownRun, all: readonly KnownRun[], logs: Logs, now: number) {
  const { place, record } = run
  const remarks: string[] = []
  /** A file that cannot be read hides no other. */
  const orRemark = async <T>(part: Promise<T>): Promise<T | undefined> => {
    try {
      return await part
    } catch (error) {
      remarks.push((error as PlumblineError).message)
      return undefined
    }
  }
  const metrics = await orRemark(logs(join(place.folder, 'metrics.jsonl')).read())
  const sampled = await orRemark(readSamples(place.folder))
  const evaluation = await orRemark(readEvaluation(join(place.folder, 'evaluation.json')))
  const job = await orRemark(readJob(run))
  if (sampled?.hasMore) remarks.push(`Of the sampled answers the newest ${sampled.samples.length} are shown.`)
  const inputs = Object.entries(record?.inputs ?? {})
  return {
    ...(await describeRun(run, now)),
    plumbline: record?.plumbline ?? null,
    host: record?.host ?? null,
    checkpoint_step: record?.step ?? null,
    config: record?.config ?? {},
    inputs: inputs.map(([name, input]) => ({ ...input, name, rows: input.rows ?? null })),
    curves: metrics?.curves ?? [],
    samples: sampled?.samples ?? [],
    evaluation: evaluation ?? null,
    job: job === undefined ? null : { ...job, runs: await siblingsOf(run, all, now) },
    remarks: [...remarks, ...(metrics?.remarks ?? [])],
  }
}

async function siblingsOf({ place }: KnownRun, all: readonly KnownRun[], now: number) {
  const there = all.filter(({ place: other }) => other.name !== '.' && jobOf(other.name) === jobOf(place.name))
  const runs: Run[] = []
  for (const run of there) runs.push(await describeRun(run, now))
  return runs.map(({ id, name, command, status }) => ({ id, name, command, status })).toReversed()
}

async function readEvaluation(path: string): Promise<RunDetail['evaluation']> {
  const text = await readPlainText(path, maxEvaluationBytes)
  if (text === undefined) return null
  const parsed = rewardEvaluationSchema.safeParse(parseObject(text))
  if (!parsed.success) throw problem(path, 'is not what a run writes there')
  return parsed.data
}
