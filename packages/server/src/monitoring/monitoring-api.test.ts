import {
  alarmPageSchema,
  evaluationsSchema,
  evaluatorListSchema,
  interactionPageSchema,
  monitoringOverviewSchema,
  reviewGuidelineSchema,
} from '@plumbline/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type TestServer, until } from '../server.test-support.ts'
import { peopleNeeded } from '../stakes.ts'

let server: TestServer
beforeAll(async () => {
  const review = { sample: 0, guideline: 'Insults are harmful.' }
  server = await startServer({ monitoring: { evaluators: ['refusal'], cohorts: ['language'], review } })
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

test('what evaluators say of an answer stands with it, for administrators of its project', async () => {
  const [admin, reviewer] = [await server.addKey('admin', 'said'), await server.addKey('reviewer', 'said')]
  const client = await server.addKey('client', 'said')
  const { record, id } = await server.answer(client, 'what do you say of this', admin)
  const ask = (key: string, about = record) =>
    server.send('GET', `/api/evaluations?interaction=${about}`, undefined, key)
  const stateOf = async (about?: string) => evaluationsSchema.parse((await ask(admin, about)).body).data[0].state
  await until(async () => (await stateOf()) === 'passed' || undefined)
  expect(await stateOf(id)).toBe('passed')
  expect((await ask(admin, record)).body).toMatchObject({
    record,
    data: [{ evaluator: 'refusal', is_current: true, state: 'passed', error: null, probability: 1 }],
  })
  const found = async (query: string) => {
    const { body } = await server.send('GET', `/api/interactions?${query}`, undefined, admin)
    return interactionPageSchema.parse(body).data
  }
  expect(await found('evaluator=refusal&verdict=passed')).toMatchObject([{ record, flagged_by: [] }])
  expect(await found('evaluator=refusal&verdict=flagged')).toEqual([])
  expect((await ask(reviewer)).status).toBe(403)
  expect((await ask(await server.addKey('admin', 'elsewhere'))).status).toBe(404)
  expect((await ask(admin, 'x'.repeat(600))).status).toBe(400)
}, 600_000)

test('the settings in force concern all projects: only the operator reads them', async () => {
  const path = '/api/monitoring/settings'
  const { status, body } = await server.send('GET', path, undefined, server.adminKey)
  expect([status, body]).toMatchObject([200, { settings: { evaluators: ['refusal'], cohorts: ['language'] } }])
  const refused = await server.send('GET', path, undefined, await server.addKey('admin', 'live'))
  expect(refused).toMatchObject({ status: 403, body: { error: { code: 'operator_only' } } })
}, 600_000)

test('reviewers read the guideline, and which categories need two of them', async () => {
  const ask = async (scope: 'reviewer' | 'client') =>
    server.send('GET', '/api/review/guideline', undefined, await server.addKey(scope, 'live'))
  const read = reviewGuidelineSchema.parse((await ask('reviewer')).body)
  expect(read.guideline).toBe('Insults are harmful.')
  expect(read.high_stakes.map(peopleNeeded)).toEqual(read.high_stakes.map(() => 2))
  const refused = await ask('client')
  expect(refused).toMatchObject({
    status: 403,
    body: { error: { message: expect.stringContaining('reviewer or admin') } },
  })
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
