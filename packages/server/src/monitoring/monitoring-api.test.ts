import { alarmPageSchema, evaluatorListSchema, monitoringOverviewSchema } from '@plumbline/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type TestServer, until } from '../server.test-support.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ monitoring: { evaluators: ['refusal'], cohorts: ['language'] } })
}, 600_000)
afterAll(() => server?.stop(), 600_000)

test('an answer that the gateway is told of is judged, and shown to its project alone', async () => {
  const client = await server.addKey('client', 'live')
  const admin = await server.addKey('admin', 'live')
  await server.answer(client, 'how does a plumb line work', admin)
  const range = '/api/monitoring/overview?from=2026-09-01&to=2026-09-30'
  const read = await until(async () => {
    const overview = monitoringOverviewSchema.parse((await server.send('GET', range, undefined, admin)).body)
    return overview.evaluators[0].judged === 1 ? overview : undefined
  })
  expect(read.days.reduce((sum, { answers }) => sum + answers, 0)).toBe(1)
  const stranger = await server.addKey('reviewer', 'strange')
  const other = await server.send('GET', range, undefined, stranger)
  expect(monitoringOverviewSchema.parse(other.body).evaluators[0]).toMatchObject({ state: 'no_data', judged: 0 })
  for (const path of [range, '/api/alarms', '/api/evaluators'])
    expect((await server.send('GET', path, undefined, client)).status).toBe(403)
  const { body: list } = await server.send('GET', '/api/evaluators', undefined, admin)
  expect(evaluatorListSchema.parse(list).data).toMatchObject([{ evaluator: 'refusal', is_calibrated: true }])
  const { body: alarms } = await server.send('GET', '/api/alarms?limit=5', undefined, admin)
  expect(alarmPageSchema.parse(alarms)).toEqual({ data: [], next: null })
}, 600_000)

test('what is asked wrongly is refused with what and where', async () => {
  const admin = await server.addKey('admin', 'live')
  const ask = async (path: string) => {
    const { status, body } = await server.send('GET', path, undefined, admin)
    return [status, (body as { error: { message: string } }).error.message]
  }
  expect(await ask('/api/monitoring/overview?from=yesterday')).toEqual([400, expect.stringContaining('from')])
  expect(await ask('/api/monitoring/overview?from=2026-02-01&to=2026-01-01')).toEqual([400, 'to: is before from.'])
  expect(await ask('/api/monitoring/overview?from=2020-01-01&to=2026-01-01')).toEqual([
    400,
    expect.stringContaining('400 days'),
  ])
  expect(await ask('/api/alarms/018f0000-0000-7000-8000-000000000000')).toEqual([404, 'There is no such alarm.'])
  expect((await ask('/api/alarms/1;drop'))[0]).toBe(400)
  const close = '/api/alarms/018f0000-0000-7000-8000-000000000000/close'
  expect((await server.send('POST', close, undefined, admin)).status).toBe(404)
}, 600_000)
