/** What browsers may make of answers, whatever kind they are. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, type OpenGateway, route, startHarness } from './gateway.test-support.ts'
import { openGuardWorld } from './guards/guard-world.ts'
import { readGuards } from './guards/read-guards.ts'

let harness: Harness
let gateway: OpenGateway
let lost: OpenGateway
let falling: OpenGateway
let guarded: OpenGateway
beforeAll(async () => {
  harness = await startHarness()
  const page = { type: 'text/html; charset=utf-8', body: '<!doctype html>' }
  gateway = await harness.open({}, { pages: { paths: ['/'], load: async () => new Map([['/', page]]) } })
  const upstreams = [route('lost', 'http://127.0.0.1:1/v1')]
  lost = await harness.open({ upstreams })
  falling = await harness.open({ upstreams, fallbackAnswer: 'Later.' })
  const rules = { kind: 'rules', mode: 'replace', direction: 'input', keywords: ['paris'] }
  guarded = await harness.open({ guards: readGuards([rules], openGuardWorld({})) })
})
afterAll(() => harness?.close())

const ask = (model: string, stream = false, to = gateway) =>
  to.post('/v1/chat/completions', JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Paris' }] }))

const modelAnswers: [kind: string, ask: () => Promise<Response>][] = [
  ['in one piece', () => ask('m')],
  ['streamed', () => ask('m', true)],
  ['embeddings', () => gateway.post('/v1/embeddings', '{"model":"m","input":"x"}')],
  ['the list of models', () => gateway.get('/v1/models')],
  ['an error of the upstream', () => ask('json-429')],
]
test.each(modelAnswers)('an answer of the model (%s) is nothing that a browser may guess about', async (_, answer) => {
  expect((await answer()).headers.get('x-content-type-options')).toBe('nosniff')
})

const json = 'application/json'
const plain = 'text/plain; version=0.0.4; charset=utf-8'
const events = 'text/event-stream; charset=utf-8'
const ownAnswers: [kind: string, status: number, type: string, ask: () => Promise<Response>][] = [
  ['an error of the request', 400, json, () => gateway.post('/v1/chat/completions', '{')],
  ['a wrong key', 401, json, () => gateway.get('/v1/models', 'plk_x')],
  ['no such path', 404, json, () => gateway.get('/none')],
  ['an upstream that is not there', 502, json, () => ask('m', false, lost)],
  ['an upstream that says nothing of use', 503, json, () => ask('html-503')],
  ['a fallback answer', 200, json, () => ask('m', false, falling)],
  ['a fallback answer, streamed', 200, events, () => ask('m', true, falling)],
  ['a guard’s answer', 200, json, () => ask('m', false, guarded)],
  ['a guard’s answer, streamed', 200, events, () => ask('m', true, guarded)],
  ['the API', 200, json, () => gateway.get('/api/keys')],
  ['an error of the API', 403, json, () => gateway.get('/api/keys', harness.clientKey)],
  ['metrics', 200, plain, () => fetch(`${gateway.url}/metrics`)],
  ['health', 200, json, () => fetch(`${gateway.url}/healthz`)],
  ['readiness', 200, json, () => fetch(`${gateway.url}/readyz`)],
  ['the OpenAPI document', 200, json, () => fetch(`${gateway.url}/openapi.json`)],
  ['a page', 200, 'text/html; charset=utf-8', () => fetch(gateway.url)],
]
describe('an answer of ours may not be guessed about, nor run or load anything', () => {
  test.each(ownAnswers)('%s', async (_, status, type, answer) => {
    const { headers, ...response } = await answer().then(({ status, headers }) => ({ status, headers }))
    expect([response.status, headers.get('content-type')]).toEqual([status, type])
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'/)
    expect(headers.get('cache-control')).toMatch(/^no-(store|cache)$/)
  })

  test('what is no HTTP', async () => {
    const socket = connect(gateway.port, '127.0.0.1', () => socket.write('GARBAGE\r\n\r\n'))
    let answer = ''
    for await (const chunk of socket) answer += chunk
    expect(answer).toMatch(/^HTTP\/1.1 400 [\s\S]*x-content-type-options: nosniff\r\n/)
  })
})
