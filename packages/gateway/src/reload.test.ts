import { PlumblineError } from '@plumbline/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, route, startHarness } from './gateway.test-support.ts'
import type { UpstreamServer } from './upstream-server.test-support.ts'

let harness: Harness
let old: UpstreamServer
let fresh: UpstreamServer
beforeAll(async () => {
  harness = await startHarness()
  old = harness.upstream
  fresh = await harness.startUpstream()
}, 600_000)
afterAll(() => harness?.close(), 600_000)

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const soon = () => new Promise((resolve) => setTimeout(resolve, 5))

describe('a reload', () => {
  test('in the middle of a stream: it ends where it began, new requests go elsewhere, the old one is let go', async () => {
    const gateway = await harness.open({ upstreams: [route('old', old.url)] })
    const stream = await gateway.client.chat.completions.create({ model: 'waits-in-stream', messages, stream: true })
    const chunks = stream[Symbol.asyncIterator]()
    const { value } = await chunks.next()
    gateway.configure((first) => ({ ...first, upstreams: [route('fresh', fresh.url)], fallbackAnswer: 'x' }))
    const { config } = await gateway.reload()
    const answer = await gateway.client.chat.completions.create({ model: 'm', messages })
    expect(await harness.recordOf(({ id }) => id === answer.id)).toMatchObject({
      config,
      attempts: [{ upstream: 'fresh', status: 200 }],
    })
    old.release()
    let finish: string | null = null
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
      finish = next.value.choices[0]?.finish_reason ?? finish
    }
    expect(finish).toBe('stop')
    const record = await harness.recordOf(({ id }) => id === value.id)
    expect(record).toMatchObject({ termination: 'completed', attempts: [{ upstream: 'old' }] })
    expect(record.config).not.toBe(config)
    while ((await old.connections()) > 0) await soon()
  })

  test('again and again under load drops nothing', async () => {
    const gateway = await harness.open({ upstreams: [route('old', old.url)] })
    let round = 0
    gateway.configure((first) => ({ ...first, upstreams: [route('it', round % 2 === 0 ? fresh.url : old.url)] }))
    const answers = Array.from({ length: 100 }, async (_, i) => {
      const body = JSON.stringify({ model: 'm', messages, stream: i % 2 === 0 })
      const response = await gateway.post('/v1/chat/completions', body)
      return [response.status, (await response.text()).includes('Paris')] as const
    })
    for (; round < 20; round++) {
      await gateway.reload()
      await soon()
    }
    for (const answer of await Promise.all(answers)) expect(answer).toEqual([200, true])
  })

  test('that is no good leaves the old one, and says why', async () => {
    const gateway = await harness.open({ upstreams: [route('old', old.url)] })
    const send = async (key?: string) => {
      const response = await gateway.send('POST', '/api/reload', undefined, key)
      return { status: response.status, ...((await response.json()) as object) }
    }
    const before = await send()
    expect(before).toMatchObject({ status: 200, config: expect.stringMatching(/^[0-9a-f]{12}$/) })
    gateway.configure(() => {
      throw new PlumblineError('USAGE_VALUE', 'retries: must be an integer, got "x" (from gateway.yaml:3).')
    })
    expect(await send()).toMatchObject({
      status: 400,
      error: { code: 'invalid_config', message: expect.stringMatching(/gateway.yaml:3.* The old configuration stays/) },
    })
    gateway.configure((first) => ({
      ...first,
      upstreams: [route('fresh', fresh.url), route('metadata', 'http://169.254.169.254/v1')],
    }))
    expect(await send()).toMatchObject({ status: 400, error: { message: expect.stringContaining('169.254.169.254') } })
    const answer = await gateway.client.chat.completions.create({ model: 'm', messages })
    expect(await harness.recordOf(({ id }) => id === answer.id)).toMatchObject({ attempts: [{ upstream: 'old' }] })
    expect(await gateway.metric('plumbline_reloads_total{result="refused"}')).toBe(2)
    expect(await send(await harness.addKey('admin'))).toMatchObject({ status: 403 })
    expect((await gateway.get('/api/reload')).status).toBe(405)
  })

  test('keeps connections and breaker of an upstream that stays as it was', async () => {
    const breaker = { failureRate: 1, windowMs: 600_000, minAttempts: 1, pauseMs: 600_000 }
    const gateway = await harness.open({ upstreams: [route('old', old.url)], breaker })
    await gateway.post('/v1/chat/completions', '{"model":"html-503"}')
    gateway.configure((first) => ({ ...first, idleMs: 5_000 }))
    await gateway.reload()
    expect(await gateway.metric('plumbline_breaker_state{upstream="old"}')).toBe(2)
    gateway.configure((first) => ({ ...first, upstreams: [route('old', `${old.url}/`)] }))
    await gateway.reload()
    expect(await gateway.metric('plumbline_breaker_state{upstream="old"}')).toBe(0)
  })
})

describe('addresses', () => {
  /** A name that leads to each of these in turn. */
  const leadingTo = (...addresses: string[]) => {
    const asked: string[] = []
    const resolve = (name: string, _: object, done: (error: null, found: { address: string; family: 4 }[]) => void) => {
      asked.push(name)
      done(null, [{ address: addresses.shift() ?? '169.254.169.254', family: 4 }])
    }
    return { resolve, asked }
  }

  test('a name is checked at each connection, not once', async () => {
    const { port } = new URL(old.url)
    const { resolve, asked } = leadingTo('127.0.0.1')
    const upstreams = [route('rebinds', `http://rebinds.example:${port}/v1`, { isPrivate: true })]
    const gateway = await harness.open({ upstreams }, { resolve })
    const first = await gateway.client.chat.completions.create({ model: 'waits-in-stream', messages, stream: true })
    // The first connection is taken, so the second request needs another one.
    const second = await gateway.post('/v1/chat/completions', '{"model":"rebound"}')
    expect([second.status, await second.json()]).toMatchObject([502, { error: { code: 'upstream_unreachable' } }])
    expect(asked).toEqual(['rebinds.example', 'rebinds.example'])
    expect(harness.warnings).toContainEqual(expect.stringContaining('rebinds.example leads to 169.254.169.254'))
    old.release()
    for await (const _ of first);
    expect(old.requests.some(({ body }) => body.includes('rebound'))).toBe(false)
  })

  test('a public name does not lead into private networks, unless the configuration says so', async () => {
    const { port } = new URL(old.url)
    for (const [isPrivate, status] of [
      [false, 502],
      [true, 200],
    ] as const) {
      const { resolve } = leadingTo('127.0.0.1')
      const upstreams = [route('named', `http://models.example:${port}/v1`, { isPrivate })]
      const gateway = await harness.open({ upstreams }, { resolve })
      expect((await gateway.post('/v1/chat/completions', '{"model":"m"}')).status).toBe(status)
    }
  })
})
