import type { Database, Queries } from '../database.ts'
import { erasureLock } from '../interactions.ts'
import type { ReviewRequest } from '../review/queue.ts'
import { storable } from '../storable.ts'
import { type NewAlarm, raise } from './alarms.ts'
import { drawnADay, enqueueWithinDay } from './review-day.ts'
import {
  addCohorts,
  addMarks,
  addRates,
  addTraffic,
  type CohortRow,
  type MarkRow,
  type RateRow,
  type TrafficRow,
} from './sums.ts'
import type { Taken } from './take.ts'
import { readVerdicts, type Verdict } from './verdicts.ts'

/** What one evaluator found in one record. */
export interface EvaluationRow {
  readonly project: string
  readonly record: string
  readonly recordAt: string
  readonly evaluator: string
  readonly version: string
  readonly outcome: 'flagged' | 'passed' | 'set_aside' | 'error'
  readonly label: string | null
  readonly category: string | null
  readonly score: number | null
  /** The code of what went wrong. */
  readonly error: string | null
  /** With which the record was drawn. */
  readonly probability: number
}

/** What watches one version of one evaluator in one project. */
export interface DetectorKey {
  readonly project: string
  readonly evaluator: string
  readonly version: string
}
export interface StoredDetector extends DetectorKey {
  /** Undefined for one that has not begun. */
  readonly state: unknown
}

export interface Decision {
  readonly detectors: readonly StoredDetector[]
  readonly alarms: readonly NewAlarm[]
}

/** Everything that came of the records that were taken. */
export interface Settlement {
  readonly evaluations: readonly EvaluationRow[]
  readonly traffic: readonly TrafficRow[]
  readonly rates: readonly RateRow[]
  readonly cohorts: readonly CohortRow[]
  readonly marks: readonly MarkRow[]
  readonly review: readonly ReviewRequest[]
  /** Further ones, from all that evaluators have said of these records by now. */
  readonly reviewMore: (verdicts: readonly Verdict[]) => readonly ReviewRequest[]
  /** And those of the even sample, told how many answers of a project were drawn in a day: today or yesterday, whichever had more. */
  readonly reviewSample: (drawnADay: ReadonlyMap<string, number>) => readonly ReviewRequest[]
  /** Items that may come into the queue in a day of one project; the most urgent of a batch first. */
  readonly reviewsPerDay: number
  /** Those that `decide` is given. */
  readonly detectors: readonly DetectorKey[]
  /** From the states as they are to those that they become. */
  readonly decide: (detectors: readonly StoredDetector[]) => Decision
  /** Kinds of jobs that tell people of a new alarm. */
  readonly notify: readonly string[]
  readonly at: string
}

const verdictsLock = 7_586_218

/**
 * Writes all of it and moves the lane's place, or nothing: each record counts once, whoever was stopped or came twice.
 * False when another worker was first.
 */
export async function settle(database: Database, taken: Taken, settlement: Settlement): Promise<boolean> {
  return database.transaction(async (queries) => {
    await queries.query('select pg_advisory_xact_lock_shared($1::bigint)', [erasureLock])
    if (!(await moveCursor(queries, taken))) return false
    const { evaluations, traffic, rates, cohorts, marks, notify, at } = settlement
    await insertEvaluations(queries, evaluations, at)
    await addTraffic(queries, traffic)
    await addRates(queries, rates)
    await addCohorts(queries, cohorts)
    await addMarks(queries, marks)
    // One lane at a time from here on: of two that speak of one record, the later sees what the earlier said.
    await queries.query('select pg_advisory_xact_lock($1::bigint)', [verdictsLock])
    const verdicts = await readVerdicts(queries, [...new Set(evaluations.map(({ record }) => record))])
    const picked = [...settlement.review, ...settlement.reviewMore(verdicts)]
    const sample = settlement.reviewSample(await drawnADay(queries, traffic, at))
    await enqueueWithinDay(queries, { picked, sample }, settlement)
    const { detectors, alarms } = settlement.decide(await readDetectors(queries, settlement.detectors))
    await writeDetectors(queries, detectors)
    await raise(queries, alarms, { notify, at })
    return true
  })
}

/** False when another worker has moved it. */
export async function moveCursor(queries: Queries, { lane, from, to }: Taken): Promise<boolean> {
  const moved = await queries.query(
    `update plumbline.monitor_cursors set seq = $3::bigint where lane = $1 and seq = $2::bigint returning 1 as one`,
    [lane, from, to],
  )
  return moved.length > 0
}

async function insertEvaluations(queries: Queries, rows: readonly EvaluationRow[], at: string): Promise<void> {
  if (rows.length === 0) return
  const texts = (read: (row: EvaluationRow) => string | null) => rows.map((row) => read(row)?.slice(0, 200) ?? null)
  // What was erased in the meantime gets none.
  await queries.query(
    `insert into plumbline.evaluations
      (record, evaluator, version, project, outcome, label, category, score, error, probability, record_at, at)
    select sent.record, evaluator, version, sent.project, outcome, label, category, score, error, probability, record_at,
      $12::timestamptz
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[],
      $9::text[], $10::float8[], $11::timestamptz[]) as sent
      (record, evaluator, version, project, outcome, label, category, score, error, probability, record_at)
    where exists (select 1 from plumbline.interactions as stored where stored.record = sent.record)
    on conflict do nothing`,
    [
      rows.map(({ record }) => record),
      rows.map(({ evaluator }) => evaluator),
      rows.map(({ version }) => version),
      rows.map(({ project }) => project),
      rows.map(({ outcome }) => outcome),
      texts(({ label }) => label && storable(label)),
      texts(({ category }) => category && storable(category)),
      rows.map(({ score }) => (score === null ? null : String(score))),
      texts(({ error }) => error),
      rows.map(({ probability }) => String(probability)),
      rows.map(({ recordAt }) => recordAt),
      at,
    ],
  )
}

async function readDetectors(queries: Queries, keys: readonly DetectorKey[]): Promise<StoredDetector[]> {
  const states = new Map<string, unknown>()
  const name = ({ project, evaluator, version }: DetectorKey) => JSON.stringify([project, evaluator, version])
  if (keys.length > 0) {
    const rows = await queries.query(
      `select stored.project, stored.evaluator, stored.version, state from plumbline.monitor_detectors as stored
      join unnest($1::text[], $2::text[], $3::text[]) as sent (project, evaluator, version)
        using (project, evaluator, version)`,
      [keys.map((key) => key.project), keys.map((key) => key.evaluator), keys.map((key) => key.version)],
    )
    for (const { state, ...row } of rows) states.set(name(row as unknown as DetectorKey), JSON.parse(String(state)))
  }
  return keys.map((key) => ({ ...key, state: states.get(name(key)) }))
}

async function writeDetectors(queries: Queries, detectors: readonly StoredDetector[]): Promise<void> {
  if (detectors.length === 0) return
  await queries.query(
    `insert into plumbline.monitor_detectors select * from unnest($1::text[], $2::text[], $3::text[], $4::text[])
    on conflict (project, evaluator, version) do update set state = excluded.state`,
    [
      detectors.map(({ project }) => project),
      detectors.map(({ evaluator }) => evaluator),
      detectors.map(({ version }) => version),
      detectors.map(({ state }) => JSON.stringify(state)),
    ],
  )
}
