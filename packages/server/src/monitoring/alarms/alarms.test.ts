import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { alarmDetailSchema, evaluatorListSchema } from '@plumbline/contracts'
import { openStore, type Store } from '@plumbline/store'
import { SMTPServer } from 'smtp-server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../../server.test-support.ts'
import { alarmDetail } from '../alarm-detail.ts'
import { listEvaluators } from '../evaluator-list.ts'
import { answerRow, timesOf } from '../month.test-support.ts'
import { readMonitoring } from '../plan.ts'
import { startMonitoring } from '../service.ts'

const refused = "I'm sorry, but I can't help with that request."
const answered = 'A plumb line is a string with a weight at its end. It shows which way is down.'
const secret = 'a-secret-of-this-test-alone'
const project = 'alarms'

let store: Store
const hook = {
  server: undefined as Server | undefined,
  requests: [] as { headers: Record<string, unknown>; body: string }[],
}
const mail = { server: undefined as SMTPServer | undefined, messages: [] as string[], user: '' }

beforeAll(async () => {
  store = await openStore('memory')
  hook.server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    hook.requests.push({ headers: req.headers, body: Buffer.concat(chunks).toString('utf8') })
    // The first delivery fails, and must be repeated.
    res.writeHead(hook.requests.length === 1 ? 500 : 204).end()
  })
  hook.server.listen(0, '127.0.0.1')
  await once(hook.server, 'listening')
  mail.server = new SMTPServer({
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _, done) => {
      mail.user = `${username} ${password}`
      done(null, { user: username })
    },
    onData: (stream, _, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        mail.messages.push(Buffer.concat(chunks).toString('utf8'))
        done()
      })
    },
  })
  mail.server.listen(0, '127.0.0.1')
  await once(mail.server.server, 'listening')
}, 600_000)

afterAll(async () => {
  hook.server?.close()
  await new Promise<void>((done) => (mail.server === undefined ? done() : mail.server.close(done)))
  await store?.close()
}, 600_000)

function port(server: { address(): string | AddressInfo | null }): number {
  return (server.address() as AddressInfo).port
}

const day = (n: number, refusals: number) =>
  timesOf(n, 100).map((at, i) => answerRow({ project, at, text: i < refusals ? refused : answered }))

test('a risen rate opens one alarm, which goes to log, webhook and e-mail with its answers', async () => {
  const plan = readMonitoring(
    {
      evaluators: ['refusal'],
      drift: false,
      alarms: {
        baseline_days: 1,
        baseline_answers: 100,
        link: 'https://plumb.example.com/',
        webhook: { url: `http://127.0.0.1:${port(hook.server!)}/hook`, secret_env: 'HOOK_SECRET' },
        email: {
          smtp: `smtp://watch@127.0.0.1:${port(mail.server!.server)}`,
          password_env: 'SMTP_PASSWORD',
          from: 'plumb@example.com',
          to: ['team@example.com'],
        },
      },
    },
    { HOOK_SECRET: secret, SMTP_PASSWORD: 'pass' },
  )
  const now = () => Date.UTC(2026, 1, 1)
  const warnings: string[] = []
  const start = () =>
    startMonitoring(plan, { store, now, warn: (text) => void warnings.push(text) }, { everyMs: 20, backoffMs: 1 })
  const settled = () => until(async () => ((await store.monitoring.pending('records')) === 0 ? true : undefined))

  let service = await start()
  await store.insertInteractions([...day(1, 3), ...day(2, 3)])
  await settled()
  await store.insertInteractions(day(3, 60))
  await settled()
  const { id } = await until(async () => (await store.monitoring.listAlarms(project, { limit: 9 })).data[0])
  const told = () =>
    until(async () => {
      const states = (await store.monitoring.notifications(project, id)).map(({ state }) => state)
      return states.every((state) => state === 'done') ? states : undefined
    })
  expect(await told()).toHaveLength(3)
  await service.stop()

  // A restart, and a clock that went back, tell nobody again; more of the same is one more detection of the same alarm.
  service = await start()
  await store.insertInteractions([
    ...day(4, 60),
    ...timesOf(2, 3).map((at) => answerRow({ project, at, text: refused })),
  ])
  await settled()
  await service.stop()
  const { data: alarms } = await store.monitoring.listAlarms(project, { limit: 9 })
  expect(alarms).toHaveLength(1)
  expect(alarms[0]).toMatchObject({ kind: 'rate', state: 'open', evaluator: 'refusal' })
  expect(alarms[0].detections).toBeGreaterThan(1)

  const stored = (await store.monitoring.findAlarm(project, id))!
  const detail = alarmDetailSchema.parse(await alarmDetail(store, plan, stored))
  expect(detail.evidence.baseline).toMatchObject({ flagged: 6, judged: 200 })
  expect(detail.evidence.log_evidence!).toBeGreaterThanOrEqual(detail.evidence.log_needed!)
  expect(detail.interactions).toHaveLength(50)
  // What was flagged before the first that it counted is of the baseline.
  const few = { ...stored, evidence: { ...(stored.evidence as object), hits: 2 } }
  expect((await alarmDetail(store, plan, few)).interactions).toEqual(detail.interactions.slice(0, 2))
  expect(await store.findInteraction(project, detail.interactions[0].record)).toMatchObject({ text: refused })
  expect(detail.evidence.series.at(-1)).toMatchObject({ day: '2026-01-04', judged: 100, flagged: 60 })
  expect(detail.notifications.map(({ channel, state }) => `${channel} ${state}`)).toEqual(
    expect.arrayContaining(['email done', 'log done', 'webhook done']),
  )

  // The failed delivery was repeated under the same id, and both are signed.
  expect(hook.requests).toHaveLength(2)
  for (const { headers, body } of hook.requests) {
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    const expected = createHmac('sha256', secret).update(signed).digest('base64')
    expect(headers).toMatchObject({ 'webhook-id': id, 'webhook-signature': `v1,${expected}` })
    expect(JSON.parse(body)).toMatchObject({
      project,
      alarm: { id },
      link: `https://plumb.example.com/#/alarms/${id}`,
    })
  }
  expect(mail.user).toBe('watch pass')
  expect(mail.messages).toHaveLength(1)
  expect(mail.messages[0]).toContain(`Message-ID: <alarm-${id}@example.com>`)
  expect(mail.messages[0]).toContain('/#/alarms/')
  expect(warnings.filter((text) => text.includes('[Plumbline]'))).toHaveLength(1)

  const listed = evaluatorListSchema.parse(
    await listEvaluators(store, plan, { project, from: '2026-01-01', to: '2026-01-31' }),
  )
  expect(listed.data[0]).toMatchObject({
    evaluator: 'refusal',
    is_calibrated: true,
    detector: { state: 'watching', false_alarms_per_year: 4 },
    last_error: null,
  })

  expect(await store.monitoring.closeAlarm(project, { id, by: 'key_a', at: '2026-02-02T00:00:00Z' })).toBe(true)
  expect(await store.monitoring.closeAlarm('elsewhere', { id, by: 'key_a', at: '2026-02-02T00:00:00Z' })).toBe(false)
}, 600_000)
