import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Harness, type OpenGateway, route, startHarness } from './gateway.test-support.ts'
import type { PolicyOptions, RouteOptions } from './policies.ts'
import { sentence, type UpstreamServer } from './upstream-server.test-support.ts'

let harness: Harness
let first: UpstreamServer
let second: UpstreamServer
beforeAll(async () => {
  harness = await startHarness()
  first = harness.upstream
  second = await harness.startUpstream()
}, 600_000)
afterAll(() => harness?.close(), 600_000)
beforeEach(() => {
  for (const upstream of [first, second]) {
    upstream.requests.length = 0
    upstream.always(undefined)
  }
})

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const retries = { max: 2, budget: 1, baseMs: 1, maxWaitMs: 1_000 }
const nobody = 'http://127.0.0.1:1/v1'
/** Practically always the one that is asked first. */
const preferred = (url: string) => route('preferred', url, { weight: 1e6 })
const other = (url: string, more: Partial<RouteOptions> = {}) => route('other', url, { weight: 1e-3, ...more })

let asks = 0
/** Asks once, under a model of its own, and gives the answer with its record. */
async function ask(gateway: OpenGateway, more: object = {}) {
  const model = `model-${++asks}`
  const response = await gateway.post('/v1/chat/completions', JSON.stringify({ model, messages, ...more }))
  const text = await response.text()
  const record = await harness.recordOf(({ request_model }) => request_model === model)
  return { status: response.status, headers: response.headers, text, record }
}

const open = (upstreams: RouteOptions[], more: Partial<PolicyOptions> = {}) =>
  harness.open({ upstreams, retries, ...more })
const alone = (more: Partial<PolicyOptions> = {}) => open([route('alone', first.url)], more)

