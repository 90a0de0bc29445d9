import type { Interaction } from '@plumbline/contracts'
import { readInBatches } from '../cursor.ts'
import type { Database } from '../database.ts'
import type { Write } from '../files.ts'
import { createParquetWriter, type RecordWriter } from './parquet.ts'

export const exportFormats = ['jsonl', 'parquet'] as const
export type ExportFormat = (typeof exportFormats)[number]

export interface ExportOptions {
  readonly format: ExportFormat
  /** Every project when left out. */
  readonly project?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onRows?: (done: number) => void
}

const writers = { jsonl: createJsonLinesWriter, parquet: createParquetWriter } satisfies Record<
  ExportFormat,
  (write: Write) => RecordWriter
>

/** Interactions, oldest first, as they are at one moment. Gives how many. */
export async function exportInteractions(database: Database, write: Write, options: ExportOptions): Promise<number> {
  const { format, project, since, until, signal, onRows } = options
  const writer = writers[format](write)
  let done = 0
  await database.transaction(async (queries) => {
    await queries.query('set transaction isolation level repeatable read')
    const sql = `select body from plumbline.interactions
      where ($1::text is null or project = $1) and ($2::timestamptz is null or created_at >= $2::timestamptz)
        and ($3::timestamptz is null or created_at < $3::timestamptz) order by seq`
    await readInBatches(queries, sql, [project ?? null, since ?? null, until ?? null], async (rows) => {
      signal?.throwIfAborted()
      const bodies = rows.map(({ body }) => String(body))
      await writer.add(
        bodies.map((body) => JSON.parse(body) as Interaction),
        bodies.reduce((sum, body) => sum + body.length, 0),
      )
      done += rows.length
      onRows?.(done)
    })
  })
  await writer.end()
  return done
}

/** Written anew: a request stands in its record as it came, line ends and all. Some readers cut at Unicode's too. */
function createJsonLinesWriter(write: Write): RecordWriter {
  const line = (record: Interaction) =>
    `${JSON.stringify(record).replace(/[\u2028\u2029]/g, (end) => (end === '\u2028' ? '\\u2028' : '\\u2029'))}\n`
  return { add: (records) => write(records.map(line).join('')), end: async () => {} }
}
