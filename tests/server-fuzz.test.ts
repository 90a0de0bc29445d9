/** Every route that the server adds to the gateway, fuzzed from its schema as the gateway's own are. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  fuzzOperations,
  fuzzRuns,
  fuzzTimeoutMs,
  operationsOf,
  patient,
  readDocument,
} from '../packages/gateway/src/api/fuzz.test-support.ts'
import { type Harness, startHarness } from '../packages/gateway/src/gateway.test-support.ts'
import { createServerRoutes, demoRuns, readMonitoring } from '../packages/server/src/index.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
}, 600_000)
afterAll(() => harness?.close(), 600_000)

const unlimited = { perSecond: 1e9, burst: 1e9 }
const limits = { token: unlimited, actor: unlimited, key: unlimited }

test(`${fuzzRuns} requests of any kind to each route of the server: no 5xx, no hang, no answer that is not described`, {
  timeout: fuzzTimeoutMs,
}, async () => {
  const routes = createServerRoutes(readMonitoring(undefined, {}), { limits, runs: demoRuns() })
  const gateway = await harness.open(patient, { routes })
  const document = await readDocument(gateway)
  const isOurs = (method: string, path: string) => routes.some((one) => one.method === method && one.path === path)
  const operations = operationsOf(document).filter(({ method, path }) => isOurs(method, path))
  expect(operations).toHaveLength(routes.length)
  await fuzzOperations({ harness, gateway, operations, routes, known: await knownIds() })

  /** An answer with a flag, its place in the queue, an alarm, a run. */
  async function knownIds(): Promise<string[]> {
    const asked = await gateway.post('/v1/chat/completions', JSON.stringify({ model: 'm', messages: [] }))
    const token = asked.headers.get('x-plumbline-feedback')!
    const { id } = (await asked.json()) as { id: string }
    const { record, project, created_at: at } = await harness.recordOf((one) => one.id === id)
    await harness.store.review.enqueue([
      { project, interaction: id, reason: 'flag', category: null, priority: 1, people: 1, gold: null, at },
    ])
    const held = (await harness.store.review.next(project, 'somebody', 3_600_000))!
    const day = at.slice(0, 10)
    const report = { reading: { status: 'error', code: 'DRIFT_FAILED', reason: 'The comparison failed.' } }
    const about = { project, kind: 'drift', subject: '', version: null, summary: 'x' } as const
    const rung = { ...about, evidence: { day, report } }
    await harness.store.monitoring.keepLook({ project, day, report, alarm: rung, notify: [], at })
    const { id: alarm } = (await harness.store.monitoring.listAlarms(project, { limit: 1 })).data[0]
    const listed = (await (await gateway.get('/api/runs')).json()) as { data: { id: string }[] }
    return [id, record, token, held.item, held.lease, alarm, listed.data[0].id, '1', day]
  }
})
