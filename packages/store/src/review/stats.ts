import type { Queries } from '../database.ts'
import { isAbout } from './places.ts'

/** What reviewing has come to in one project. */
export interface ReviewFigures {
  /** `waiting`: the answer has not come, so nobody is asked. */
  readonly items: { readonly open: number; readonly waiting: number; readonly disputed: number; readonly done: number }
  /** The latest independent judgements: item, reviewer, label. */
  readonly labels: readonly { readonly item: string; readonly reviewer: string; readonly label: string }[]
  readonly reviewers: readonly {
    readonly reviewer: string
    readonly submitted: number
    readonly skipped: number
    readonly medianLeadMs: number | null
    readonly goldRight: number
    readonly gold: number
  }[]
}

const maxLabels = 50_000

export async function readFigures(queries: Queries, project: string): Promise<ReviewFigures> {
  const [items] = await queries.query(
    `select count(*) filter (where item.state = 'open' and has_come)::integer as open,
      count(*) filter (where item.state <> 'done' and not has_come)::integer as waiting,
      count(*) filter (where item.state = 'disputed' and has_come)::integer as disputed,
      count(*) filter (where item.state = 'done')::integer as done
    from (select state, exists (select 1 from plumbline.interactions as stored where ${isAbout('one')}) as has_come
      from plumbline.review_items as one where project = $1 and gold is null) as item`,
    [project],
  )
  const labels = await queries.query(
    `select response.item::text as item, reviewer, label from plumbline.review_responses as response
    join plumbline.review_items as item on item.id = response.item
    where item.project = $1 and item.gold is null and response.state = 'submitted' and not is_adjudication
    order by submitted_at desc limit $2::integer`,
    [project, maxLabels],
  )
  const reviewers = await queries.query(
    `select reviewer, count(*) filter (where response.state = 'submitted')::integer as submitted,
      count(*) filter (where response.state = 'skipped')::integer as skipped,
      (percentile_cont(0.5) within group (order by lead_ms))::text as median,
      count(*) filter (where label = gold)::integer as gold_right,
      count(*) filter (where label is not null and gold is not null)::integer as gold
    from plumbline.review_responses as response join plumbline.review_items as item on item.id = response.item
    where item.project = $1 group by reviewer order by reviewer`,
    [project],
  )
  return {
    items: {
      open: Number(items.open),
      waiting: Number(items.waiting),
      disputed: Number(items.disputed),
      done: Number(items.done),
    },
    labels: labels.map(({ item, reviewer, label }) => ({
      item: String(item),
      reviewer: String(reviewer),
      label: String(label),
    })),
    reviewers: reviewers.map((row) => ({
      reviewer: String(row.reviewer),
      submitted: Number(row.submitted),
      skipped: Number(row.skipped),
      medianLeadMs: row.median === null ? null : Number(row.median),
      goldRight: Number(row.gold_right),
      gold: Number(row.gold),
    })),
  }
}
