import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import type { z } from 'zod'
import { createAuditLog } from '../audit.ts'
import { type Database, isDataError, type Queries, within } from '../database.ts'
import { checkApplied, migrate } from '../migrate.ts'
import { type Migration, migrations } from '../migrations.ts'
import { type BackupResult, endSchema, headSchema, rowSchema } from './backup.ts'
import { quoted, readTables, type Table } from './tables.ts'

export interface RestoreOptions {
  readonly signal?: AbortSignal | undefined
  readonly onRows?: (done: number) => void
  readonly known?: readonly Migration[]
}

/** Tables that may hold something in a store that nobody has used. */
const ownTables = ['subject_secret']
const batchRows = 500
const batchChars = 4 * 2 ** 20

/**
 * Fills an empty store from the lines of a backup and brings its tables up to date. All or nothing: the checksum is
 * compared before anything is kept. Throws STORE_NOT_EMPTY, STORE_NEWER, STORE_CHANGED, BACKUP_BROKEN.
 */
export async function restore(
  database: Database,
  lines: AsyncIterable<string>,
  { known = migrations, ...options }: RestoreOptions = {},
): Promise<BackupResult> {
  return database.transaction(async (queries) => {
    await clearUnused(queries)
    const reader = new BackupReader(lines)
    const head = await reader.head()
    checkApplied(head.migrations, known, 'backup')
    await migrate(within(queries), known.slice(0, head.migrations.length))
    const tables = new Map((await readTables(queries)).map((table) => [table.name, table]))
    for (const [name, columns] of Object.entries(head.tables)) {
      const expected = tables.get(name)?.columns.map((column) => column.name)
      if (JSON.stringify(columns) !== JSON.stringify(expected)) throw reader.broken(`has another table "${name}"`)
    }
    const rows = await load(queries, reader, tables, options)
    for (const table of tables.values()) await continueNumbers(queries, table)
    await migrate(within(queries), known)
    return { rows, auditBrokenAt: await createAuditLog(within(queries)).verify() }
  })
}

/** A store that was opened and never used goes; one with anything in it is refused. */
async function clearUnused(queries: Queries): Promise<void> {
  for (const { name } of await readTables(queries)) {
    if (ownTables.includes(name)) continue
    const [{ used }] = await queries.query(`select exists (select 1 from plumbline.${quoted(name)}) as used`)
    if (used !== true) continue
    throw new PlumblineError('STORE_NOT_EMPTY', `The store is not empty: it has ${name.replaceAll('_', ' ')}.`, {
      hint: 'Restore into a new folder or an empty database. Nothing was changed.',
    })
  }
  await queries.query('drop schema if exists plumbline cascade')
}

async function load(
  queries: Queries,
  reader: BackupReader,
  tables: ReadonlyMap<string, Table>,
  { signal, onRows }: RestoreOptions,
): Promise<Record<string, number>> {
  const rows: Record<string, number> = Object.fromEntries([...tables.keys()].map((name) => [name, 0]))
  let done = 0
  for await (const { table: name, batch } of reader.batches()) {
    signal?.throwIfAborted()
    const table = tables.get(name)
    if (table === undefined || batch.some((row) => row.length !== table.columns.length)) {
      throw reader.broken(`has rows that do not fit the table "${name}"`)
    }
    await insertRows(queries, table, batch).catch((error: unknown) => {
      throw isDataError(error) ? reader.broken(`has a row that the table "${name}" refuses`, error) : error
    })
    rows[name] += batch.length
    done += batch.length
    onRows?.(done)
  }
  for (const [name, count] of Object.entries(reader.end().rows)) {
    if (rows[name] !== count) throw reader.broken(`should have ${count} rows of "${name}" and has ${rows[name] ?? 0}`)
  }
  return rows
}

async function insertRows(queries: Queries, { name, columns }: Table, rows: readonly (string | null)[][]) {
  const names = columns.map((column) => quoted(column.name)).join(', ')
  const values = columns.map((column) => `sent.${quoted(column.name)}::${quoted(column.type)}`).join(', ')
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`).join(', ')
  await queries.query(
    `insert into plumbline.${quoted(name)} (${names}) overriding system value
    select ${values} from unnest(${arrays}) as sent (${names})`,
    columns.map((_, i) => rows.map((row) => row[i])),
  )
}

/** Numbers that the database gives out go on after the largest one restored. */
async function continueNumbers(queries: Queries, { name, columns }: Table): Promise<void> {
  for (const column of columns.filter(({ isIdentity }) => isIdentity)) {
    await queries.query(
      `select setval(pg_get_serial_sequence($1, $2), greatest(max(${quoted(column.name)}), 1), max(${quoted(column.name)}) is not null)::text
      from plumbline.${quoted(name)}`,
      [`plumbline.${quoted(name)}`, column.name],
    )
  }
}

/** The lines of a backup, checked as they come. */
class BackupReader {
  private readonly iterator: AsyncIterator<string>
  private readonly hash = createHash('sha256')
  private line = 0
  private ending: z.infer<typeof endSchema> | undefined

  constructor(lines: AsyncIterable<string>) {
    this.iterator = lines[Symbol.asyncIterator]()
  }

  async head(): Promise<z.infer<typeof headSchema>> {
    const head = headSchema.safeParse(await this.next())
    if (head.success) return head.data
    throw new PlumblineError('BACKUP_FORMAT', 'The file is not a backup that this version reads.', {
      hint: 'Give a file that plumb backup wrote. Nothing was changed.',
    })
  }

  /** Rows of one table at a time, up to the last line. */
  async *batches(): AsyncGenerator<{ table: string; batch: (string | null)[][] }> {
    let table = ''
    let batch: (string | null)[][] = []
    let chars = 0
    for (;;) {
      const value = await this.next()
      if (value === undefined) throw this.broken('ends too early')
      const row = rowSchema.safeParse(value)
      const isFull = batch.length >= batchRows || chars >= batchChars
      if (batch.length > 0 && (isFull || row.data?.t !== table)) {
        yield { table, batch }
        batch = []
        chars = 0
      }
      if (!row.success) break
      table = row.data.t
      batch.push(row.data.r)
      chars += row.data.r.reduce((sum, text) => sum + (text?.length ?? 0), 0)
    }
    if (this.ending === undefined) throw this.broken('has a line that is none of a backup')
    if ((await this.next()) !== undefined) throw this.broken('goes on after its end')
  }

  end(): z.infer<typeof endSchema> {
    if (this.ending === undefined) throw this.broken('ends too early')
    return this.ending
  }

  /** The next line as JSON; undefined at the end. The last line is kept, with its checksum compared. */
  private async next(): Promise<unknown> {
    const { value: text, done } = await this.iterator.next()
    if (done === true) return undefined
    this.line++
    if (this.ending !== undefined) return text
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // A file that is no backup at all is told apart from one that broke.
      if (this.line > 1) throw this.broken('has a line that is no JSON')
      return undefined
    }
    const end = endSchema.safeParse(value)
    if (!end.success) {
      this.hash.update(`${text}\n`)
      return value
    }
    if (this.hash.digest('hex') !== end.data.sha256) throw this.broken('does not have the checksum that it should have')
    this.ending = end.data
    return value
  }

  broken(what: string, cause?: unknown): PlumblineError {
    return new PlumblineError('BACKUP_BROKEN', `The backup ${what} (line ${this.line}).`, {
      hint: 'It was damaged or cut off: take another one. Nothing was changed.',
      cause,
    })
  }
}
