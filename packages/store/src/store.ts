import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  type Interaction,
  type KeyLimits,
  type KeyScope,
  keyLimitsSchema,
  keyScopeSchema,
  PlumblineError,
} from '@plumbline/contracts'
import { type Database, type Row, sqlState } from './database.ts'
import { migrate } from './migrate.ts'
import { openPglite } from './pglite.ts'
import { openPostgres } from './postgres.ts'
import { insertSecret, listSecrets, type StoredSecret } from './secrets.ts'

/** Where the records are: a folder, memory, or a PostgreSQL server. */
export type StorePlace = { readonly folder: string } | { readonly url: string } | 'memory'

/** A record on its way: its fields that the tables need, and the whole as JSON text. */
export interface RecordRow {
  readonly record: string
  readonly id: string
  readonly project: string
  readonly createdAt: string
  readonly json: string
}

/** Answers that could not be recorded. */
export interface Gap {
  readonly record: string
  readonly from: string
  readonly to: string
  readonly count: number
  readonly reason: string
}

/** A key as it is kept: never the key itself. */
export interface StoredKey {
  readonly id: string
  /** Of the whole key, hex. */
  readonly sha256: string
  readonly scope: KeyScope
  readonly project: string
  /** May make keys of other projects. */
  readonly isOperator: boolean
  readonly name: string
  /** Over those of the configuration. */
  readonly limits: KeyLimits
}

export interface Page {
  readonly data: readonly Interaction[]
  /** For `after` of the next page; null at the end. */
  readonly next: string | null
}

export interface Store {
  /**
   * Writes all rows in one transaction. A record that is there already stays as it is, so writing twice is harmless.
   * Gives how many were new.
   */
  insertInteractions(rows: readonly RecordRow[]): Promise<number>
  insertGaps(gaps: readonly Gap[]): Promise<void>
  /** Newest first, of one project only. */
  listInteractions(project: string, options: { limit: number; after?: string }): Promise<Page>
  /** How many answers are known not to be recorded. */
  countGaps(): Promise<number>
  insertKey(key: StoredKey, createdAt: string): Promise<void>
  /** Keys that are not revoked. */
  listKeys(): Promise<StoredKey[]>
  /** Of one project, or of any. Gives whether there was such a key. It stays in the table, so it cannot come back. */
  revokeKey(id: string, project: string | undefined, at: string): Promise<boolean>
  insertSecret(secret: StoredSecret): Promise<void>
  /** The newest last. */
  listSecrets(purpose: string): Promise<StoredSecret[]>
  close(): Promise<void>
}

const maxPageBytes = 16 * 2 ** 20

/** Opens the store and brings its tables up to date. Throws STORE_… errors that say what to do. */
export async function openStore(place: StorePlace): Promise<Store> {
  const database = await openDatabase(place)
  try {
    await migrate(database)
  } catch (error) {
    await database.close().catch(() => {})
    throw error instanceof PlumblineError ? error : openingFailed(place, error)
  }
  return createStore(database)
}

async function openDatabase(place: StorePlace): Promise<Database> {
  if (place === 'memory') return openPglite(undefined)
  if ('url' in place) return openPostgres(checkUrl(place.url))
  await mkdir(dirname(place.folder), { recursive: true })
  return openPglite(place.folder)
}

function checkUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'postgres:' || parsed?.protocol === 'postgresql:') return url
  // The URL itself is not shown: it may hold a password.
  throw new PlumblineError('STORE_URL', 'The database URL is not one of PostgreSQL.', {
    hint: 'It looks like postgres://user@host:5432/name; the password may come from PGPASSWORD.',
  })
}

function openingFailed(place: StorePlace, cause: unknown): PlumblineError {
  const reason = cause instanceof Error ? cause.message || (cause as { code?: string }).code : String(cause)
  if (place !== 'memory' && 'url' in place) {
    const hint =
      sqlState(cause) === undefined
        ? 'Check that the server runs and that its host and port are right.'
        : 'Check the user, its password and that it may create a schema in this database.'
    return new PlumblineError('STORE_AWAY', `The database does not let us in: ${reason}.`, { hint, cause })
  }
  return new PlumblineError('STORE_BROKEN', `The embedded store cannot be opened: ${reason}.`, {
    hint: 'Check the disk and who owns the folder; move the folder away to start with an empty store.',
    cause,
  })
}

