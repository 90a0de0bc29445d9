import type { Database, Queries } from './database.ts'
import { erasureLock } from './interactions.ts'
import { type RedactionReason, redactBody } from './redact.ts'

/** What is to go: everything about a person (the hash), or one record; up to a time. */
export interface Erasure {
  readonly project: string
  readonly target: string
  readonly kind: 'subject' | 'record'
  readonly mode: 'delete' | 'redact'
  readonly at: string
}

/** What the store held when it was noted: that goes too, though a clock that was set back since dates it later. */
export interface NotedErasure extends Erasure {
  /** The newest `seq` of then. */
  readonly lastRecord: string
  readonly lastFeedback: string
}

export interface Erasures {
  /**
   * From now on no such record gets in, not out of a spool either, nor from a second process. What is in the store
   * already goes with `erase`.
   */
  noteErasure(erasure: Erasure): Promise<NotedErasure>
  /** Takes out of the store what a noted erasure is about, in batches. Gives how many records that were. */
  erase(erasure: Erasure | NotedErasure, options?: BatchOptions): Promise<number>
}

export interface BatchOptions {
  /** Stops between two batches. */
  readonly signal?: AbortSignal | undefined
  readonly batchRows?: number | undefined
}

export function createErasures(database: Database): Erasures {
  return {
    noteErasure: (erasure) =>
      database.transaction(async (queries) => {
        const { project, target, mode, at } = erasure
        await queries.query('select pg_advisory_xact_lock($1::bigint)', [erasureLock])
        await queries.query(
          `insert into plumbline.erasures as old (project, target, mode, at) values ($1, $2, $3, $4::timestamptz)
          on conflict (project, target, mode) do update set at = greatest(old.at, excluded.at)`,
          [project, target, mode, at],
        )
        const [row] = await queries.query(
          `select coalesce((select max(seq) from plumbline.interactions), 0)::text as records,
            coalesce((select max(seq) from plumbline.feedback), 0)::text as feedback`,
        )
        return { ...erasure, lastRecord: String(row.records), lastFeedback: String(row.feedback) }
      }),
    erase: async ({ project, target, kind, mode, at, ...noted }, options = {}) => {
      const { lastRecord, lastFeedback } = { lastRecord: '0', lastFeedback: '0', ...noted }
      const about = kind === 'subject' ? 'subjects @> array[$2]' : 'record = $2::uuid'
      const where = `project = $1 and ${about} and ${isBefore}`
      const parameters = [project, target, at, lastRecord]
      if (kind === 'subject') await deleteFeedbackOf(database, [project, target, at, lastFeedback])
      if (mode === 'delete') return deleteInBatches(database, where, parameters, options)
      // A person's records lose their link to the person too, so that none is met twice.
      const isLeft = kind === 'subject' ? where : `${where} and redacted_at is null`
      return redactInBatches(database, isLeft, parameters, { ...options, at, reason: kind })
    },
  }
}

const isBefore = '(created_at <= $3::timestamptz or seq <= $4::bigint)'

/** What somebody said goes whole in both modes: it is nothing but their words. */
async function deleteFeedbackOf(queries: Queries, parameters: readonly string[]): Promise<void> {
  await queries.query(`delete from plumbline.feedback where project = $1 and actor = $2 and ${isBefore}`, parameters)
}

/** `where` is text of ours, never a caller's. */
export async function deleteInBatches(
  database: Database,
  where: string,
  parameters: readonly (string | null)[],
  { signal, batchRows = 500 }: BatchOptions,
): Promise<number> {
  for (let total = 0; ; ) {
    signal?.throwIfAborted()
    const deleted = await database.query(
      `with gone as (
        delete from plumbline.interactions where seq in
          (select seq from plumbline.interactions where ${where} limit ${batchRows})
        returning project, record, id
      ), feedback as (
        delete from plumbline.feedback as said using gone where ${isAboutGone('said')}
      ), review as (
        delete from plumbline.review_items as item using gone where ${isAboutGone('item')}
      ), evaluations as (
        delete from plumbline.evaluations where ${standsForGone('plumbline.evaluations')}
      ), pairs as (
        delete from plumbline.counterfactual_pairs where ${standsForGone('plumbline.counterfactual_pairs')}
      ) select 1 as one from gone`,
      parameters,
    )
    total += deleted.length
    if (deleted.length === 0) return total
  }
}

/**
 * What was found in a record goes with it. Looked up record by record: the planner takes a batch for so much of a table,
 * without statistics and often with them, that it reads all of it. Nothing rewrites these rows, so they stay in their place.
 */
const standsForGone = (table: string) => `ctid = any(array(
  select own.place from gone cross join lateral
    (select ctid as place from ${table} as one where one.record = gone.record offset 0) as own
))`

/** What people said of a record, and thought of it, goes with it. */
const isAboutGone = (one: string) =>
  `${one}.project = gone.project and ${one}.interaction in (gone.id, gone.record::text)`

/** Records that lost their words lose those that were said of them too. */
async function forgetWords(queries: Queries, seqs: readonly string[]): Promise<void> {
  const gone = `(select project, record, id from plumbline.interactions
    where seq in (select seq::bigint from unnest($1::text[]) as seq)) as gone`
  await queries.query(
    `update plumbline.feedback as said set content = null, chosen = null, rejected = null
    from ${gone} where ${isAboutGone('said')}`,
    [seqs],
  )
  await queries.query(
    `update plumbline.review_responses as response set draft = null
    from ${gone}, plumbline.review_items as item where item.id = response.item and ${isAboutGone('item')}`,
    [seqs],
  )
}

/** As `deleteInBatches`; the rows stay without their content. `where` must not hold of them afterwards. */
export async function redactInBatches(
  database: Database,
  where: string,
  parameters: readonly (string | null)[],
  { signal, batchRows = 100, at, reason }: BatchOptions & { at: string; reason: RedactionReason },
): Promise<number> {
  for (let total = 0; ; ) {
    signal?.throwIfAborted()
    const done = await database.transaction(async (queries) => {
      const rows = await queries.query(
        `select seq::text as seq, body from plumbline.interactions where ${where}
        order by created_at limit ${batchRows} for update`,
        parameters,
      )
      const seqs = rows.map(({ seq }) => String(seq))
      const bodies = rows.map(({ body }) => redactBody(String(body), at, reason))
      await queries.query(
        `update plumbline.interactions as stored
        set body = redacted.body, subjects = string_to_array(redacted.subjects, ' '), redacted_at = $4::timestamptz
        from unnest($1::text[], $2::text[], $3::text[]) as redacted (seq, body, subjects)
        where stored.seq = redacted.seq::bigint`,
        [seqs, bodies.map(({ json }) => json), bodies.map(({ subjects }) => subjects?.join(' ') ?? null), at],
      )
      await forgetWords(queries, seqs)
      return rows.length
    })
    total += done
    if (done === 0) return total
  }
}
