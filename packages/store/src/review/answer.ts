import type { ReviewDraft } from '@plumbline/contracts'
import type { Queries } from '../database.ts'
import { type Holder, hasPlace, inTurn, type LeaseAnswer } from './places.ts'

export interface SubmitOptions {
  readonly answer: ReviewDraft & { readonly label: string }
  /** How many people must judge an answer of this kind at the least. */
  readonly people: number
}

type ItemState = 'open' | 'disputed' | 'done'

/**
 * A judgement. It stands when as many people as are wanted agree; otherwise the item is disputed, until two agree. One
 * whose lease ran out counts while nobody else has taken the place; else it stays as a draft.
 */
export async function answer(
  queries: Queries,
  { project, item, reviewer, lease }: Holder,
  { answer, people }: SubmitOptions,
): Promise<LeaseAnswer<ItemState>> {
  await inTurn(queries, project)
  const [held] = await queries.query(
    `select item.state, item.gold is not null as is_gold, ${hasPlace('$3')} as has_place
    from plumbline.review_items as item join plumbline.review_responses as mine on mine.item = item.id
    where item.project = $1 and item.id = $2::uuid and mine.reviewer = $3 and mine.lease = $4::uuid
      and mine.state = 'leased'`,
    [project, item, reviewer, lease],
  )
  if (held === undefined) return 'none'
  const own = [item, reviewer, JSON.stringify(answer)]
  if (held.has_place !== true) {
    await queries.query('update plumbline.review_responses set draft = $3 where item = $1::uuid and reviewer = $2', own)
    return 'lost'
  }
  await queries.query(
    `update plumbline.review_responses set state = 'submitted', draft = $3, label = $4, is_adjudication = $5,
      submitted_at = clock_timestamp(),
      lead_ms = greatest(0, extract(epoch from clock_timestamp() - started_at) * 1000)::bigint
    where item = $1::uuid and reviewer = $2`,
    [...own, answer.label, held.state === 'disputed'],
  )
  return held.is_gold === true ? 'open' : settle(queries, item, people)
}

/** What the judgements so far make of an item. */
async function settle(queries: Queries, item: string, people: number): Promise<ItemState> {
  const [{ wanted }] = await queries.query(
    'update plumbline.review_items set wanted = greatest(wanted, $2::integer) where id = $1::uuid returning wanted',
    [item, people],
  )
  const labels = await queries.query(
    `select label, count(*)::integer as people from plumbline.review_responses
    where item = $1::uuid and state = 'submitted' group by label order by count(*) desc, bool_or(is_adjudication) desc`,
    [item],
  )
  const judged = labels.reduce((sum, one) => sum + Number(one.people), 0)
  const isAgreed = labels.length === 1 || (judged > Number(wanted) && Number(labels[0].people) >= 2)
  const state = judged < Number(wanted) ? 'open' : isAgreed ? 'done' : 'disputed'
  const outcome = String(labels[0].label)
  const category = state === 'done' ? await categoryOf(queries, item, outcome) : null
  await queries.query(
    `update plumbline.review_items set state = $2, outcome = case $2 when 'done' then $3 end, outcome_category = $4,
      finished_at = case $2 when 'done' then clock_timestamp() end where id = $1::uuid`,
    [item, state, outcome, category],
  )
  return state
}

/** What most of those who came to the outcome name; of as many, the one that was named first. */
async function categoryOf(queries: Queries, item: string, outcome: string): Promise<string | null> {
  const drafts = await queries.query(
    `select draft from plumbline.review_responses
    where item = $1::uuid and state = 'submitted' and label = $2 and draft is not null order by submitted_at`,
    [item, outcome],
  )
  const named = drafts.flatMap(({ draft }) => (JSON.parse(String(draft)) as ReviewDraft).category ?? [])
  const groups = [...Map.groupBy(named, (category) => category).values()]
  // Sorting keeps the order of as many.
  return groups.toSorted((a, b) => b.length - a.length)[0]?.[0] ?? null
}
