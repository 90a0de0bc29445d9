import type { Queries } from './database.ts'

/** Tables, by what was done to them. */
export interface Vacuumed {
  readonly analyzed: readonly string[]
  readonly vacuumed: readonly string[]
}

/** PostgreSQL's defaults of `autovacuum_…_threshold` and `autovacuum_…_scale_factor`. */
const rows = 50
const shareOfDead = 0.2
const shareOfChanged = 0.1
/** Where words go after days and records after years, a fifth of all records would wait for years too. */
const mostDead = 1_000
/** A tenth of PostgreSQL's default: the rows that are looked at are copied into memory, which PGlite keeps for ever. */
const statisticsTarget = 10

/**
 * What autovacuum does on a server, which an embedded PostgreSQL lacks, by its thresholds (PostgreSQL's documentation, "The
 * Autovacuum Daemon"): where many rows are others than before the planner gets statistics, and where many were deleted or
 * rewritten their room is made free for new ones. A restart forgets how many those were: statistics, which all tables get at
 * the first look after it, guess that too. `signal` ends it between two statements.
 */
export async function vacuum({ query }: Queries, signal?: AbortSignal): Promise<Vacuumed> {
  const tables = async (condition: string) => {
    // What the transactions just before this one did counts too.
    await query('select pg_stat_force_next_flush()')
    const found = await query(
      `select format('%I.%I', schemaname, stat.relname) as name
      from pg_stat_all_tables as stat join pg_class as class on class.oid = stat.relid
      where ${condition} order by name`,
    )
    return found.map(({ name }) => String(name))
  }
  const doEach = async (statement: 'analyze' | 'vacuum', names: readonly string[]) => {
    for (const name of names) {
      signal?.throwIfAborted()
      await query(`${statement} ${name}`)
    }
  }
  await query(`set default_statistics_target = ${statisticsTarget}`)
  const analyzed = await tables(
    `schemaname = 'plumbline'
      and (last_analyze is null or n_mod_since_analyze > ${rows} + ${shareOfChanged} * greatest(reltuples, 0))`,
  )
  await doEach('analyze', analyzed)
  // Each analysis rewrites its statistics.
  const vacuumed = await tables(
    `(schemaname = 'plumbline' or stat.relname = 'pg_statistic')
      and n_dead_tup > least(${mostDead}, ${rows} + ${shareOfDead} * greatest(reltuples, 0))`,
  )
  await doEach('vacuum', vacuumed)
  return { analyzed, vacuumed }
}