describe('retries', () => {
  test('an upstream that is not there: another answers at once, and the record tells of both', async () => {
    const gateway = await open([preferred(nobody), other(second.url)])
    const { status, text, record } = await ask(gateway)
    expect([status, text]).toEqual([200, expect.stringContaining(sentence)])
    expect(record).toMatchObject({
      termination: 'completed',
      upstream: new URL(second.url).origin,
      attempts: [
        { upstream: 'preferred', status: null, why: 'upstream_unreachable' },
        { upstream: 'other', status: 200, why: null },
      ],
    })
    expect(await gateway.metric('plumbline_retries_total{upstream="preferred",why="upstream_unreachable"}')).toBe(1)
  })

  test.each(['html-503', 'resets-before-headers', 'resets-after-head'])('%s twice, then an answer', async (name) => {
    const gateway = await alone()
    first.next(name, name)
    const { status, text, record } = await ask(gateway, { stream: true })
    expect([status, text]).toEqual([200, expect.stringContaining('[DONE]')])
    expect(record).toMatchObject({ termination: 'completed', text: sentence })
    expect(record.attempts).toHaveLength(3)
    expect(first.requests).toHaveLength(3)
    expect(new Set(first.requests.map(({ body }) => body)).size).toBe(1)
  })

  test('as often as configured, and then the last failure is told', async () => {
    const gateway = await alone()
    first.always('html-503')
    const { status, record } = await ask(gateway)
    expect([status, first.requests.length, record.termination]).toEqual([503, 3, 'upstream_error'])
  })

  test.each(['json-400', 'json-500', 'json-401', 'garbage', 'error-in-200'])('%s is not tried again', async (name) => {
    const gateway = await alone()
    first.always(name)
    const { record } = await ask(gateway)
    expect(first.requests).toHaveLength(1)
    expect(record.attempts).toHaveLength(1)
  })

  test('once a byte has gone out there is no other answer', async () => {
    const gateway = await alone()
    first.next('resets-in-stream')
    const { text, record } = await ask(gateway, { stream: true })
    expect(text).toMatch(/of [\s\S]*event: error\ndata: .*upstream_reset/)
    expect([first.requests.length, record.termination]).toEqual([1, 'upstream_reset'])
  })

  test('an upstream that does not begin its answer in time: another does', async () => {
    const gateway = await open([preferred(first.url), other(second.url)], { firstTokenMs: 3_000 })
    first.always('silent')
    const { text, record } = await ask(gateway, { stream: true })
    expect(text).toContain('[DONE]')
    expect(record.attempts).toMatchObject([{ why: 'timeout_first_token' }, { status: 200, why: null }])
    while (first.requests[0].brokenAt === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  test('what an upstream asks for is waited for, when that is not too long', async () => {
    const gateway = await alone()
    first.next('json-429-soon')
    expect((await ask(gateway)).status).toBe(200)
    expect(first.requests[1].at - first.requests[0].at).toBeGreaterThanOrEqual(395)
    first.next('json-429')
    const { status, headers } = await ask(gateway)
    expect([status, headers.get('retry-after'), first.requests.length]).toEqual([429, '7', 3])
  })

  test('a wait that would outlast the whole time is not begun', async () => {
    const gateway = await alone({ totalMs: 6_000, retries: { ...retries, maxWaitMs: 60_000 } })
    first.next('json-429')
    expect((await ask(gateway)).record).toMatchObject({ attempts: [{ status: 429 }] })
    expect(first.requests).toHaveLength(1)
  })

  test('after the whole time nothing is tried again', async () => {
    const gateway = await alone({ totalMs: 2_000 })
    first.always('silent')
    const { status, record } = await ask(gateway)
    expect([status, record.termination, first.requests.length]).toEqual([504, 'timeout_total', 1])
  })

  test('a client that leaves while a wait goes on ends it', async () => {
    const gateway = await alone()
    first.next('json-429-soon')
    const stop = new AbortController()
    const asked = gateway.client.chat.completions.create({ model: 'leaves', messages }, { signal: stop.signal })
    const retried = 'plumbline_retries_total{upstream="alone",why="upstream_error"}'
    while ((await gateway.metric(retried)) !== 1) await new Promise((resolve) => setTimeout(resolve, 5))
    stop.abort()
    await expect(asked).rejects.toThrow('aborted')
    const record = await harness.recordOf(({ request_model }) => request_model === 'leaves')
    expect(record).toMatchObject({ termination: 'client_abort', status: null, attempts: [{ status: 429 }] })
    expect(first.requests).toHaveLength(1)
  })

  test('all requests together have a budget', async () => {
    const gateway = await alone({ retries: { ...retries, max: 1, budget: 0.1 } })
    first.always('html-503')
    for (let i = 0; i < 30; i++) await (await gateway.post('/v1/chat/completions', '{"model":"m"}')).text()
    // A burst of 10, and a tenth of the others.
    expect(first.requests.length).toBe(42)
    expect(await gateway.metric('plumbline_retry_budget_exhausted_total')).toBe(18)
  })

  test('one that cannot be connected to takes nothing of it: the other has all answers', async () => {
    const gateway = await open([preferred(nobody), other(second.url)], { retries: { ...retries, budget: 0.1 } })
    const statuses: number[] = []
    for (let i = 0; i < 30; i++) {
      const response = await gateway.post('/v1/chat/completions', '{"model":"m"}')
      await response.text()
      statuses.push(response.status)
    }
    expect(statuses).toEqual(Array(30).fill(200))
    expect(await gateway.metric('plumbline_retry_budget_exhausted_total')).toBeUndefined()
  })
})

describe('the breaker', () => {
  const breaker = { failureRate: 0.5, windowMs: 600_000, minAttempts: 4, pauseMs: 5_000 }
  const state = (gateway: OpenGateway) => gateway.metric('plumbline_breaker_state{upstream="alone"}')

  test('leaves an upstream alone that fails, tries it again, and takes it back', async () => {
    let now = 0
    const policies = { upstreams: [route('alone', first.url)], breaker }
    const gateway = await harness.open(policies, { clock: () => now })
    first.always('html-503')
    for (let i = 0; i < 4; i++) await ask(gateway)
    const { status, headers, text, record } = await ask(gateway)
    expect([status, headers.get('retry-after')]).toEqual([503, '5'])
    expect(text).toContain('"code":"no_upstream"')
    expect(record).toMatchObject({ termination: 'no_upstream', attempts: [], upstream: '' })
    expect([await state(gateway), first.requests.length]).toEqual([2, 4])
    now = 5_000
    expect(await state(gateway)).toBe(1)
    expect((await ask(gateway)).status).toBe(503)
    expect([await state(gateway), first.requests.length]).toEqual([2, 5])
    now = 10_000
    first.always(undefined)
    expect((await ask(gateway)).status).toBe(200)
    expect(await state(gateway)).toBe(0)
  })

  test('half open, one request finds out and the others are refused; one that leaves has said nothing', async () => {
    let now = 0
    const gateway = await harness.open({ upstreams: [route('alone', first.url)], breaker }, { clock: () => now })
    first.next(...Array<string>(4).fill('html-503'), 'silent')
    for (let i = 0; i < 4; i++) await ask(gateway)
    now = 5_000
    const stop = new AbortController()
    const leaving = gateway.client.chat.completions.create({ model: 'probe', messages }, { signal: stop.signal })
    while (first.requests.length < 5) await new Promise((resolve) => setTimeout(resolve, 5))
    expect((await ask(gateway)).record.termination).toBe('no_upstream')
    stop.abort()
    await expect(leaving).rejects.toThrow('aborted')
    await harness.recordOf(({ request_model }) => request_model === 'probe')
    expect((await ask(gateway)).status).toBe(200)
    expect(await state(gateway)).toBe(0)
  })

  test('refusals for the client’s sake do not count', async () => {
    const gateway = await alone({ breaker })
    first.always('json-400')
    for (let i = 0; i < 6; i++) expect((await ask(gateway)).status).toBe(400)
    expect(await state(gateway)).toBe(0)
  })

  test('a flapping upstream beside a good one costs no client its answer', async () => {
    const gateway = await open([route('flapping', first.url), route('good', second.url)], {
      breaker: { ...breaker, pauseMs: 20 },
      retries: { ...retries, max: 3 },
    })
    const bad = ['html-503', 'resets-before-headers', 'resets-after-head', 'plain']
    first.next(...Array.from({ length: 40 }, (_, i) => bad[i % 4]))
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(gateway, { stream: true })))
    expect(answers.filter(({ status, text }) => status !== 200 || !text.includes('[DONE]'))).toEqual([])
  })
})

describe('which upstream', () => {
  test('by weight, and not at all with weight 0', async () => {
    const gateway = await open([
      route('three', first.url, { weight: 3 }),
      route('one', second.url, { weight: 1 }),
      route('none', nobody, { weight: 0 }),
    ])
    const post = () => gateway.post('/v1/chat/completions', '{"model":"m"}')
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 20 }, post))
    // 150 of 200, give or take five standard deviations.
    expect(first.requests.length).toBeGreaterThan(119)
    expect(first.requests.length).toBeLessThan(181)
    expect(first.requests.length + second.requests.length).toBe(200)
  })

  test('fallbacks in their order, and only when nothing else is left', async () => {
    const gateway = await open([
      route('last', second.url, { isFallback: true }),
      route('main', first.url),
      route('never', nobody, { isFallback: true }),
    ])
    expect((await ask(gateway)).record.attempts).toMatchObject([{ upstream: 'main' }])
    first.next('html-503')
    expect((await ask(gateway)).record.attempts).toMatchObject([
      { upstream: 'main', status: 503 },
      { upstream: 'last', status: 200 },
    ])
  })

  test('by model; one that nobody has is told as OpenAI does; the list names them all', async () => {
    const gateway = await open([
      route('a', first.url, { models: ['a', 'both'] }),
      route('b', second.url, { models: ['b', 'both'] }),
      other(second.url, { name: 'dead', url: nobody, models: ['dead'] }),
    ])
    for (const model of ['a', 'b', 'b']) await gateway.post('/v1/chat/completions', JSON.stringify({ model }))
    expect([first.requests.length, second.requests.length]).toEqual([1, 2])
    const missing = await gateway.post('/v1/chat/completions', '{"model":"c"}')
    expect([missing.status, await missing.json()]).toMatchObject([404, { error: { code: 'model_not_found' } }])
    const ids = (await gateway.client.models.list()).data.map(({ id }) => id)
    expect(ids.sort()).toEqual(['a', 'b', 'both', 'dead'])
    expect((await gateway.client.models.retrieve('b')).id).toBe('b')
    await expect(gateway.client.models.retrieve('c')).rejects.toMatchObject({ status: 404 })
    const asking = await open([route('a', first.url), route('b', nobody), route('c', second.url, { models: ['c'] })])
    expect((await asking.client.models.list()).data.map(({ id }) => id)).toEqual(['m', 'c'])
    const gone = await open([route('a', nobody), route('b', nobody)])
    expect((await gone.get('/v1/models')).status).toBe(502)
  })
})

test('no fault of ours was met', () => {
  expect(harness.warnings.filter((text) => text.includes('fault of ours'))).toEqual([])
})
