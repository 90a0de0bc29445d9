import type { Parameter, Queries, Row } from './database.ts'

const goodBatchChars = 4 * 2 ** 20
const maxBatchRows = 1_000

/**
 * All rows of a statement of ours, some at a time: fewer where they are large. Inside a transaction; `each` must not ask
 * the same database outside of it.
 */
export async function readInBatches(
  queries: Queries,
  sql: string,
  parameters: readonly Parameter[],
  each: (rows: Row[]) => Promise<void>,
): Promise<void> {
  await queries.query(`declare batch no scroll cursor for ${sql}`, parameters)
  for (let count = 50; ; ) {
    const rows = await queries.query(`fetch ${count} from batch`)
    if (rows.length === 0) break
    await each(rows)
    const chars = rows.reduce((sum, row) => sum + charsOf(row), 0)
    count = chars > goodBatchChars ? Math.max(1, count >> 1) : Math.min(maxBatchRows, count * 2)
  }
  await queries.query('close batch')
}

function charsOf(row: Row): number {
  return Object.values(row).reduce<number>((sum, value) => sum + (typeof value === 'string' ? value.length : 8), 0)
}
