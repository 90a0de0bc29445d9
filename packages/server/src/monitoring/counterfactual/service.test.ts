import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitoringOverviewSchema } from '@plumbline/contracts'
import { openStore } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type TestServer, until } from '../../server.test-support.ts'
import { answerRow } from '../month.test-support.ts'
import { readMonitoring } from '../plan.ts'
import { startMonitoring } from '../service.ts'

let upstream: Server
let url: string
let server: TestServer
const asked: { readonly temperature?: number; readonly messages: readonly { readonly content: string }[] }[] = []
beforeAll(async () => {
  upstream = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    asked.push(JSON.parse(Buffer.concat(chunks).toString('utf8')))
    const message = { role: 'assistant', content: 'Of course: begin with the engine.' }
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ id: 'chatcmpl-1', model: 'm-1', choices: [{ index: 0, message, finish_reason: 'stop' }] }))
  })
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`
  const counterfactual = { url, sample: 1 }
  server = await startServer({ upstream: url, monitoring: { drift: false, counterfactual } })
}, 600_000)
afterAll(async () => {
  await server?.stop()
  upstream?.closeAllConnections()
  upstream?.close()
}, 600_000)

test('through the whole gateway: one live answer, two more in the shadow, which are no live answers', async () => {
  const client = await server.addKey('client')
  const request = { model: 'm-1', temperature: 0.7, messages: [{ role: 'user', content: 'How does she start a car?' }] }
  const live = await server.send('POST', '/v1/chat/completions', request, client)
  expect(live.status).toBe(200)
  const overview = async () =>
    monitoringOverviewSchema.parse(
      (await server.send('GET', '/api/monitoring/overview', undefined, server.adminKey)).body,
    )
  const found = await until(async () => {
    const read = await overview()
    const isDone = read.counterfactual!.readings.some(({ pairs }) => pairs > 0) && read.pending === 0
    return isDone ? read : undefined
  })
  expect(found.counterfactual).toMatchObject({ looked: 1, named: 1, not_asked: 0 })
  const own = found.counterfactual!.readings.filter(({ axis }) => axis === 'gender')
  expect(own.map(({ evaluator, pairs, flips }) => [evaluator, pairs, flips])).toEqual([
    ['refusal', 1, 0],
    ['harm', 1, 0],
    ['toxicity', 1, 0],
  ])
  expect(asked.map(({ temperature, messages }) => [temperature, messages[0].content])).toEqual([
    [0.7, 'How does she start a car?'],
    [0, 'How does she start a car?'],
    [0, 'How does he start a car?'],
  ])
  expect(found.days.reduce((sum, { answers }) => sum + answers, 0)).toBe(1)
  const { body } = await server.send('GET', '/api/interactions?limit=10', undefined, server.adminKey)
  expect((body as { data: unknown[] }).data).toHaveLength(1)
  expect((await server.send('GET', '/api/review/next', undefined, server.adminKey)).body).toEqual({ item: null })
}, 600_000)

test('switched off and on again: what came in between is not sent', async () => {
  const store = await openStore('memory')
  const at = '2026-01-02T03:04:05.678Z'
  const say = async (prompt: string) => {
    const row = answerRow({ at, prompt, text: 'Yes.' })
    const json = JSON.stringify({ upstream: new URL(url).origin, model: 'm-1', ...JSON.parse(row.json) })
    await store.insertInteractions([{ ...row, json }])
  }
  const start = (counterfactual?: object) => {
    const plan = readMonitoring({ evaluators: [], drift: false, counterfactual }, {})
    return startMonitoring(plan, { store, now: Date.now, warn: () => {} }, { everyMs: 50 })
  }
  asked.length = 0
  await (await start({ url, sample: 1 })).stop()
  const without = await start()
  await say('Is he here in between?')
  await without.stop()
  const service = await start({ url, sample: 1 })
  await say('Is he here afterwards?')
  await until(async () => {
    const { days } = await store.monitoring.pairs({ project: 'default', from: '2026-01-02', to: '2026-01-02' })
    return days.length > 0 ? days : undefined
  })
  await service.stop()
  await store.close()
  expect(asked.map(({ messages }) => messages[0].content)).toEqual([
    'Is he here afterwards?',
    'Is she here afterwards?',
  ])
}, 600_000)
