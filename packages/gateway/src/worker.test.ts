import { openStore } from '@plumbline/store'
import { expect, test } from 'vitest'
import { startGatewayWorker } from './worker.ts'

test('an embedded store is vacuumed from the start on', async () => {
  const store = await openStore('memory')
  const vacuumed = Promise.withResolvers<string[]>()
  const watched = {
    ...store,
    vacuum: async () => {
      const tables = await store.vacuum()
      vacuumed.resolve(tables)
      return tables
    },
  }
  const world = { policy: {}, now: Date.now, clock: () => performance.now(), warn: vacuumed.reject }
  const worker = await startGatewayWorker(watched, world)
  expect(await vacuumed.promise).toEqual([])
  await worker.stop()
  await store.close()
})
