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
    const deleted = await database.transaction(async (queries) => {
      // Who writes about a record holds it shared from the look whether that is there: what they wrote goes too.
      await queries.query('select pg_advisory_xact_lock($1::bigint)', [erasureLock])
      return queries.query(
        `with gone as (
          delete from plumbline.interactions where seq in
            (select seq from plumbline.interactions where ${where} limit ${batchRows})
          returning project, record, id
        ), feedback as (
          delete from plumbline.feedback where seq = ${ofGone('seq', 'plumbline.feedback', saidOfGone)}
        ), review as (
          delete from plumbline.review_items where id = ${ofGone('id', 'plumbline.review_items', saidOfGone)}
        ), evaluations as (
          delete from plumbline.evaluations where ctid = ${ofGone('ctid', 'plumbline.evaluations', foundInGone)}
        ), pairs as (
          delete from plumbline.counterfactual_pairs
          where ctid = ${ofGone('ctid', 'plumbline.counterfactual_pairs', foundInGone)}
        ) select 1 as one from gone`,
        parameters,
      )
    })
    total += deleted.length
    if (deleted.length === 0) return total
  }
}

/** What people said of a record, and thought of it, goes with it. */
const saidOfGone = 'one.project = gone.project and one.interaction in (gone.id, gone.record::text)'
/** Nothing rewrites what was found in a record, so it stays at its `ctid`. */
const foundInGone = 'one.record = gone.record'

/**
 * What stands for the rows of `gone`, record by record: the planner takes a batch for so much of a table, without statistics
 * and often with them, that it would read all of it.
 */
const ofGone = (key: string, table: string, condition: string) => `any(array(
  select own.key from gone cross join lateral
    (select ${key} as key from ${table} as one where ${condition} offset 0) as own
))`

/** Records that lost their words lose those that were said of them too. */
async function forgetWords(queries: Queries, seqs: readonly string[]): Promise<void> {
  const gone = `gone as (select project, record, id from plumbline.interactions
    where seq in (select seq::bigint from unnest($1::text[]) as seq))`
  await queries.query(
    `with ${gone} update plumbline.feedback set content = null, chosen = null, rejected = null
    where seq = ${ofGone('seq', 'plumbline.feedback', saidOfGone)}`,
    [seqs],
  )
  await queries.query(
    `with ${gone} update plumbline.review_responses set draft = null
    where item = ${ofGone('id', 'plumbline.review_items', saidOfGone)}`,
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
