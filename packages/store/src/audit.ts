import { createHash } from 'node:crypto'
import { type Database, type Queries, type Row, within } from './database.ts'
import { type Page, type PageOptions, pageOf } from './interactions.ts'
import { storable } from './storable.ts'

/** Who did what to what, and how it ended. */
export interface AuditEvent {
  /** The id of a key, or `command line`. */
  readonly actor: string
  /** `key.create`, `subject.delete`, …. */
  readonly action: string
  readonly project: string
  readonly target: string | null
  readonly outcome: 'done' | 'refused'
  readonly at: string
}

/** An event in its place; `sha256` is over the hash of the one before and this one. */
export interface AuditEntry extends AuditEvent {
  readonly position: number
  readonly sha256: string
}

export interface AuditLog {
  append(event: AuditEvent): Promise<void>
  /** Newest first; of every project where none is given. */
  list(project: string | undefined, options: PageOptions): Promise<Page<AuditEntry>>
  /** Follows the chain from its beginning; the position of the first entry that is not what was written. */
  verify(): Promise<number | undefined>
}

const auditLock = 7_586_215
const firstHash = '0'.repeat(64)
const verifiedAtOnce = 1_000

export function createAuditLog(database: Database): AuditLog {
  return {
    append: (event) => database.transaction((queries) => append(queries, event)),
    list: async (project, { limit, after }) => {
      const rows = await database.query(
        `select position::text as position, entry, sha256 from plumbline.audit
        where ($1::text is null or project = $1) and ($2::text is null or position < $2::bigint)
        order by audit.position desc limit $3::integer + 1`,
        [project ?? null, after ?? null, limit],
      )
      const toItem = (row: Row) => ({ ...JSON.parse(String(row.entry)), sha256: String(row.sha256) })
      return pageOf(rows, limit, { toItem, place: 'position' })
    },
    verify: async () => {
      let previous = firstHash
      for (let position = 1; ; ) {
        const rows = await database.query(
          `select position::text as position, project, entry, sha256 from plumbline.audit
          where position >= $1::bigint order by audit.position limit $2::integer`,
          [position, verifiedAtOnce],
        )
        for (const row of rows) {
          const isRight = Number(row.position) === position && chained(previous, String(row.entry)) === row.sha256
          if (!isRight || JSON.parse(String(row.entry)).project !== row.project) return position
          previous = String(row.sha256)
          position++
        }
        if (rows.length < verifiedAtOnce) return undefined
      }
    },
  }
}

/** Does `work` and notes it, both or neither. */
export async function audited<T>(
  database: Database,
  event: AuditEvent,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  return database.transaction(async (queries) => {
    const result = await work(within(queries))
    await append(queries, event)
    return result
  })
}

async function append(queries: Queries, event: AuditEvent): Promise<void> {
  await queries.query('select pg_advisory_xact_lock($1::bigint)', [auditLock])
  const [last] = await queries.query(
    'select position::text as position, sha256 from plumbline.audit order by audit.position desc limit 1',
  )
  const position = Number(last?.position ?? 0) + 1
  const entry = storable(JSON.stringify({ position, ...event }))
  await queries.query(
    'insert into plumbline.audit (position, project, entry, sha256) values ($1::bigint, $2, $3, $4)',
    [position, event.project, entry, chained(String(last?.sha256 ?? firstHash), entry)],
  )
}

function chained(previous: string, entry: string): string {
  return createHash('sha256').update(`${previous}\n${entry}`).digest('hex')
}