export function createStore(database: Database): Store {
  return {
    insertInteractions: async (rows) => {
      if (rows.length === 0) return 0
      const inserted = await database.query(
        `insert into plumbline.interactions (record, id, project, created_at, body)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
        on conflict (record) do nothing
        returning 1 as one`,
        [
          rows.map(({ record }) => record),
          rows.map(({ id }) => storable(id)),
          rows.map(({ project }) => storable(project)),
          rows.map(({ createdAt }) => createdAt),
          rows.map(({ json }) => json),
        ],
      )
      return inserted.length
    },
    insertGaps: async (gaps) => {
      if (gaps.length === 0) return
      await database.query(
        `insert into plumbline.gaps (record, from_time, to_time, count, reason)
        select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[]::integer[], $5::text[])
        on conflict (record) do nothing`,
        [
          gaps.map(({ record }) => record),
          gaps.map(({ from }) => from),
          gaps.map(({ to }) => to),
          gaps.map(({ count }) => String(count)),
          gaps.map(({ reason }) => storable(reason)),
        ],
      )
    },
    listInteractions: async (project, { limit, after }) => {
      // A page is cut where it would grow too large, after one record at the least: some are megabytes.
      const rows = await database.query(
        `select seq, body, found from (
          select seq::text as seq, body, (count(*) over ())::integer as found,
            sum(octet_length(body)) over (order by page.seq desc) as bytes, row_number() over (order by page.seq desc) as place
          from (
            select seq, body from plumbline.interactions
            where project = $1 and ($2::text is null or seq < $2::bigint)
            order by seq desc limit $3::integer + 1
          ) as page
        ) as sized where place = 1 or (bytes <= $4::integer and place <= $3::integer) order by place`,
        [project, after ?? null, limit, maxPageBytes],
      )
      const hasMore = rows.length > 0 && Number(rows[0].found) > rows.length
      return {
        data: rows.map(({ body }) => JSON.parse(String(body)) as Interaction),
        next: hasMore ? String(rows.at(-1)?.seq) : null,
      }
    },
    countGaps: async () => {
      const [row] = await database.query('select coalesce(sum(count), 0)::text as total from plumbline.gaps')
      return Number(row.total)
    },
    insertKey: async ({ id, sha256, scope, project, isOperator, name, limits }, createdAt) => {
      const own = Object.keys(limits).length === 0 ? null : JSON.stringify(limits)
      await database.query(
        `insert into plumbline.api_keys (id, sha256, scope, project, is_operator, name, created_at, limits)
        values ($1, $2, $3, $4, $5, $6, $7::timestamptz, $8) on conflict (sha256) do nothing`,
        [id, sha256, scope, project, isOperator, storable(name), createdAt, own],
      )
    },
    listKeys: async () => {
      const rows = await database.query(
        `select id, sha256, scope, project, is_operator, name, limits from plumbline.api_keys
        where revoked_at is null order by created_at, id`,
      )
      return rows.map(toKey)
    },
    revokeKey: async (id, project, at) => {
      const rows = await database.query(
        `update plumbline.api_keys set revoked_at = $3::timestamptz
        where id = $1 and ($2::text is null or project = $2) and revoked_at is null returning 1 as one`,
        [id, project ?? null, at],
      )
      return rows.length > 0
    },
    insertSecret: (secret) => insertSecret(database, secret),
    listSecrets: (purpose) => listSecrets(database, purpose),
    close: () => database.close(),
  }
}

/** PostgreSQL's text holds every character but NUL. */
function storable(text: string): string {
  return text.replaceAll('\u0000', '\ufffd')
}

function toKey(row: Row): StoredKey {
  return {
    id: String(row.id),
    sha256: String(row.sha256),
    scope: keyScopeSchema.parse(row.scope),
    project: String(row.project),
    isOperator: row.is_operator === true,
    name: String(row.name),
    limits: keyLimitsSchema.parse(row.limits === null ? {} : JSON.parse(String(row.limits))),
  }
}
