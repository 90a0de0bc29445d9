import type { ActorKind, Feedback, FeedbackKind } from '@plumbline/contracts'
import type { Database, Queries, Row } from '../database.ts'
import { erasureLock, isUuid, type Page, type PageOptions, pageOf } from '../interactions.ts'
import { enqueueForReview, type ReviewRequest } from '../review/queue.ts'
import { storable } from '../storable.ts'
import { lockRatings, requestDisputed } from './disputed.ts'
import { editWindowMs, type FeedbackRow, latestOfEach } from './latest.ts'
import { namedSql, namesOf } from './named.ts'

interface FeedbackFilter {
  /** An answer's own id or that of its record: what was said under either. */
  readonly interaction?: string | undefined
  /** Left out. */
  readonly without?: ActorKind | undefined
}

export interface FeedbackStore {
  /**
   * Writes all rows in one transaction. One that is there already is replaced by a later one within the time for edits
   * and by none after it; so writing twice, and in another order, gives the same. What was erased stays erased.
   */
  insertFeedback(rows: readonly FeedbackRow[]): Promise<void>
  /** Newest first, of one project only. */
  listFeedback(project: string, options: PageOptions & FeedbackFilter): Promise<Page<Feedback>>
}

export function createFeedback(database: Database): FeedbackStore {
  return {
    insertFeedback: async (rows) => {
      if (rows.length === 0) return
      await database.transaction(async (queries) => {
        await queries.query('select pg_advisory_xact_lock_shared($1::bigint)', [erasureLock])
        await lockRatings(queries, rows)
        const kept = await withoutErased(queries, latestOfEach(rows))
        await upsert(queries, kept)
        await enqueueForReview(queries, [
          ...(await requestDisputed(queries, kept)),
          ...(await requestSerious(queries, kept)),
        ])
      })
    },
    listFeedback: async (project, { limit, after, interaction, without }) => {
      const names = interaction === undefined ? null : await bothNames(database, project, interaction)
      const rows = await database.query(
        `select ${feedbackColumns} from plumbline.feedback
        where project = $1 and ($2::text is null or seq < $2::bigint)
          and ($3::text[] is null or interaction = any($3::text[]))
          and ($5::text is null or actor_kind <> $5)
        order by feedback.seq desc limit $4::integer + 1`,
        [project, after ?? null, names, limit, without ?? null],
      )
      return pageOf(rows, limit, { toItem: toFeedback, place: 'seq' })
    },
  }
}

/** What an answer may be called in feedback; the name alone where its record has not come. */
async function bothNames(queries: Queries, project: string, name: string): Promise<string[]> {
  const [row] = await queries.query(`select own_record, own_id from (${namedSql}) as named`, [
    ['0'],
    [storable(project)],
    [storable(name)],
    [isUuid(name) ? name : null],
  ])
  return [storable(name), row.own_record, row.own_id].filter((one) => one !== null).map(String)
}

/** What people must look at, whatever others say: by its record, so that one answer is one item. */
async function requestSerious(queries: Queries, rows: readonly FeedbackRow[]): Promise<ReviewRequest[]> {
  const serious = rows.filter(({ people }) => people > 0)
  if (serious.length === 0) return []
  const found = await queries.query(
    `select index, coalesce(own_record, interaction) as answer from (${namedSql}) as named`,
    namesOf(serious),
  )
  return found.map(({ index, answer }) => {
    const { project, kind, category, people, at } = serious[Number(index)]
    const reason = kind === 'flag' ? 'flag' : 'high_stakes'
    const priority = people > 1 ? 90 : 70
    return { project, interaction: String(answer), reason, category, priority, people, gold: null, at }
  })
}

export const feedbackColumns = `seq::text as seq, id::text as id, interaction, kind, category, rating::text as rating, content, chosen,
  rejected, actor_kind, actor, consent, created_at::text as created_at, updated_at::text as updated_at`

export function toFeedback(row: Row): Feedback {
  const text = (value: unknown) => (value === null ? null : String(value))
  return {
    id: String(row.id),
    interaction: String(row.interaction),
    kind: row.kind as FeedbackKind,
    category: text(row.category),
    rating: row.rating === null ? null : Number(row.rating),
    text: text(row.content),
    chosen: text(row.chosen),
    rejected: text(row.rejected),
    actor_kind: row.actor_kind as ActorKind,
    actor: String(row.actor),
    consent: row.consent as boolean | null,
    created_at: new Date(String(row.created_at)).toISOString(),
    updated_at: new Date(String(row.updated_at)).toISOString(),
  }
}

type Timed = FeedbackRow & { readonly firstAt: string }

/** Leaves out what is about an erased record, or was said by somebody who was erased afterwards. */
async function withoutErased(queries: Queries, rows: readonly Timed[]): Promise<Timed[]> {
  const erased = await queries.query(
    `select sent.index from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
      as sent (index, project, interaction, actor, at)
    where exists (select 1 from plumbline.erasures as erasure where erasure.project = sent.project
      and (erasure.target = sent.interaction or (erasure.target = sent.actor and erasure.at >= sent.at)))`,
    [
      rows.map((_, index) => String(index)),
      rows.map(({ project }) => storable(project)),
      rows.map(({ interaction }) => storable(interaction)),
      rows.map(({ actor }) => actor),
      rows.map(({ at }) => at),
    ],
  )
  const gone = new Set(erased.map(({ index }) => Number(index)))
  return rows.filter((_, index) => !gone.has(index))
}

/** What an edit replaces, and what one is: `old` is what is there. */
const edited = ['category', 'rating', 'content', 'chosen', 'rejected', 'consent', 'updated_at']
const isEdit = `(excluded.updated_at > old.updated_at
  and excluded.updated_at <= old.created_at + $17::float8 * interval '1 millisecond')`

async function upsert(queries: Queries, rows: readonly Timed[]): Promise<void> {
  const texts = (read: (row: Timed) => string | null) =>
    rows.map((row) => {
      const text = read(row)
      return text === null ? null : storable(text)
    })
  await queries.query(
    `insert into plumbline.feedback as old (project, id, interaction, record, kind, category, rating, content, chosen,
      rejected, actor_kind, actor, consent, people, created_at, updated_at)
    select * from unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::float8[], $8::text[],
      $9::text[], $10::text[], $11::text[], $12::text[], $13::boolean[], $14::integer[], $15::timestamptz[],
      $16::timestamptz[])
    on conflict (project, id) do update set
      ${edited.map((column) => `${column} = case when ${isEdit} then excluded.${column} else old.${column} end`).join(', ')},
      people = greatest(old.people, excluded.people), created_at = least(old.created_at, excluded.created_at)
    where ${isEdit} or excluded.created_at < old.created_at`,
    [
      texts(({ project }) => project),
      rows.map(({ id }) => id),
      texts(({ interaction }) => interaction),
      rows.map(({ interaction }) => (isUuid(interaction) ? interaction : null)),
      rows.map(({ kind }) => kind),
      texts(({ category }) => category),
      rows.map(({ rating }) => (rating === null ? null : String(rating))),
      texts(({ text }) => text),
      texts(({ chosen }) => chosen),
      texts(({ rejected }) => rejected),
      rows.map(({ actorKind }) => actorKind),
      rows.map(({ actor }) => actor),
      rows.map(({ consent }) => (consent === null ? null : String(consent))),
      rows.map(({ people }) => String(people)),
      rows.map(({ firstAt }) => firstAt),
      rows.map(({ at }) => at),
      editWindowMs,
    ],
  )
}
