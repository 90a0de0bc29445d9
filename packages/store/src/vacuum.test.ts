import { expect, test } from 'vitest'
import { recordRow } from './record-row.test-support.ts'
import { describeStores } from './stores.test-support.ts'

const json = JSON.stringify({ request: 'x'.repeat(2_000) })
const table = 'plumbline.interactions'

describeStores('room of what was deleted', (suite) => {
  test('goes to new records: an embedded store stays as large as what it keeps', async () => {
    const store = suite.store()
    const fill = async () => {
      await store.insertInteractions(Array.from({ length: 1_000 }, () => recordRow({ json })))
    }
    const bytes = async () => {
      const [row] = await suite.database().query(`select pg_total_relation_size('${table}')::integer as bytes`)
      return Number(row.bytes)
    }
    await fill()
    const full = await bytes()
    const { deleted } = await store.retain({ metadataDays: 1 }, { now: Date.parse('2026-02-01T00:00:00Z') })
    expect(deleted).toBe(1_000)
    const done = await store.vacuum()
    // A server does it when it finds the time.
    if (suite.name === 'PostgreSQL') {
      expect(done).toEqual([])
      return
    }
    expect(done).toContain(table)
    await fill()
    expect(await bytes()).toBeLessThan(1.1 * full)
    expect(await store.vacuum()).toContain(table) // statistics of the new ones
    expect(await store.vacuum()).not.toContain(table)
  })
})
