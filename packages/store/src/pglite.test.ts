import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openPglite } from './pglite.ts'

test('a PostgreSQL that gives up ends the store, which says why', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pglite-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const place = join(folder, 'store')
  const { promise: ended, resolve } = Promise.withResolvers<Error>()
  const database = openPglite(place, { onEnd: resolve })
  await database.query('create table kept (text text)')
  await rename(join(place, 'pg_wal'), join(folder, 'pg_wal'))
  // More than the log has room for in the files that are open.
  const much = "insert into kept select repeat('x', 1000) from generate_series(1, 40000)"
  const failure = await database.query(much).catch((error: Error) => error)
  expect(failure).toBeInstanceOf(Error)
  // Asked before it has ended: this would never be answered.
  await expect(database.query('select 1')).rejects.toThrow()
  expect((await ended).message).toBe((failure as Error).message)
  await database.close()

  await rename(join(folder, 'pg_wal'), join(place, 'pg_wal'))
  const again = openPglite(place)
  expect(await again.query('select text from kept')).toEqual([])
  await again.close()
})
