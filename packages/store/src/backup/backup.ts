import { createHash } from 'node:crypto'
import { z } from 'zod'
import { createAuditLog } from '../audit.ts'
import { readInBatches } from '../cursor.ts'
import { type Database, within } from '../database.ts'
import { type Applied, readApplied } from '../migrate.ts'
import { quoted, readTables, type Table } from './tables.ts'

/**
 * One format for every kind of database: lines of JSON. A head says which migrations had made the tables; then a line
 * per row, its values as PostgreSQL writes them as text; last the number of rows of each table and the SHA-256 of all
 * the bytes before.
 */
export const headSchema = z.object({
  format: z.literal('plumbline-backup'),
  version: z.literal(1),
  created_at: z.iso.datetime(),
  migrations: z.array(z.object({ name: z.string(), sha256: z.string() })),
  tables: z.record(z.string(), z.array(z.string())),
})
export const rowSchema = z.strictObject({ t: z.string(), r: z.array(z.string().nullable()) })
export const endSchema = z.strictObject({ rows: z.record(z.string(), z.number().int().min(0)), sha256: z.string() })

export interface BackupResult {
  /** Rows of each table. */
  readonly rows: Readonly<Record<string, number>>
  /** The first entry of the audit log that is not what was written; undefined for a whole log. */
  readonly auditBrokenAt: number | undefined
}

export interface BackupOptions {
  readonly now: number
  readonly signal?: AbortSignal | undefined
  readonly onRows?: (done: number) => void
}

/** Writes everything, as it is at one moment. Others may go on writing to a PostgreSQL meanwhile. */
export async function backup(
  database: Database,
  write: (text: string) => Promise<void>,
  { now, signal, onRows }: BackupOptions,
): Promise<BackupResult> {
  const hash = createHash('sha256')
  const put = async (lines: readonly unknown[]) => {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    hash.update(text)
    await write(text)
  }
  return database.transaction(async (queries) => {
    await queries.query('set transaction isolation level repeatable read')
    const tables = await readTables(queries)
    await put([head(now, await readApplied(queries), tables)])
    const rows: Record<string, number> = {}
    let done = 0
    for (const table of tables) {
      rows[table.name] = 0
      await readInBatches(queries, selectAll(table), [], async (batch) => {
        signal?.throwIfAborted()
        await put(batch.map((row) => ({ t: table.name, r: table.columns.map(({ name }) => row[name]) })))
        rows[table.name] += batch.length
        done += batch.length
        onRows?.(done)
      })
    }
    const auditBrokenAt = await createAuditLog(within(queries)).verify()
    await write(`${JSON.stringify({ rows, sha256: hash.digest('hex') })}\n`)
    return { rows, auditBrokenAt }
  })
}

function head(now: number, migrations: readonly Applied[], tables: readonly Table[]): z.input<typeof headSchema> {
  const columns = tables.map(({ name, columns }) => [name, columns.map((column) => column.name)])
  return {
    format: 'plumbline-backup',
    version: 1,
    created_at: new Date(now).toISOString(),
    migrations: [...migrations],
    tables: Object.fromEntries(columns),
  }
}

function selectAll({ name, columns }: Table): string {
  const texts = columns.map((column) => `${quoted(column.name)}::text as ${quoted(column.name)}`)
  // By the first column, which is the key: the same rows give the same file.
  return `select ${texts.join(', ')} from plumbline.${quoted(name)} order by plumbline.${quoted(name)}.${quoted(columns[0].name)}`
}
