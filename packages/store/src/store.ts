import { existsSync } from 'node:fs'
import { mkdir, rm, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type KeyLimits, type KeyScope, keyLimitsSchema, keyScopeSchema, PlumblineError } from '@plumbline/contracts'
import { type AuditEvent, type AuditLog, audited, createAuditLog } from './audit.ts'
import { type BackupOptions, type BackupResult, backup } from './backup/backup.ts'
import { type RestoreOptions, restore } from './backup/restore.ts'
import { type Database, type Row, sqlState } from './database.ts'
import { createErasures, type Erasures } from './erasure.ts'
import { type ExportOptions, exportInteractions } from './export/export.ts'
import { exportTraining, type TrainingCounts, type TrainingOptions } from './export/training.ts'
import { createFeedback, type FeedbackStore } from './feedback/feedback.ts'
import type { Write } from './files.ts'
import { createInteractions, type Interactions, type Page, type PageOptions, pageOf } from './interactions.ts'
import { createJobs, type Jobs } from './jobs/jobs.ts'
import { migrate } from './migrate.ts'
import { createMonitoring, type Monitoring } from './monitoring/monitoring.ts'
import { openPglite } from './pglite.ts'
import { openPostgres } from './postgres.ts'
import { type StoreProcessOptions, startStoreProcess } from './process/store-process.ts'
import { createRetention, type Retention } from './retention.ts'
import { createReview, type Review } from './review/review.ts'
import { insertSecret, listSecrets, type StoredSecret } from './secrets.ts'
import { createSessions, type Sessions } from './sessions.ts'
import { type Shipper, type ShipperOptions, startShipper } from './spool/shipper.ts'
import type { Spool } from './spool/spool.ts'
import { storable } from './storable.ts'
import { createSubjectHasher, readSubjectSecret, type SubjectHasher } from './subject.ts'
import type { Vacuumed } from './vacuum.ts'

/** Where the records are: a folder, memory, or a PostgreSQL server. */
export type StorePlace = { readonly folder: string } | { readonly url: string } | 'memory'

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

/** What is shown of a key, revoked ones too. */
export interface KeyFacts {
  readonly id: string
  readonly scope: KeyScope
  readonly project: string
  readonly name: string
  readonly createdAt: string
  readonly revokedAt: string | null
}

export interface Store extends Interactions, Erasures, Retention, FeedbackStore {
  readonly review: Review
  readonly monitoring: Monitoring
  readonly jobs: Jobs
  readonly audit: AuditLog
  readonly sessions: Sessions
  /** Does `work` and notes it in the audit log: both or neither. */
  audited<T>(event: AuditEvent, work: (store: Store) => Promise<T>): Promise<T>
  /** Writes the interactions for other programs to read. Gives how many. */
  exportInteractions(write: Write, options: ExportOptions): Promise<number>
  /** Writes what people said of answers as rows for trainers. */
  exportTraining(write: Write, options: TrainingOptions): Promise<TrainingCounts>
  /** Writes everything for `restoreStore`. */
  backup(write: Write, options: BackupOptions): Promise<BackupResult>
  /** What turns a person's name into what is kept of it. */
  subjectHasher(): Promise<SubjectHasher>
  insertGaps(gaps: readonly Gap[]): Promise<void>
  /** How many answers are known not to be recorded. */
  countGaps(): Promise<number>
  insertKey(key: StoredKey, createdAt: string): Promise<void>
  /** Keys that are not revoked. */
  listKeys(): Promise<StoredKey[]>
  /** By id; of one project, or of all. */
  listKeyFacts(project: string | undefined, options: PageOptions): Promise<Page<KeyFacts>>
  /** Of one project, or of any. Gives whether there was such a key. It stays in the table, so it cannot come back. */
  revokeKey(id: string, project: string | undefined, at: string): Promise<boolean>
  insertSecret(secret: StoredSecret): Promise<void>
  /** The newest last. */
  listSecrets(purpose: string): Promise<StoredSecret[]>
  /** Makes the room of deleted rows free, and statistics anew, in an embedded store. */
  vacuum(signal?: AbortSignal): Promise<Vacuumed>
  close(): Promise<void>
}

/** Opens the store and brings its tables up to date. Throws STORE_… and USAGE_DATABASE, which say what to do. */
export async function openStore(place: StorePlace): Promise<Store> {
  const database = await opened(place, migrate)
  return createStore(database)
}

/** A store, and what brings records into it. */
export interface ShippedStore {
  readonly store: Store
  /** Brings the records of a spool into the store until it is stopped. */
  ship(spool: Spool, options: ShipperOptions): Shipper
}

