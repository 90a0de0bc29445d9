import type { Queries, Row } from '../database.ts'

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
  /** Answers of the sample whose words are still there. */
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
 * Those that lost their words are in no part of it, settled or not; else age would settle what waits.
 * An answer that was flagged before its record came has an item under its own id too.
 * The last row is of the sample as a whole, the others of the verdicts.
 */
const labelsSql = `
  with members as materialized (
    select item.id, item.record, stored.id as name, state, outcome, outcome_category, item.probability, drawn_at, finished_at
    from plumbline.review_items as item
    join plumbline.interactions as stored on stored.project = item.project and stored.record = item.record
    where item.project = $1 and item.probability is not null and gold is null and redacted_at is null
  ), counted as materialized (
    select members.*, exists (select 1 from plumbline.review_items as other
        join plumbline.review_responses as response on response.item = other.id
      where other.project = $1 and other.interaction in (name, members.record::text)
        and response.state = 'submitted' and not is_blind and submitted_at <= members.finished_at) as is_seen
    from members where state = 'done'
      and drawn_at < coalesce((select min(drawn_at) from members where state <> 'done'), 'infinity')
    order by drawn_at desc, id limit ${mostLabels}
  ), said as (
    select evaluator, version, found.outcome = 'flagged' as is_flagged, counted.outcome as label,
      outcome_category as category, counted.probability, found.probability as drawn_with, count(*)::integer as answers,
      min(record_at) as from_time, max(record_at) as to_time, max(finished_at) as settled_at
    from counted cross join lateral (
      select * from plumbline.evaluations as own where own.record = counted.record offset 0) as found
    where found.outcome in ('flagged', 'passed') and counted.outcome <> 'discard' and not is_seen
    group by evaluator, version, found.outcome, counted.outcome, outcome_category, counted.probability, found.probability
  )
  select said.evaluator, version, is_flagged, label, category, probability::text as probability,
    drawn_with::text as drawn_with, answers, from_time::text as from_time, to_time::text as to_time,
    settled_at::text as settled_at, null::text as sample from said
  union all
  select null, null, null, null, null, null, null, null, null, null, null, json_build_object(
    'drawn', (select count(*) from members), 'settled', (select count(*) from counted),
    'discarded', (select count(*) from counted where outcome = 'discard'),
    'seen', (select count(*) from counted where outcome <> 'discard' and is_seen),
    'waiting', (select count(*) from members where state <> 'done'),
    'since', (select extract(epoch from min(drawn_at)) * 1000 from members where state <> 'done'))::text
  order by sample nulls first, evaluator, version`

export async function readSampleLabels(queries: Queries, project: string): Promise<SampleLabels> {
  const rows = await queries.query(labelsSql, [project])
  const { since, ...counts } = JSON.parse(String(rows.at(-1)?.sample)) as Counts
  return {
    verdicts: rows.slice(0, -1).map(toVerdicts),
    ...counts,
    waitingSince: since === null ? null : new Date(since).toISOString(),
  }
}

type Counts = Omit<SampleLabels, 'verdicts' | 'waitingSince'> & { readonly since: number | null }

function toVerdicts(row: Row): LabelledVerdicts {
  const day = (time: unknown) => new Date(String(time)).toISOString().slice(0, 10)
  return {
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
  }
}
