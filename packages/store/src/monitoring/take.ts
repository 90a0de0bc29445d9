import type { Database } from '../database.ts'
import { erasureLock } from '../interactions.ts'

/** What is known of a record without reading it. */
export interface RecordHead {
  readonly record: string
  readonly project: string
  readonly at: string
  readonly model: string | null
  /** The configuration of the gateway that it came through. */
  readonly config: string | null
  readonly bytes: number
  /** Its words were taken out: nothing can be said of it any more. */
  readonly isRedacted: boolean
  /** Whether a model said something that is still there. */
  readonly hasAnswer: boolean
  /** A guard found something. */
  readonly isGuarded: boolean
}

/** Records after one place in their order, up to another. */
export interface Taken {
  readonly lane: string
  readonly from: string
  readonly to: string
  readonly heads: readonly RecordHead[]
  /** Whether more wait behind these. */
  readonly hasMore: boolean
}

/** The database looks through this much of the records' text at once. */
const maxBytes = 32 * 2 ** 20

/** A record's text up to its request, which is last: from there on it is a client's words, and these write no marks. */
export const beforeRequest = `split_part(body, ',"request":', 1)`

/** The next records that nobody in this lane has looked at; undefined when there are none. */
export async function take(database: Database, lane: string, most: number): Promise<Taken | undefined> {
  const from = await cursorOf(database, lane)
  const end = await horizon(database, from)
  if (end === undefined) return undefined
  // Only what an older version wrote is searched. Unescaped quotes stand between JSON's own texts only, so a model cannot
  // write these marks.
  const rows = await database.query(
    `with near as materialized (
      select seq, octet_length(body) as bytes from plumbline.interactions
      where seq > $1::bigint order by seq limit $3::integer
    ), page as materialized (
      select seq, bytes from (
        select seq, bytes, sum(bytes) over (order by seq) as total, row_number() over (order by seq) as place from near
      ) as summed where seq <= $2::bigint and (place = 1 or total <= ${maxBytes})
    )
    select page.seq::text as seq, record::text as record, project, created_at::text as at, model, page.bytes::integer as bytes,
      redacted_at is not null as is_redacted,
      redacted_at is null and coalesce(has_answer, position('"choices":[{' in head) > 0) as has_answer,
      redacted_at is null and coalesce(is_guarded, position('"guards":[{' in head) > 0
        and head ~ '"outcome":"(flagged|redacted|blocked)"') as is_guarded,
      coalesce(config, substring(head from '"config":"([^"]{1,64})"')) as config
    from page join plumbline.interactions as stored on stored.seq = page.seq
    cross join lateral (
      select case when has_answer is null then ${beforeRequest} end as head offset 0
    ) as own order by page.seq`,
    [from, end, most],
  )
  const to = rows.length === 0 ? end : String(rows.at(-1)!.seq)
  return {
    lane,
    from,
    to,
    heads: rows.map((row) => ({
      record: String(row.record),
      project: String(row.project),
      at: new Date(String(row.at)).toISOString(),
      model: row.model === null ? null : String(row.model),
      config: row.config === null ? null : String(row.config),
      bytes: Number(row.bytes),
      isRedacted: row.is_redacted === true,
      hasAnswer: row.has_answer === true,
      isGuarded: row.is_guarded === true,
    })),
    hasMore: to !== end,
  }
}

/** A lane that was never there looks at what comes from now on; one that was goes on where it stands. */
export async function begin(database: Database, lane: string): Promise<void> {
  await database.query(
    `insert into plumbline.monitor_cursors select $1::text, coalesce(max(seq), 0) from plumbline.interactions
    on conflict (lane) do nothing`,
    [lane],
  )
}

/** As if it had never been there. */
export async function forget(database: Database, lane: string): Promise<void> {
  await database.query('delete from plumbline.monitor_cursors where lane = $1', [lane])
}

async function cursorOf(database: Database, lane: string): Promise<string> {
  await database.query('insert into plumbline.monitor_cursors values ($1, 0) on conflict (lane) do nothing', [lane])
  const [row] = await database.query('select seq::text as seq from plumbline.monitor_cursors where lane = $1', [lane])
  return String(row.seq)
}

/**
 * The last record, when all before it are there: writers hold this lock until they commit, so nobody who has a lower
 * number is still under way. Undefined when nothing came after `from`.
 */
async function horizon(database: Database, from: string): Promise<string | undefined> {
  const last = 'select max(seq)::text as last from plumbline.interactions'
  const [seen] = await database.query(last)
  if (seen.last === null || BigInt(String(seen.last)) <= BigInt(from)) return undefined
  return database.transaction(async (queries) => {
    await queries.query('select pg_advisory_xact_lock($1::bigint)', [erasureLock])
    const [row] = await queries.query(last)
    return row.last === null ? undefined : String(row.last)
  })
}

/** Whole records as JSON; one that has gone is left out. */
export async function readBodies(
  database: Database,
  records: readonly string[],
): Promise<{ record: string; body: string }[]> {
  const rows = await database.query(
    'select record::text as record, body from plumbline.interactions where record = any($1::uuid[])',
    [records],
  )
  return rows.map(({ record, body }) => ({ record: String(record), body: String(body) }))
}
