import { randomUUID } from 'node:crypto'
import type { ReviewReason } from '@plumbline/contracts'
import type { Queries } from '../database.ts'
import { isUuid } from '../interactions.ts'
import { storable } from '../storable.ts'

/** An answer that people are to judge. */
export interface ReviewRequest {
  readonly project: string
  readonly interaction: string
  readonly reason: ReviewReason
  readonly category: string | null
  /** Higher comes first. */
  readonly priority: number
  /** Who must judge it, each without seeing the others. */
  readonly people: number
  /** The known label of an item that measures its reviewers. */
  readonly gold: string | null
  /** Of an answer of the even sample, with what probability it was drawn: reviewers are not told what evaluators say. */
  readonly probability?: number
  readonly at: string
}

/**
 * Puts them into the queue, in one order whoever writes: two transactions that write the same items cannot wait for each
 * other in a circle, as long as each calls this once or by project in order. Reasons for one answer add up, the highest priority counts; writing twice is harmless.
 */
export async function enqueueForReview(queries: Queries, requests: readonly ReviewRequest[]): Promise<void> {
  const byItem = Map.groupBy(requests, ({ project, interaction }) => `${project} ${interaction}`)
  const groups = [...byItem].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group)
  if (groups.length === 0) return
  const most = (group: readonly ReviewRequest[], read: (one: ReviewRequest) => number) =>
    String(Math.max(...group.map(read)))
  await queries.query(
    `insert into plumbline.review_items as old
      (id, project, interaction, record, reasons, category, priority, wanted, gold, state, created_at, probability, drawn_at)
    select id, project, interaction, record, string_to_array(reasons, ' '), category, priority, wanted, gold, 'open', at,
      probability, drawn_at
    from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::integer[], $8::integer[],
      $9::text[], $10::timestamptz[], $11::float8[], $12::timestamptz[])
      as sent (id, project, interaction, record, reasons, category, priority, wanted, gold, at, probability, drawn_at)
    on conflict (project, interaction) do update set
      reasons = (select array_agg(distinct reason) from unnest(old.reasons || excluded.reasons) as reason),
      category = coalesce(old.category, excluded.category),
      priority = greatest(old.priority, excluded.priority),
      wanted = greatest(old.wanted, excluded.wanted),
      gold = coalesce(excluded.gold, old.gold),
      probability = coalesce(old.probability, excluded.probability),
      drawn_at = coalesce(old.drawn_at, excluded.drawn_at),
      -- More people are wanted than have judged it: what they found does not stand yet.
      state = case when excluded.wanted > old.wanted then 'open' else old.state end,
      outcome = case when excluded.wanted > old.wanted then null else old.outcome end,
      outcome_category = case when excluded.wanted > old.wanted then null else old.outcome_category end,
      finished_at = case when excluded.wanted > old.wanted then null else old.finished_at end`,
    [
      groups.map(() => randomUUID()),
      groups.map(([{ project }]) => storable(project)),
      groups.map(([{ interaction }]) => storable(interaction)),
      groups.map(([{ interaction }]) => (isUuid(interaction) ? interaction : null)),
      groups.map((group) => [...new Set(group.map(({ reason }) => reason))].join(' ')),
      groups.map((group) => group.find(({ category }) => category !== null)?.category ?? null),
      groups.map((group) => most(group, ({ priority }) => priority)),
      groups.map((group) => most(group, ({ people }) => people)),
      groups.map((group) => group.find(({ gold }) => gold !== null)?.gold ?? null),
      groups.map(([{ at }]) => at),
      groups.map((group) => textOf(group.find(isDrawn)?.probability)),
      groups.map((group) => group.find(isDrawn)?.at ?? null),
    ],
  )
}

const isDrawn = ({ probability }: ReviewRequest) => probability !== undefined

const textOf = (value: number | undefined) => (value === undefined ? null : String(value))

/** Answers of the last 10,000 records by chance, those that are in the queue already left out. Gives how many. */
export async function sampleForReview(
  queries: Queries,
  project: string,
  { count, at }: { readonly count: number; readonly at: string },
): Promise<number> {
  const rows = await queries.query(
    `insert into plumbline.review_items (id, project, interaction, record, reasons, priority, wanted, state, created_at)
    select gen_random_uuid(), $1, record::text, record, array['random'], 10, 1, 'open', $3::timestamptz
    from (select record, id from plumbline.interactions where project = $1 and redacted_at is null
      order by seq desc limit 10000) as recent
    where not exists (select 1 from plumbline.review_items as item where item.project = $1
      and (item.record = recent.record or item.interaction = recent.id))
    order by random() limit $2::integer
    on conflict (project, interaction) do nothing returning 1 as one`,
    [project, count, at],
  )
  return rows.length
}
