import { randomUUID } from 'node:crypto'
import type { Feedback, Interaction, ReviewDraft, ReviewReason } from '@plumbline/contracts'
import type { Database, Queries, Row } from '../database.ts'
import { type DisputedRatings, readDisputed } from '../feedback/disputed.ts'
import { feedbackColumns, toFeedback } from '../feedback/feedback.ts'
import { later } from '../later.ts'
import { readVerdicts, type Verdict } from '../monitoring/verdicts.ts'
import { answer, type SubmitOptions } from './answer.ts'
import { refuseGoldOfSample } from './gold.ts'
import { type Holder, hasPlace, inTurn, isAbout, isLive, type LeaseAnswer } from './places.ts'
import { enqueueForReview, type ReviewRequest, sampleForReview } from './queue.ts'
import { readSampleLabels, type SampleLabels } from './sample-labels.ts'
import { type ReviewFigures, readFigures } from './stats.ts'

/** An item in a reviewer's hands, until the lease ends. */
export interface ReviewLease {
  readonly item: string
  readonly lease: string
  readonly leasedUntil: string
  readonly reasons: readonly ReviewReason[]
  readonly category: string | null
  readonly priority: number
  readonly isAdjudication: boolean
  /** It is to measure evaluators: this reviewer is to know nothing of what they say. */
  readonly isBlind: boolean
  /** Of the others; none unless this one is to decide between them. */
  readonly opinions: readonly ReviewDraft[]
  readonly draft: ReviewDraft | null
  readonly feedback: readonly Feedback[]
  /** Of one that is here for a disagreement: ratings that differ, and what evaluators say. */
  readonly disputed: { readonly ratings: readonly DisputedRatings[]; readonly verdicts: readonly Verdict[] } | undefined
  readonly interaction: Interaction
}

/** Times are the database's: clocks of others do not matter. */
export interface Review {
  /** Refuses gold for what is in the even sample. */
  enqueue(requests: readonly ReviewRequest[]): Promise<void>
  /** Puts some of the latest answers into the queue, by chance. */
  sample(project: string, options: { readonly count: number; readonly at: string }): Promise<number>
  /** The item that this reviewer holds already, else the most urgent one that waits for somebody else's judgement. */
  next(project: string, reviewer: string, leaseMs: number): Promise<ReviewLease | undefined>
  /** Keeps a draft and prolongs the lease. Gives its new end. */
  keep(holder: Holder, draft: ReviewDraft, leaseMs: number): Promise<LeaseAnswer<string>>
  submit(holder: Holder, options: SubmitOptions): Promise<LeaseAnswer<'open' | 'disputed' | 'done'>>
  /** This reviewer is not asked about it again. */
  skip(holder: Holder): Promise<LeaseAnswer<'skipped'>>
  figures(project: string): Promise<ReviewFigures>
  /** What people settled of the even sample, beside what evaluators said of the same answers. */
  sampleLabels(project: string): Promise<SampleLabels>
}

export function createReview(database: Database): Review {
  return {
    enqueue: async (requests) => {
      await refuseGoldOfSample(database, requests)
      await enqueueForReview(database, requests)
    },
    sample: (project, options) => sampleForReview(database, project, options),
    next: (project, reviewer, leaseMs) =>
      database.transaction(async (queries) => {
        await inTurn(queries, project)
        const item = (await held(queries, project, reviewer)) ?? (await waiting(queries, project, reviewer))
        if (item === undefined) return undefined
        return readLease(queries, project, reviewer, item, await lease(queries, item, reviewer, leaseMs))
      }),
    keep: async ({ project, item, reviewer, lease }, draft, leaseMs) => {
      const [row] = await database.query(
        `update plumbline.review_responses as response set draft = $5,
          leased_until = case when ${isLive()} then ${later('$6')} else leased_until end
        from plumbline.review_items as item
        where item.id = response.item and item.project = $1 and response.item = $2::uuid and reviewer = $3
          and lease = $4::uuid and response.state = 'leased'
        returning leased_until::text as until, ${isLive()} as is_live`,
        [project, item, reviewer, lease, JSON.stringify(draft), leaseMs],
      )
      if (row === undefined) return 'none'
      return row.is_live === true ? new Date(String(row.until)).toISOString() : 'lost'
    },
    submit: (holder, options) => database.transaction((queries) => answer(queries, holder, options)),
    skip: async ({ project, item, reviewer, lease }) => {
      const rows = await database.query(
        `update plumbline.review_responses as response set state = 'skipped'
        from plumbline.review_items as item
        where item.id = response.item and item.project = $1 and response.item = $2::uuid and reviewer = $3
          and lease = $4::uuid and response.state = 'leased' returning 1 as one`,
        [project, item, reviewer, lease],
      )
      return rows.length > 0 ? 'skipped' : 'none'
    },
    figures: (project) => readFigures(database, project),
    sampleLabels: (project) => readSampleLabels(database, project),
  }
}

