import type { Queries, Row } from '../database.ts'
import type { ReviewRequest } from '../review/queue.ts'
import type { FeedbackRow } from './latest.ts'
import { namedSql, namesOf } from './named.ts'

/** How many people rate an answer above zero, and how many below: both more than none. */
export interface DisputedRatings {
  /** The name of the score; null for plain thumbs. */
  readonly category: string | null
  readonly above: number
  readonly below: number
}

/** Above the close calls of evaluators, below what one of them flags: thumbs differ often, and cost little. */
const priority = 45

/** Held by whoever writes ratings: two that say the opposite see each other, whichever process wrote them. */
const ratingsLock = 7_586_217

/** To be taken before any rating is written. */
export async function lockRatings(queries: Queries, rows: readonly FeedbackRow[]): Promise<void> {
  if (rows.some(hasSign)) await queries.query('select pg_advisory_xact_lock($1::bigint)', [ratingsLock])
}

/** Answers to put before reviewers: about them these ratings, and what was said before, disagree. */
export async function requestDisputed(queries: Queries, rows: readonly FeedbackRow[]): Promise<ReviewRequest[]> {
  const rated = [...new Map(rows.filter(hasSign).map((row) => [`${row.project} ${row.interaction}`, row])).values()]
  if (rated.length === 0) return []
  const found = await queries.query(
    `with named as (${namedSql}) select index, coalesce(own_record, interaction) as answer from named
    where exists (${disputed('named.project', 'named.interaction, named.own_record, named.own_id')})`,
    namesOf(rated),
  )
  return found.map(({ index, answer }) => {
    const { project, people, at } = rated[Number(index)]
    const who = { people: Math.max(1, people), gold: null, category: null }
    return { project, interaction: String(answer), reason: 'disagreement', priority, ...who, at }
  })
}

/** What people's ratings of an answer disagree about now. */
export async function readDisputed(
  queries: Queries,
  project: string,
  names: readonly string[],
): Promise<DisputedRatings[]> {
  const rows = await queries.query(disputed('$1', '$2, $3'), [project, ...names])
  return rows.map(({ category, above, below }: Row) => ({
    category: category === '' ? null : String(category),
    above: Number(above),
    below: Number(below),
  }))
}

/** Each person counts once for each name of a score, by what was said last. */
const disputed = (
  project: string,
  names: string,
) => `select category, count(*) filter (where rating > 0)::integer as above,
    count(*) filter (where rating < 0)::integer as below
  from (select distinct on (coalesce(said.category, ''), actor) coalesce(said.category, '') as category, rating
    from plumbline.feedback as said
    where said.project = ${project} and said.interaction in (${names}) and said.kind = 'rating'
    order by coalesce(said.category, ''), actor, updated_at desc, said.seq desc) as latest
  group by category having bool_or(rating > 0) and bool_or(rating < 0) order by category`

function hasSign({ kind, rating }: FeedbackRow): boolean {
  return kind === 'rating' && rating !== null && rating !== 0
}
