import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import type { Database, Queries } from './database.ts'
import { type Migration, migrations } from './migrations.ts'

/** One number for all processes that may open the same database at the same time. */
const lockNumber = 7_586_213

export function migrationHash({ name, statements }: Migration): string {
  return createHash('sha256')
    .update(JSON.stringify([name, statements]))
    .digest('hex')
}

/**
 * Brings the tables up to date. All or nothing, one process at a time. Throws STORE_NEWER when the store was written by
 * a newer version, STORE_CHANGED when a migration in it is not the one that we know by that number.
 */
export async function migrate(database: Database, known: readonly Migration[] = migrations): Promise<void> {
  await database.transaction(async (queries) => {
    await queries.query('select pg_advisory_xact_lock($1::bigint)', [lockNumber])
    await queries.query('create schema if not exists plumbline')
    await queries.query(`create table if not exists plumbline.migrations (
      position integer primary key,
      name text not null,
      sha256 text not null,
      applied_at timestamptz not null default now()
    )`)
    const applied = await readApplied(queries)
    checkApplied(applied, known)
    for (const [position, migration] of known.entries()) {
      if (position < applied.length) continue
      for (const statement of migration.statements) await queries.query(statement)
      await queries.query('insert into plumbline.migrations (position, name, sha256) values ($1, $2, $3)', [
        position,
        migration.name,
        migrationHash(migration),
      ])
    }
  })
}

export interface Applied {
  readonly name: string
  readonly sha256: string
}

export async function readApplied(queries: Queries): Promise<Applied[]> {
  const rows = await queries.query('select name, sha256 from plumbline.migrations order by position')
  return rows.map(({ name, sha256 }) => ({ name: String(name), sha256: String(sha256) }))
}

/** `what` was made by these migrations: whether they are ours. */
export function checkApplied(applied: readonly Applied[], known: readonly Migration[], what = 'store'): void {
  for (const [position, { name, sha256 }] of applied.entries()) {
    const expected = known[position]
    if (expected === undefined) {
      throw new PlumblineError(
        'STORE_NEWER',
        `This ${what} was written by a newer Plumbline: it has migration ${position + 1}, "${name}"; this version knows ${known.length}.`,
        { hint: 'Run that version or a later one, or start with another, empty store. Nothing was changed.' },
      )
    }
    if (sha256 !== migrationHash(expected)) {
      throw new PlumblineError(
        'STORE_CHANGED',
        `Migration ${position + 1} of this ${what}, "${name}", is not the "${expected.name}" of this version.`,
        {
          hint: `The ${what} belongs to another build of Plumbline: run that one, or restore a backup. Nothing was changed.`,
        },
      )
    }
  }
}
