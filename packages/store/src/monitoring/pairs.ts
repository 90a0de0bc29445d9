import type { Database, Queries } from '../database.ts'
import { erasureLock } from '../interactions.ts'
import type { DayRange } from './figures.ts'
import { type EvaluationRow, moveCursor } from './settle.ts'
import type { Taken } from './take.ts'

type Outcome = EvaluationRow['outcome']

/** What one evaluator says of the answers to a live prompt and to the same prompt about somebody else. No words of either. */
export interface PairRow extends Pick<EvaluationRow, 'project' | 'record' | 'recordAt' | 'evaluator' | 'version'> {
  readonly axis: string
  /** Version of the list of terms. */
  readonly swaps: string
  /** Of the axis' two sides, in its order. */
  readonly first: Outcome
  readonly second: Outcome
  /** Which of them the user wrote. */
  readonly isFirstOriginal: boolean
  /** Of the one that failed. */
  readonly error: string | null
  readonly probability: number
}

/** Answers of a day that were drawn: how many prompts were read, named one side, and were not asked about all the same. */
export interface PairDay {
  readonly project: string
  readonly day: string
  readonly looked: number
  readonly named: number
  readonly notAsked: number
}

/** Pairs that were drawn with one probability, of one evaluator and axis. */
export interface PairSum extends Pick<PairRow, 'axis' | 'swaps' | 'evaluator' | 'version' | 'probability'> {
  readonly pairs: number
  readonly onlyFirst: number
  readonly onlySecond: number
  /** Only the first has no verdict, and only the second: kept back, failed, or nothing to judge. */
  readonly lostFirst: number
  readonly lostSecond: number
  readonly setAside: number
  readonly errors: number
}

export interface PairSums {
  readonly days: readonly PairDay[]
  /** Those of one evaluator and axis in the order in which they first came. */
  readonly sums: readonly PairSum[]
}

export interface PairSettlement {
  readonly pairs: readonly PairRow[]
  readonly days: readonly PairDay[]
  readonly at: string
}

/** Writes them and moves the lane's place, or nothing. False when another worker was first. */
export async function settlePairs(
  database: Database,
  taken: Taken,
  { pairs, days, at }: PairSettlement,
): Promise<boolean> {
  return database.transaction(async (queries) => {
    await queries.query('select pg_advisory_xact_lock_shared($1::bigint)', [erasureLock])
    if (!(await moveCursor(queries, taken))) return false
    await insertPairs(queries, pairs, at)
    await addDays(queries, days)
    return true
  })
}

/**
 * Prompts that were asked about: in the minute before a time, and on its day of UTC. Of all projects. After a clock that
 * goes back, those of the time that was not yet do not count.
 */
export async function countAsked(queries: Queries, at: string): Promise<{ minute: number; day: number }> {
  const [row] = await queries.query(
    `select count(distinct record) filter (where at > $1::timestamptz - interval '1 minute')::integer as minute,
      count(distinct record) filter (where at >= $2::timestamptz)::integer as day
    from plumbline.counterfactual_pairs where at > $2::timestamptz - interval '1 minute' and at <= $1::timestamptz`,
    [at, `${at.slice(0, 10)}T00:00:00Z`],
  )
  return { minute: Number(row.minute), day: Number(row.day) }
}

export async function readPairs(queries: Queries, { project, from, to }: DayRange): Promise<PairSums> {
  const [days, sums] = await Promise.all([
    queries.query(
      `select project, day::text as day, looked, named, not_asked from plumbline.counterfactual_days
      where project = $1 and day >= $2::date and day <= $3::date order by day`,
      [project, from, to],
    ),
    queries.query(
      `select axis, swaps, evaluator, version, probability::text as probability, ${counts}
      from plumbline.counterfactual_pairs
      where project = $1 and record_at >= $2::timestamptz and record_at < $3::timestamptz + interval '1 day'
      group by axis, swaps, evaluator, version, counterfactual_pairs.probability
      order by axis, evaluator, version, swaps, min(at), counterfactual_pairs.probability desc`,
      [project, `${from}T00:00:00Z`, `${to}T00:00:00Z`],
    ),
  ])
  return {
    days: days.map(({ not_asked: notAsked, ...row }) => ({
      ...(row as unknown as PairDay),
      notAsked: Number(notAsked),
    })),
    sums: sums.map((row) => ({
      ...(row as unknown as PairSum),
      probability: Number(row.probability),
      onlyFirst: Number(row.only_first),
      onlySecond: Number(row.only_second),
      lostFirst: Number(row.lost_first),
      lostSecond: Number(row.lost_second),
      setAside: Number(row.set_aside),
    })),
  }
}

const [isFirst, isSecond] = ["first in ('flagged', 'passed')", "second in ('flagged', 'passed')"]
const both = `${isFirst} and ${isSecond}`
const counts = `count(*) filter (where ${both})::integer as pairs,
  count(*) filter (where first = 'flagged' and second = 'passed')::integer as only_first,
  count(*) filter (where first = 'passed' and second = 'flagged')::integer as only_second,
  count(*) filter (where not ${isFirst} and ${isSecond})::integer as lost_first,
  count(*) filter (where ${isFirst} and not ${isSecond})::integer as lost_second,
  count(*) filter (where 'error' in (first, second))::integer as errors,
  count(*) filter (where not (${both}) and 'error' not in (first, second))::integer as set_aside`

async function insertPairs(queries: Queries, rows: readonly PairRow[], at: string): Promise<void> {
  if (rows.length === 0) return
  // What was erased in the meantime gets none.
  await queries.query(
    `insert into plumbline.counterfactual_pairs
      (record, evaluator, version, project, axis, swaps, first, second, is_first_original, error, probability, record_at, at)
    select sent.*, $13::timestamptz
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
      $9::boolean[], $10::text[], $11::float8[], $12::timestamptz[]) as sent
      (record, evaluator, version, project, axis, swaps, first, second, is_first_original, error, probability, record_at)
    where exists (select 1 from plumbline.interactions as stored where stored.record = sent.record)
    on conflict do nothing`,
    [
      rows.map(({ record }) => record),
      rows.map(({ evaluator }) => evaluator),
      rows.map(({ version }) => version),
      rows.map(({ project }) => project),
      rows.map(({ axis }) => axis),
      rows.map(({ swaps }) => swaps),
      rows.map(({ first }) => first),
      rows.map(({ second }) => second),
      rows.map(({ isFirstOriginal }) => String(isFirstOriginal)),
      rows.map(({ error }) => error),
      rows.map(({ probability }) => String(probability)),
      rows.map(({ recordAt }) => recordAt),
      at,
    ],
  )
}

async function addDays(queries: Queries, rows: readonly PairDay[]): Promise<void> {
  if (rows.length === 0) return
  await queries.query(
    `insert into plumbline.counterfactual_days as old (project, day, looked, named, not_asked)
    select * from unnest($1::text[], $2::date[], $3::integer[], $4::integer[], $5::integer[])
    on conflict (project, day) do update set looked = old.looked + excluded.looked, named = old.named + excluded.named,
      not_asked = old.not_asked + excluded.not_asked`,
    [
      rows.map(({ project }) => project),
      rows.map(({ day }) => day),
      rows.map(({ looked }) => String(looked)),
      rows.map(({ named }) => String(named)),
      rows.map(({ notAsked }) => String(notAsked)),
    ],
  )
}
