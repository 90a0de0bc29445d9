import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { openPglite } from './pglite.ts'
import { recordRow } from './record-row.test-support.ts'
import { createStore, type Store } from './store.ts'
import { describeStores } from './stores.test-support.ts'

const json = JSON.stringify({ request: 'x'.repeat(2_000) })
const table = 'plumbline.interactions'

const fill = (store: Store) => store.insertInteractions(Array.from({ length: 1_000 }, () => recordRow({ json })))

async function deleteAll(store: Store): Promise<void> {
  const { deleted } = await store.retain({ metadataDays: 1 }, { now: Date.parse('2026-02-01T00:00:00Z') })
  expect(deleted).toBe(1_000)
}

async function bytesOf(database: Database): Promise<number> {
  const [row] = await database.query(`select pg_total_relation_size('${table}')::integer as bytes`)
  return Number(row.bytes)
}

describeStores('vacuum', (suite) => {
  test('room of what was deleted goes to new records; a server finds the time itself', async () => {
    const store = suite.store()
    await fill(store)
    const full = await bytesOf(suite.database())
    await deleteAll(store)
    const { analyzed, vacuumed } = await store.vacuum()
    const isEmbedded = suite.name === 'PGlite'
    expect([analyzed.includes(table), vacuumed.includes(table)]).toEqual([isEmbedded, isEmbedded])
    if (!isEmbedded) return
    await fill(store)
    expect(await bytesOf(suite.database())).toBeLessThan(1.1 * full)
    expect(await store.vacuum()).toEqual({ analyzed: [table], vacuumed: [] })
    expect(await store.vacuum()).toEqual({ analyzed: [], vacuumed: [] })
  })
})

test('what was deleted before a restart is found after it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'plumbline-vacuum-'))
  const before = openPglite(folder)
  await migrate(before)
  await fill(createStore(before))
  await deleteAll(createStore(before))
  await before.close()
  const after = openPglite(folder)
  expect((await createStore(after).vacuum()).vacuumed).toContain(table)
  await after.close()
  await rm(folder, { recursive: true })
})
