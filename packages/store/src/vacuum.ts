import type { Queries } from './database.ts'

/** PostgreSQL's defaults of `autovacuum_…_threshold` and `autovacuum_…_scale_factor`. */
const rows = 50
const shareOfDead = 0.2
const shareOfChanged = 0.1

/**
 * What autovacuum does on a server, which an embedded PostgreSQL lacks, by its thresholds (PostgreSQL's documentation, "The
 * Autovacuum Daemon"): where many rows were deleted or rewritten their room is made free for new ones, and where many are
 * others than before the planner gets statistics. Gives the tables that were in need of it.
 */
export async function vacuum({ query }: Queries): Promise<string[]> {
  // What the transactions just before this one did counts too.
  await query('select pg_stat_force_next_flush()')
  const tables = await query(
    `select format('%I.%I', schemaname, stat.relname) as name,
      n_dead_tup > ${rows} + ${shareOfDead} * greatest(reltuples, 0) as is_dead,
      n_mod_since_analyze > ${rows} + ${shareOfChanged} * greatest(reltuples, 0) as is_changed
    from pg_stat_user_tables as stat join pg_class as class on class.oid = stat.relid
    where schemaname = 'plumbline' order by name`,
  )
  const done: string[] = []
  for (const { name, is_dead: isDead, is_changed: isChanged } of tables) {
    if (isDead === true) await query(`vacuum ${name}`)
    if (isChanged === true) await query(`analyze ${name}`)
    if (isDead === true || isChanged === true) done.push(String(name))
  }
  return done
}
