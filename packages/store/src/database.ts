import type { Vacuumed } from './vacuum.ts'

/** What the store needs of a database. Two implementations: PGlite in a worker thread, PostgreSQL by URL. */
export interface Database extends Queries {
  /** Runs `work` on one connection between BEGIN and COMMIT; rolls back when it throws. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  /** Left out where a server does it by itself. */
  vacuum?(signal?: AbortSignal): Promise<Vacuumed>
  close(): Promise<void>
}

export interface Queries {
  /** One statement with `$1`, `$2`, …. Values never go into the text. Select text, integers, booleans: no other types. */
  query(sql: string, parameters?: readonly Parameter[]): Promise<Row[]>
}

/** Bytes are a text in UTF-8, for what is long and at hand in that form; they are given away, and may be empty afterwards. */
export type Parameter = string | number | boolean | null | readonly (string | null)[] | Uint8Array
export type Row = Readonly<Record<string, unknown>>

/** The database as a transaction under way sees it: what asks it for a transaction of its own takes part in this one. */
export function within(queries: Queries): Database {
  return { ...queries, transaction: (work) => work(queries), close: async () => {} }
}

/** SQLSTATE of an error that the database itself reported; undefined for a broken connection and anything else. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/**
 * Whether the data of a statement are at fault, so that trying again cannot help: SQLSTATE class 22 (data), 23
 * (constraints) and 54 (limits, such as nesting too deep).
 */
export function isDataError(error: unknown): boolean {
  return /^(22|23|54)/.test(sqlState(error) ?? '')
}