async function held(queries: Queries, project: string, reviewer: string): Promise<string | undefined> {
  const [row] = await queries.query(
    `select item.id::text as id from plumbline.review_responses as mine join plumbline.review_items as item on item.id = mine.item
    where item.project = $1 and reviewer = $2 and mine.state = 'leased' and ${isLive()} limit 1`,
    [project, reviewer],
  )
  return row && String(row.id)
}

async function waiting(queries: Queries, project: string, reviewer: string): Promise<string | undefined> {
  const [row] = await queries.query(
    `select item.id::text as id from plumbline.review_items as item
    where item.project = $1 and item.state <> 'done' and ${hasPlace('$2')}
      and not exists (select 1 from plumbline.review_responses as mine
        where mine.item = item.id and reviewer = $2 and mine.state <> 'leased')
      and exists (select 1 from plumbline.interactions as stored where ${isAbout('item')} and redacted_at is null)
    order by item.priority desc, item.created_at, item.id limit 1`,
    [project, reviewer],
  )
  return row && String(row.id)
}

/** A lease that is live goes on under its name, so that a second window of one reviewer does not end the first. */
async function lease(queries: Queries, item: string, reviewer: string, leaseMs: number): Promise<Row> {
  const [row] = await queries.query(
    `insert into plumbline.review_responses as old (item, reviewer, state, lease, leased_until, started_at, is_blind)
    values ($1::uuid, $2, 'leased', $3::uuid, ${later('$4')}, clock_timestamp(),
      (select probability is not null from plumbline.review_items where id = $1::uuid))
    on conflict (item, reviewer) do update set leased_until = excluded.leased_until,
      lease = case when ${isLive('old.leased_until')} then old.lease else excluded.lease end,
      started_at = case when ${isLive('old.leased_until')} then old.started_at else excluded.started_at end
    returning lease::text as lease, leased_until::text as until, draft, is_blind`,
    [item, reviewer, randomUUID(), leaseMs],
  )
  return row
}

async function readLease(
  queries: Queries,
  project: string,
  reviewer: string,
  item: string,
  { lease, until, draft, is_blind }: Row,
): Promise<ReviewLease> {
  const [row] = await queries.query(
    `select array_to_string(reasons, ' ') as reasons, category, priority, item.state,
      (select body from plumbline.interactions as stored where ${isAbout('item')}
        order by (stored.record = item.record) is true desc, seq desc limit 1) as body
    from plumbline.review_items as item where item.id = $1::uuid`,
    [item],
  )
  const interaction = JSON.parse(String(row.body)) as Interaction
  const feedback = await queries.query(
    `select ${feedbackColumns} from plumbline.feedback where project = $1 and interaction in ($2, $3)
    order by feedback.seq desc limit 20`,
    [project, interaction.record, interaction.id],
  )
  const reasons = String(row.reasons).split(' ') as ReviewReason[]
  const disputed = reasons.includes('disagreement')
    ? {
        ratings: await readDisputed(queries, project, [interaction.record, interaction.id]),
        verdicts: await readVerdicts(queries, [interaction.record]),
      }
    : undefined
  const isAdjudication = row.state === 'disputed'
  const opinions = isAdjudication
    ? await queries.query(
        `select draft from plumbline.review_responses where item = $1::uuid and state = 'submitted' and reviewer <> $2
        order by submitted_at`,
        [item, reviewer],
      )
    : []
  return {
    item,
    lease: String(lease),
    leasedUntil: new Date(String(until)).toISOString(),
    reasons,
    category: row.category === null ? null : String(row.category),
    priority: Number(row.priority),
    isAdjudication,
    isBlind: is_blind === true,
    opinions: opinions.map((one) => JSON.parse(String(one.draft)) as ReviewDraft),
    draft: draft === null ? null : (JSON.parse(String(draft)) as ReviewDraft),
    feedback: feedback.map(toFeedback),
    disputed,
    interaction,
  }
}
