import type { Queries, Row } from '../database.ts'
import type { DetectorKey, EvaluationRow, StoredDetector } from './settle.ts'
import type { CohortRow, MarkRow, RateRow, TrafficRow } from './sums.ts'

export interface DayRange {
  readonly project: string
  /** Both belong to it. */
  readonly from: string
  readonly to: string
}

/** All sums of a range of days. */
export interface MonitorSums {
  /** In the order in which they first came. */
  readonly traffic: readonly TrafficRow[]
  readonly rates: readonly RateRow[]
  readonly cohorts: readonly CohortRow[]
  readonly marks: readonly MarkRow[]
  /** The newest look in the range. */
  readonly drift: { readonly day: string; readonly report: unknown } | undefined
}

export interface FoundEvaluation extends Pick<EvaluationRow, 'record' | 'label' | 'category' | 'score' | 'error'> {
  readonly recordAt: string
  readonly at: string
}

export async function readSums(queries: Queries, { project, from, to }: DayRange): Promise<MonitorSums> {
  const range = [project, from, to]
  const within = 'project = $1 and day >= $2::date and day <= $3::date'
  const read = (sql: string) => queries.query(sql, range)
  const [traffic, rates, cohorts, marks, [drift]] = await Promise.all([
    read(`select project, lane, day::text as day, probability::text as probability, answers, failed, sampled, evaluated
      from plumbline.monitor_traffic where ${within} order by seq`),
    read(`select project, evaluator, version, day::text as day, probability::text as probability, lane, judged, flagged,
      set_aside, errors from plumbline.monitor_rates where ${within} order by evaluator, version, day`),
    read(`select project, evaluator, version, min(day)::text as day, attribute, cohort, sum(judged)::integer as judged,
      sum(flagged)::integer as flagged from plumbline.monitor_cohorts where ${within}
      group by project, evaluator, version, attribute, cohort order by evaluator, version, attribute, sum(judged) desc, cohort`),
    queries.query(
      `select project, kind, name, at::text as at from plumbline.monitor_marks
      where project = $1 and at >= $2::timestamptz and at < $3::timestamptz + interval '1 day' order by at`,
      [project, `${from}T00:00:00Z`, `${to}T00:00:00Z`],
    ),
    read(`select day::text as day, report from plumbline.monitor_drift where ${within} order by day desc limit 1`),
  ])
  return {
    traffic: traffic.map((row) => ({
      ...(row as unknown as TrafficRow),
      probability: Number(row.probability),
    })),
    rates: rates.map(toRate),
    cohorts: cohorts.map((row) => row as unknown as CohortRow),
    marks: marks.map((row) => ({ ...(row as unknown as MarkRow), at: new Date(String(row.at)).toISOString() })),
    drift: drift && { day: String(drift.day), report: JSON.parse(String(drift.report)) },
  }
}

/** Records that the lane has not looked at; a few more where numbers were left out. */
export async function countPending(queries: Queries, lane: string): Promise<number> {
  const [row] = await queries.query(
    `select (coalesce((select max(seq) from plumbline.interactions), 0)
      - coalesce((select seq from plumbline.monitor_cursors where lane = $1), 0))::text as pending`,
    [lane],
  )
  return Math.max(0, Number(row.pending))
}

/** The newest of an outcome, not after a time. */
export async function findEvaluations(
  queries: Queries,
  { project, evaluator, version }: DetectorKey,
  { outcome, until, limit }: { readonly outcome: 'flagged' | 'error'; readonly until: string; readonly limit: number },
): Promise<FoundEvaluation[]> {
  const rows = await queries.query(
    `select record::text as record, label, category, score::text as score, error, record_at::text as record_at, at::text as at
    from plumbline.evaluations where project = $1 and evaluator = $2 and version = $3 and outcome = $4
      and record_at <= $5::timestamptz order by record_at desc limit $6::integer`,
    [project, evaluator, version, outcome, until, limit],
  )
  return rows.map((row) => ({
    record: String(row.record),
    label: text(row.label),
    category: text(row.category),
    score: row.score === null ? null : Number(row.score),
    error: text(row.error),
    recordAt: new Date(String(row.record_at)).toISOString(),
    at: new Date(String(row.at)).toISOString(),
  }))
}

export async function listDetectors(queries: Queries, project: string): Promise<StoredDetector[]> {
  const rows = await queries.query(
    'select project, evaluator, version, state from plumbline.monitor_detectors where project = $1',
    [project],
  )
  return rows.map((row) => ({ ...(row as unknown as DetectorKey), state: JSON.parse(String(row.state)) }))
}

function toRate(row: Row): RateRow {
  const { set_aside: setAside, ...rest } = row
  return { ...(rest as unknown as RateRow), probability: Number(row.probability), setAside: Number(setAside) }
}

function text(value: unknown): string | null {
  return value === null ? null : String(value)
}
