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

/**
 * What autovacuum does on a server, which an embedded PostgreSQL lacks, by its thresholds (PostgreSQL's documentation, "The
 * Autovacuum Daemon"): where many rows are others than before the planner gets statistics, and where many were deleted or
 * rewritten their room is made free for new ones. A restart forgets how many those were: statistics, which all tables get at
 * the first look after it, guess that too.
 */
export async function vacuum({ query }: Queries): Promise<Vacuumed> {
  const tables = async (condition: string) => {
    // What the transactions just before this one did counts too.
    await query('select pg_stat_force_next_flush()')
    const found = await query(
      `select format('%I.%I', schemaname, stat.relname) as name
      from pg_stat_user_tables as stat join pg_class as class on class.oid = stat.relid
      where schemaname = 'plumbline' and (${condition}) order by name`,
    )
    return found.map(({ name }) => String(name))
  }
  const analyzed = await tables(
    `last_analyze is null or n_mod_since_analyze > ${rows} + ${shareOfChanged} * greatest(reltuples, 0)`,
  )
  for (const name of analyzed) await query(`analyze ${name}`)
  const vacuumed = await tables(`n_dead_tup > ${rows} + ${shareOfDead} * greatest(reltuples, 0)`)
  for (const name of vacuumed) await query(`vacuum ${name}`)
  return { analyzed, vacuumed }
}
