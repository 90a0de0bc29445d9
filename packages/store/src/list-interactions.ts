import type { FeedbackKind, Interaction } from '@plumbline/contracts'
import type { Database } from './database.ts'
import type { Page, PageOptions } from './interactions.ts'
import type { EvaluationRow } from './monitoring/settle.ts'
import { storable } from './storable.ts'

export interface InteractionFilter {
  /** Not before. */
  readonly since?: string | undefined
  /** Before, and not at. */
  readonly until?: string | undefined
  readonly model?: string | undefined
  readonly termination?: string | undefined
  /** The id of the key that asked. */
  readonly key?: string | undefined
  /** The hash of a person. */
  readonly subject?: string | undefined
  /** Characters that stand in the record, in capitals or not. */
  readonly text?: string | undefined
  /** Judged by any version of it, with any outcome where `verdict` names none. */
  readonly evaluator?: string | undefined
  /** Of `evaluator`, else of any. */
  readonly verdict?: EvaluationRow['outcome'] | 'not_evaluated' | undefined
  /** Of the verdict; those below it too. */
  readonly category?: string | undefined
  /** Something of this kind was said of it. */
  readonly feedback?: FeedbackKind | undefined
}

const maxPageBytes = 16 * 2 ** 20
/** Records that one call looks at: to search their text, to ask other tables about each, and to compare their columns. */
const maxSearched = 5_000
const maxAskedAbout = 20_000
const maxCompared = 50_000

/** `offset 0` has each looked up by its index: without it a planner may read the whole table first. */
const isJudged = `exists (select 1 from plumbline.evaluations as found where found.record = interactions.record
  and ($14::text is null or evaluator = $14) and ($15::text is null or outcome = $15)
  and ($16::text is null or category = $16 or starts_with(category, $16 || '/')) offset 0)`
const isSaid = `exists (select 1 from plumbline.feedback as said where said.project = interactions.project
  and said.interaction in (interactions.id, interactions.record::text) and said.kind = $17 offset 0)`

/** How many records one call looks at; undefined without a filter by which some do not fit. */
function mostLookedAt(filter: Omit<InteractionFilter, 'since' | 'until'>): number | undefined {
  const { model, termination, key, subject, text, ...asked } = filter
  const isGiven = (values: object) => Object.values(values).some((value) => value !== undefined)
  if (text !== undefined) return maxSearched
  if (isGiven(asked)) return maxAskedAbout
  return isGiven({ model, termination, key, subject }) ? maxCompared : undefined
}

export async function list(
  database: Database,
  project: string,
  { limit, after, since, until, ...filter }: PageOptions & InteractionFilter,
): Promise<Page<Interaction>> {
  const { model, termination, key, subject, text, evaluator, verdict, category, feedback } = filter
  const looked = mostLookedAt(filter) ?? limit + 1
  const isAboutVerdict = [evaluator, verdict, category].some((value) => value !== undefined)
  // A page is cut where it would grow too large, after one record at the least: some are megabytes. The sizes come from
  // the heads of the rows; only the bodies of the page itself are read.
  const rows = await database.query(
    `with looked_at as materialized (
      select seq, octet_length(body) as bytes,
        ($5::text is null or model = $5) and ($6::text is null or termination = $6) and ($7::text is null or key_id = $7)
        and ($8::text is null or subjects @> array[$8]) and ($13::boolean is null or $13 = ${isJudged})
        and ($17::text is null or ${isSaid}) and ($9::text is null or position($9 in lower(body)) > 0) as fits
      from plumbline.interactions
      where project = $1 and ($2::text is null or seq < $2::bigint)
        and ($3::timestamptz is null or created_at >= $3::timestamptz)
        and ($4::timestamptz is null or created_at < $4::timestamptz)
      order by seq desc limit $10::integer
    ), fitting as (
      select seq, row_number() over (order by seq desc) as place, sum(bytes) over (order by seq desc) as bytes
      from looked_at where fits is true
    ), page as (
      select seq, place from fitting where place = 1 or (place <= $11::integer and bytes <= $12::integer)
    )
    select page.seq::text as seq, stored.body,
      (select count(*) from fitting)::integer as fitting, (select count(*) from looked_at)::integer as looked_at,
      (select min(seq) from looked_at)::text as last
    from (select 1) as once left join page on true left join plumbline.interactions as stored on stored.seq = page.seq
    order by page.place`,
    [
      project,
      after ?? null,
      since ?? null,
      until ?? null,
      model === undefined ? null : storable(model),
      termination === undefined ? null : storable(termination),
      key === undefined ? null : storable(key),
      subject === undefined ? null : storable(subject),
      // In the record it stands as JSON writes it.
      text === undefined ? null : storable(JSON.stringify(text).slice(1, -1).toLowerCase()),
      looked,
      limit,
      maxPageBytes,
      isAboutVerdict ? verdict !== 'not_evaluated' : null,
      evaluator === undefined ? null : storable(evaluator),
      verdict === 'not_evaluated' ? null : (verdict ?? null),
      // What has not judged has no category.
      category === undefined || verdict === 'not_evaluated' ? null : storable(category),
      feedback ?? null,
    ],
  )
  const found = rows.filter(({ body }) => body !== null)
  const [{ fitting, looked_at: lookedAt, last }] = rows
  const hasMore = Number(fitting) > found.length
  const isCut = Number(lookedAt) === looked
  return {
    data: found.map(({ body }) => JSON.parse(String(body)) as Interaction),
    next: hasMore ? String(found.at(-1)?.seq) : isCut ? String(last) : null,
  }
}
