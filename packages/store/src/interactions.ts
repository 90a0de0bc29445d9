import type { Interaction } from '@plumbline/contracts'
import type { Database, Queries, Row } from './database.ts'
import { type InteractionFilter, list } from './list-interactions.ts'
import type { RecordFacts } from './record-facts.ts'
import { redactBody } from './redact.ts'
import { storable } from './storable.ts'

/** A record on its way: the fields that the tables need, and the whole as JSON text. */
export interface RecordRow<Json = string> extends RecordFacts {
  readonly record: string
  readonly id: string
  readonly project: string
  readonly createdAt: string
  readonly keyId: string | null
  readonly model: string | null
  readonly termination: string | null
  /** Hashes of the people it is about. */
  readonly subjects: readonly string[]
  readonly json: Json
}

/** Bytes are UTF-8. */
export type JsonText = string | Uint8Array

export interface Page<Item> {
  readonly data: readonly Item[]
  /** For `after` of the next page; null at the end. */
  readonly next: string | null
}

/** A page of rows of which one more than `limit` was asked for; `place` is what `after` is compared with. */
export function pageOf<Item>(
  rows: readonly Row[],
  limit: number,
  { toItem, place }: { readonly toItem: (row: Row) => Item; readonly place: string },
): Page<Item> {
  const page = rows.slice(0, limit)
  return { data: page.map(toItem), next: rows.length > limit ? String(page[limit - 1][place]) : null }
}

export interface PageOptions {
  readonly limit: number
  readonly after?: string | undefined
}

export interface Interactions {
  /**
   * Writes all rows in one transaction. A record that is there already stays as it is, so writing twice is harmless; one
   * that was erased stays erased. Gives how many were new.
   */
  insertInteractions(rows: readonly RecordRow<JsonText>[]): Promise<number>
  /**
   * Newest first, of one project only. With a filter one call looks at a bounded number of records: a page may be
   * short, or empty, and `next` still leads on.
   */
  listInteractions(project: string, options: PageOptions & InteractionFilter): Promise<Page<Interaction>>
  /** By our own id of it, else the newest with that id of an answer. */
  findInteraction(project: string, id: string): Promise<Interaction | undefined>
}

/** Held shared by those who write records, or about them, alone by one who notes an erasure or deletes: none slips through between the two. */
export const erasureLock = 7_586_214

export function createInteractions(database: Database): Interactions {
  return {
    insertInteractions: async (rows) => {
      if (rows.length === 0) return 0
      return database.transaction(async (queries) => {
        await queries.query('select pg_advisory_xact_lock_shared($1::bigint)', [erasureLock])
        return insert(queries, await withoutErased(queries, rows))
      })
    },
    listInteractions: (project, options) => list(database, project, options),
    findInteraction: async (project, id) => {
      const [row] = await database.query(
        `select body from plumbline.interactions where project = $1 and (id = $2 or record = $3::uuid)
        order by (record = $3::uuid) is true desc, seq desc limit 1`,
        [project, storable(id), isUuid(id) ? id : null],
      )
      return row === undefined ? undefined : (JSON.parse(String(row.body)) as Interaction)
    },
  }
}

/** A record as it is kept: the request is last, so that what is searched for before it is none of a client's words. */
export function interactionJson({ request, ...fields }: Interaction): string {
  return JSON.stringify({ ...fields, request })
}

export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}