/** As `openStore`; an embedded one in a process of its own, to which its spool's records go without passing here. */
export async function openShippedStore(place: StorePlace, options: StoreProcessOptions): Promise<ShippedStore> {
  if (place === 'memory' || 'url' in place) {
    const store = await openStore(place)
    return { store, ship: (spool, shipping) => startShipper(spool, store, shipping) }
  }
  const { database, watch, ship } = startStoreProcess(place.folder, options)
  await opened(place, migrate, () => database)
  watch()
  return { store: createStore(database), ship }
}

/** Fills an empty store from the lines of a backup. Where its folder was not there before, it is not there after a failure. */
export async function restoreStore(
  place: StorePlace,
  lines: AsyncIterable<string>,
  options?: RestoreOptions,
): Promise<BackupResult> {
  let result: BackupResult | undefined
  const folder = place !== 'memory' && 'folder' in place && !existsSync(place.folder) ? place.folder : undefined
  const database = await opened(place, async (one) => {
    result = await restore(one, lines, options)
  }).catch(async (error) => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true }).catch(() => {})
    throw error
  })
  await database.close()
  return result!
}

/** A database in which `begin` has gone well. */
async function opened(
  place: StorePlace,
  begin: (database: Database) => Promise<void>,
  open: (place: StorePlace) => Database | Promise<Database> = openDatabase,
): Promise<Database> {
  const database = await open(place)
  try {
    await begin(database)
    return database
  } catch (error) {
    await database.close().catch(() => {})
    throw error instanceof PlumblineError ? error : await openingFailed(place, error)
  }
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
  throw new PlumblineError('USAGE_DATABASE', 'The database URL is not one of PostgreSQL.', {
    hint: 'It looks like postgres://user@host:5432/name; the password may come from PGPASSWORD.',
  })
}

async function openingFailed(place: StorePlace, cause: unknown): Promise<PlumblineError> {
  const { message, code } = cause as { message?: string; code?: string }
  const reason = message || code || 'the database does not say why'
  if (place !== 'memory' && 'url' in place) {
    const hint =
      sqlState(cause) === undefined
        ? 'Check that the server runs and that its host and port are right.'
        : 'Check the user, its password and that it may create a schema in this database.'
    return new PlumblineError('STORE_AWAY', `The database does not let us in: ${reason}.`, { hint, cause })
  }
  const free = place === 'memory' ? Number.POSITIVE_INFINITY : await freeBytes(dirname(place.folder))
  const room = free < littleBytes ? `Its disk has only ${Math.floor(free / 1e6)} MB left: make room first. ` : ''
  return new PlumblineError('STORE_BROKEN', `The embedded store cannot be opened: ${reason}.`, {
    hint: `${room}See who owns the folder. A store that is broken for good: move its folder away, keep it, and start with an empty one or plumb restore.`,
    cause,
  })
}

/** A new store takes 40 MB, and its log grows by 16 at a time. */
const littleBytes = 64e6

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder).catch(() => ({ bavail: Number.POSITIVE_INFINITY, bsize: 1 }))
  return bavail * bsize
}

export function createStore(database: Database): Store {
  return {
    ...createInteractions(database),
    ...createErasures(database),
    ...createRetention(database),
    ...createFeedback(database),
    review: createReview(database),
    monitoring: createMonitoring(database),
    jobs: createJobs(database),
    audit: createAuditLog(database),
    sessions: createSessions(database),
    audited: (event, work) => audited(database, event, (inside) => work(createStore(inside))),
    exportInteractions: (write, options) => exportInteractions(database, write, options),
    exportTraining: (write, options) => exportTraining(database, write, options),
    backup: (write, options) => backup(database, write, options),
    subjectHasher: async () => createSubjectHasher(await readSubjectSecret(database)),
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
    listKeyFacts: async (project, { limit, after }) => {
      const rows = await database.query(
        `select id, scope, project, name, created_at::text as created_at, revoked_at::text as revoked_at
        from plumbline.api_keys where ($1::text is null or project = $1) and ($2::text is null or id > $2)
        order by id limit $3::integer + 1`,
        [project ?? null, after ?? null, limit],
      )
      return pageOf(rows, limit, { toItem: toKeyFacts, place: 'id' })
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
    vacuum: async (signal) => (await database.vacuum?.(signal)) ?? { analyzed: [], vacuumed: [] },
    close: () => database.close(),
  }
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

function toKeyFacts(row: Row): KeyFacts {
  return {
    id: String(row.id),
    scope: keyScopeSchema.parse(row.scope),
    project: String(row.project),
    name: String(row.name),
    createdAt: new Date(String(row.created_at)).toISOString(),
    revokedAt: row.revoked_at === null ? null : new Date(String(row.revoked_at)).toISOString(),
  }
}
