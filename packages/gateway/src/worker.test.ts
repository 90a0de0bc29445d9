import { openStore, type Store } from '@plumbline/store'
import { expect, test } from 'vitest'
import { startGatewayWorker } from './worker.ts'

test('an embedded store is vacuumed from the start on', async () => {
  const store = await openStore('memory')
  const vacuumed = Promise.withResolvers<Awaited<ReturnType<Store['vacuum']>>>()
  const watched = {
    ...store,
    vacuum: async () => {
      const done = await store.vacuum()
      vacuumed.resolve(done)
      return done
    },
  }
  const world = { policy: {}, now: Date.now, clock: () => performance.now(), warn: vacuumed.reject }
  const worker = await startGatewayWorker(watched, world)
  expect((await vacuumed.promise).analyzed).toContain('plumbline.interactions')
  await worker.stop()
  await store.close()
})
