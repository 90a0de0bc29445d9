import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  interactionPayload,
  openShippedStore,
  openSpool,
  type Payload,
  recordFacts,
  type StorePlace,
} from '@plumbline/store'
import { noPostgres, startPostgres } from '../../packages/store/src/postgres-server.test-support.ts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { interleave } from '../interleave.ts'
import type { GatewayWorld } from './world.ts'

const pglite: Figure = {
  name: 'shipped_pglite',
  title: 'records of 3.7 KB shipped from the spool into PGlite',
  unit: 'records/s',
  better: 'higher',
  goal: { atLeast: 5_000 },
}
const postgres: Figure = {
  ...pglite,
  name: 'shipped_postgres',
  title: 'records of 3.7 KB shipped from the spool into PostgreSQL',
  goal: { atLeast: 10_000 },
}

const together = 1_000

/** The shipper of `plumb serve` alone, from a spool that is full before the clock starts. */
export const shipping: Section<GatewayWorld> = {
  figures: [pglite, postgres],
  async run(world, record, isWanted) {
    const count = world.scale(20_000, 500)
    const details = { records: count }
    const runs = world.runs ?? world.scale(3, 1)
    if (isWanted(pglite)) {
      const side = async () => ship(world, { folder: join(await world.folder(), 'store') }, count)
      const { ours } = await interleave({ ours: side }, { runs })
      record(pglite, { ours, details })
    }
    if (!isWanted(postgres)) return
    const missing = await noPostgres()
    if (missing !== undefined) return world.log(`no PostgreSQL here: ${missing}`)
    const server = await startPostgres({ isDurable: true })
    try {
      const { ours } = await interleave({ ours: () => ship(world, { url: server.url }, count) }, { runs })
      record(postgres, { ours, details })
    } finally {
      await server.remove()
    }
  },
}

async function ship(world: GatewayWorld, place: StorePlace, count: number): Promise<number> {
  const folder = await world.folder()
  const warn = world.log
  const spool = await openSpool(folder, { warn })
  // As many at a time as share a sync, and far fewer than the spool takes in memory.
  for (let written = 0; written < count; written += together) {
    await Promise.all(Array.from({ length: Math.min(together, count - written) }, () => spool.append(payload())))
  }
  const { store, ship: shipInto } = await openShippedStore(place, { warn })
  const begun = performance.now()
  const shipper = shipInto(spool, { warn, folder })
  while (shipper.state().shipped < count) await sleep(5)
  const seconds = (performance.now() - begun) / 1000
  await shipper.stop(5_000)
  await spool.close(0)
  await store.close()
  return count / seconds
}

/** As large as the record of a request of 2 KB and its answer of 1 KB. */
function payload(): Payload {
  const record = randomUUID()
  const createdAt = new Date().toISOString()
  const text = 'a'.repeat(850)
  const fields = {
    record,
    id: record,
    project: 'default',
    created_at: createdAt,
    endpoint: '/v1/chat/completions',
    text,
    choices: [{ index: 0, text, reasoning: '', refusal: '', tool_calls: [], finish_reason: 'stop' }],
    guards: [],
    request: { model: 'm', messages: [{ role: 'user', content: 'q'.repeat(1950) }] },
  }
  return interactionPayload({
    record,
    id: record,
    project: 'default',
    createdAt,
    keyId: 'key_bench',
    model: 'm',
    termination: 'completed',
    subjects: [],
    ...recordFacts(fields),
    json: JSON.stringify(fields),
  })
}
