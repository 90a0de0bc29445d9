import type { Queries } from '../database.ts'
import { isAbout } from './places.ts'

/** Answers of the even sample on which one version of an evaluator came to one verdict, and people to one decision. */
export interface LabelledVerdicts {
  readonly evaluator: string
  readonly version: string
  readonly isFlagged: boolean
  /** What people call these answers, and the category that they name. */
  readonly label: string
  readonly category: string | null
  /** With which the answers came into the sample, and with which the evaluator's lane had drawn them. */
  readonly probability: number
  readonly drawnWith: number
  readonly answers: number
  /** Days of the first and the last of these answers. */
  readonly from: string
  readonly to: string
  readonly settledAt: string
}

export interface SampleLabels {
  readonly verdicts: readonly LabelledVerdicts[]
  /** Answers of the sample that are still there. */
  readonly drawn: number
  /** Those that count: settled, and all that were drawn before them are too. */
  readonly settled: number
  /** Of these, those that people call not worth judging, and those of which a reviewer had seen what others say. */
  readonly discarded: number
  readonly seen: number
  /** Those that nobody has settled yet, and since when the oldest waits. */
  readonly waiting: number
  readonly waitingSince: string | null
}

/** The newest: enough for any interval, few enough to be read whenever a page is. */
const mostLabels = 5_000

/**
 * Only answers drawn before the oldest that waits: which ones people judge first depends on what evaluators say of them.
 */
const members = `members as (
    select item.*, record is not null and item.state <> 'done' and exists (
      select 1 from plumbline.interactions as stored where ${isAbout('item')} and redacted_at is null) as is_waiting
    from plumbline.review_items as item where project = $1 and probability is not null and gold is null
  ), counted as (
    select members.*, exists (select 1 from plumbline.review_responses as response where response.item = members.id
      and response.state = 'submitted' and not is_blind) as is_seen
    from members where state = 'done'
      and created_at < coalesce((select min(created_at) from members where is_waiting), 'infinity')
    order by created_at desc, id limit ${mostLabels}
  )`

export async function readSampleLabels(queries: Queries, project: string): Promise<SampleLabels> {
  const verdicts = await queries.query(
    `with ${members}
    select evaluator, version, found.outcome = 'flagged' as is_flagged, counted.outcome as label,
      outcome_category as category, counted.probability::text as probability, found.probability::text as drawn_with,
      count(*)::integer as answers, min(record_at)::text as from_time, max(record_at)::text as to_time,
      max(finished_at)::text as settled_at
    from counted join plumbline.evaluations as found on found.record = counted.record
    where found.outcome in ('flagged', 'passed') and counted.outcome <> 'discard' and not is_seen
    group by evaluator, version, found.outcome, counted.outcome, outcome_category, counted.probability, found.probability
    order by evaluator, version`,
    [project],
  )
  const [sample] = await queries.query(
    `with ${members}
    select (select count(*) from members)::integer as drawn, count(*)::integer as settled,
      count(*) filter (where outcome = 'discard')::integer as discarded,
      count(*) filter (where outcome <> 'discard' and is_seen)::integer as seen,
      (select count(*) from members where is_waiting)::integer as waiting,
      (select min(created_at) from members where is_waiting)::text as since
    from counted`,
    [project],
  )
  const day = (time: unknown) => new Date(String(time)).toISOString().slice(0, 10)
  return {
    verdicts: verdicts.map((row) => ({
      evaluator: String(row.evaluator),
      version: String(row.version),
      isFlagged: row.is_flagged === true,
      label: String(row.label),
      category: row.category === null ? null : String(row.category),
      probability: Number(row.probability),
      drawnWith: Number(row.drawn_with),
      answers: Number(row.answers),
      from: day(row.from_time),
      to: day(row.to_time),
      settledAt: new Date(String(row.settled_at)).toISOString(),
    })),
    drawn: Number(sample.drawn),
    settled: Number(sample.settled),
    discarded: Number(sample.discarded),
    seen: Number(sample.seen),
    waiting: Number(sample.waiting),
    waitingSince: sample.since === null ? null : new Date(String(sample.since)).toISOString(),
  }
}
