import { setTimeout as sleep } from 'node:timers/promises'
import { noPostgres, startPostgres } from '../../packages/store/src/postgres-server.test-support.ts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { compareRecords, listRecords, untilShipped, withServing } from './serving.ts'
import { answerSize, type OpenLoopAnswer, requestBody } from './traffic.ts'
import { type GatewayWorld, sharing } from './world.ts'

const failed: Figure = {
  name: 'away_failed_requests',
  title: 'requests that failed while the database was away',
  unit: 'requests',
  better: 'lower',
  goal: { atMost: 0 },
}
const missing: Figure = {
  name: 'away_missing_records',
  title: 'records missing or doubled after the database was away',
  unit: 'records',
  better: 'lower',
  goal: { atMost: 0 },
}

const rate = 200
/** With the database there, before and after it is away. */
const marginSeconds = 3

/** A real PostgreSQL that is crashed under load and started again. */
export const away: Section<GatewayWorld> = {
  figures: [failed, missing],
  async run(world, record) {
    const absent = await noPostgres()
    if (absent !== undefined) return world.log(`no PostgreSQL here: ${absent}`)
    const seconds = world.awaySeconds ?? world.scale(30, 2)
    const upstream = await world.upstream()
    const server = await startPostgres({ isDurable: true })
    try {
      const place = { folder: await world.folder(), upstream, database: server.url }
      await withServing(place, async (serving) => {
        const body = requestBody(answerSize.small)
        const total = seconds + 2 * marginSeconds
        const request = { target: serving.target, body, rate, seconds: total, wantsIds: true }
        const load = world.load<OpenLoopAnswer>('open', request)
        await sleep(marginSeconds * 1000)
        await server.crash()
        await sleep(seconds * 1000)
        await server.start()
        const answer = await load
        const details = {
          away_seconds: seconds,
          rate,
          sent: answer.sent,
          p50_ms: answer.p50,
          p99_ms: answer.p99,
          note: sharing,
        }
        record(failed, { ours: [answer.failed], details })
        await untilShipped(serving, 600_000)
        const { lost, doubled } = compareRecords(answer.ids, await listRecords(serving))
        record(missing, { ours: [lost + doubled], details: { ...details, lost, doubled } })
      })
    } finally {
      await server.remove()
    }
  },
}
