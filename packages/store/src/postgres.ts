import pg from 'pg'
import type { Database, Parameter, Queries, Row } from './database.ts'

/** A PostgreSQL server by its URL. Connections are made when they are needed, and anew after the server was away. */
export function openPostgres(
  url: string,
  // A database that says nothing for this long is one that is away.
  { connectTimeoutMs = 5_000, queryTimeoutMs = 30_000 }: { connectTimeoutMs?: number; queryTimeoutMs?: number } = {},
): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: 4,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    statement_timeout: queryTimeoutMs,
    application_name: 'plumbline',
  })
  // An idle connection that the server closes: the next query finds out and reports.
  pool.on('error', () => {})
  // One in the middle of a transaction: its next statement fails. Without a listener the process would end.
  pool.on('connect', (client) => client.on('error', () => {}))
  return {
    query: (sql, parameters) => queriesOf(pool).query(sql, parameters),
    transaction: async (work) => {
      const client = await pool.connect()
      let failure: unknown
      try {
        await client.query('begin')
        const result = await work(queriesOf(client))
        await client.query('commit')
        return result
      } catch (error) {
        failure = error
        await client.query('rollback').catch(() => {})
        throw error
      } finally {
        // After a failure its state is not known: never back into the pool.
        client.release(failure !== undefined)
      }
    },
    close: () => pool.end(),
  }
}

function queriesOf(client: pg.Pool | pg.PoolClient): Queries {
  return {
    query: async (sql: string, parameters: readonly Parameter[] = []): Promise<Row[]> =>
      (await client.query(sql, [...parameters])).rows,
  }
}