/** Leaves out records that were deleted before they came, and the content of those that were redacted. */
async function withoutErased(queries: Queries, rows: readonly RecordRow<JsonText>[]): Promise<StoredRow[]> {
  const asTheyCame = () => rows.map((row) => ({ ...row, redactedAt: null }))
  const [first] = await queries.query('select 1 as one from plumbline.erasures limit 1')
  if (first === undefined) return asTheyCame()
  const targets = rows.flatMap((row, index) => [row.record, ...row.subjects].map((target) => ({ row, target, index })))
  const erased = await queries.query(
    `select sent.index::integer as index, erasure.mode, erasure.at::text as at, erasure.target = sent.record as is_record
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
      as sent (index, project, target, record, created_at)
    join plumbline.erasures as erasure
      on erasure.project = sent.project and erasure.target = sent.target and erasure.at >= sent.created_at`,
    [
      targets.map(({ index }) => String(index)),
      targets.map(({ row }) => storable(row.project)),
      targets.map(({ target }) => target),
      targets.map(({ row }) => row.record),
      targets.map(({ row }) => row.createdAt),
    ],
  )
  if (erased.length === 0) return asTheyCame()
  const deleted = new Set(erased.filter(({ mode }) => mode === 'delete').map(({ index }) => Number(index)))
  const redacted = new Map(erased.map((erasure) => [Number(erasure.index), erasure]))
  return rows.flatMap((row, index): StoredRow[] => {
    if (deleted.has(index)) return []
    const erasure = redacted.get(index)
    if (erasure === undefined) return [{ ...row, redactedAt: null }]
    const redactedAt = new Date(String(erasure.at)).toISOString()
    const { json, subjects } = redactBody(
      textOf(row.json),
      redactedAt,
      erasure.is_record === true ? 'record' : 'subject',
    )
    return [{ ...row, json, subjects: subjects ?? [], redactedAt }]
  })
}

interface StoredRow extends RecordRow<JsonText> {
  readonly redactedAt: string | null
}

/**
 * Between the bodies on their way: JSON holds no such character. An array would have every quote of every body escaped on
 * this side and parsed on the other. One that stands in a body all the same makes one row too many, which `not null`
 * refuses.
 */
const separator = '\u001e'

/** As bytes they are read from the spool and sent: a text of megabytes would be decoded, measured and encoded again. */
function joinBodies(rows: readonly StoredRow[]): Buffer {
  const between = Buffer.from(separator)
  return Buffer.concat(rows.flatMap(({ json }, i) => (i === 0 ? [bytesOf(json)] : [between, bytesOf(json)])))
}

function bytesOf(json: JsonText): Uint8Array {
  return typeof json === 'string' ? Buffer.from(json) : json
}

function textOf(json: JsonText): string {
  return typeof json === 'string' ? json : Buffer.from(json).toString()
}

async function insert(queries: Queries, rows: readonly StoredRow[]): Promise<number> {
  const [{ count }] = await queries.query(
    `with sent as (
      select unnest($1::uuid[]) as record, unnest($2::text[]) as id, unnest($3::text[]) as project,
        unnest($4::timestamptz[]) as created_at, unnest($5::text[]) as key_id, unnest($6::text[]) as model,
        unnest($7::text[]) as termination, unnest($8::text[]) as subjects, unnest($9::timestamptz[]) as redacted_at,
        unnest($10::text[]) as config, unnest($11::text[])::boolean as has_answer, unnest($12::text[])::boolean as is_guarded,
        string_to_table($13::text, $14::text) as body
    ), written as (
      insert into plumbline.interactions
        (record, id, project, created_at, key_id, model, termination, subjects, redacted_at,
          config, has_answer, is_guarded, body)
      select record, id, project, created_at, key_id, model, termination, string_to_array(subjects, ' '), redacted_at,
        config, has_answer, is_guarded, body
      from sent on conflict (record) do nothing returning 1
    )
    select count(*)::integer as count from written`,
    [
      rows.map(({ record }) => record),
      rows.map(({ id }) => storable(id)),
      rows.map(({ project }) => storable(project)),
      rows.map(({ createdAt }) => createdAt),
      rows.map(({ keyId }) => keyId),
      rows.map(({ model }) => model && storable(model)),
      rows.map(({ termination }) => termination),
      rows.map(({ subjects }) => (subjects.length === 0 ? null : subjects.join(' '))),
      rows.map(({ redactedAt }) => redactedAt),
      rows.map(({ config }) => config && storable(config)),
      rows.map(({ hasAnswer }) => (hasAnswer === null ? null : String(hasAnswer))),
      rows.map(({ isGuarded }) => (isGuarded === null ? null : String(isGuarded))),
      joinBodies(rows),
      separator,
    ],
  )
  return Number(count)
}
