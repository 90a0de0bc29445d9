import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openPostgres } from '../postgres.ts'
import { noPostgres, startPostgres } from '../postgres-server.test-support.ts'
import { recordRow } from '../record-row.test-support.ts'
import { createStore, openStore } from '../store.ts'
import { interactionPayload, startShipper } from './shipper.ts'
import { openSpool } from './spool.ts'

const missing = await noPostgres()
const skipped = missing === undefined ? '' : ` (skipped: ${missing})`

test.skipIf(missing !== undefined)(
  `a PostgreSQL that crashes twice under load loses and doubles nothing${skipped}`,
  { timeout: 600_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'away-'))
    const warnings: string[] = []
    const warn = (text: string) => void warnings.push(text)
    const server = await startPostgres()
    const store = await openStore({ url: server.url })
    const spool = await openSpool(folder, { warn })
    const shipper = startShipper(spool, store, { warn, folder, retryMs: 20, batchBytes: 5_000 })
    const ids: string[] = []
    const write = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const record = randomUUID()
        const json = JSON.stringify({ record, text: 'x'.repeat(200) })
        await spool.append(interactionPayload(recordRow({ record, createdAt: new Date().toISOString(), json })))
        ids.push(record)
      }
    }
    for (let round = 0; round < 2; round++) {
      const writing = write(300)
      await sleep(20)
      await server.crash()
      await writing
      await write(50)
      while (!shipper.state().isStoreAway) await sleep(10)
      await server.start()
    }
    await shipper.stop(300_000)
    const { data } = await store.listInteractions('default', { limit: 1000 })
    expect(data.map(({ record }) => record).sort()).toEqual(ids.sort())
    expect(warnings.join('\n')).toContain('The store is back.')
    await spool.close(0)
    await store.close()
    await server.remove()
    await rm(folder, { recursive: true })
  },
)

test.skipIf(missing !== undefined)(
  `a PostgreSQL that takes longer than anybody waits loses and doubles nothing${skipped}`,
  { timeout: 600_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slow-'))
    const warnings: string[] = []
    const warn = (text: string) => void warnings.push(text)
    const server = await startPostgres()
    const patient = await openStore({ url: server.url })
    const store = createStore(openPostgres(server.url, { queryTimeoutMs: 1_000 }))
    const blocker = openPostgres(server.url)
    let isLocked = false
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const blocking = blocker.transaction(async (queries) => {
      await queries.query('lock table plumbline.interactions in access exclusive mode')
      isLocked = true
      await released
    })
    while (!isLocked) await sleep(10)
    const spool = await openSpool(folder, { warn })
    const shipper = startShipper(spool, store, { warn, folder, retryMs: 20 })
    const ids = Array.from({ length: 50 }, () => randomUUID())
    for (const record of ids) await spool.append(interactionPayload(recordRow({ record })))
    while (!shipper.state().isStoreAway) await sleep(10)
    release()
    await blocking
    await shipper.stop(300_000)
    const { data } = await patient.listInteractions('default', { limit: 1000 })
    expect(data.map(({ record }) => record).sort()).toEqual(ids.sort())
    expect(warnings.join('\n')).toContain('The store is back.')
    await spool.close(0)
    for (const database of [store, patient, blocker]) await database.close()
    await server.remove()
    await rm(folder, { recursive: true })
  },
)
