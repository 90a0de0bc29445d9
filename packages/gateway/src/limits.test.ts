import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, route, startHarness } from './gateway.test-support.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
}, 600_000)
afterAll(() => harness?.close(), 600_000)

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]

describe('limits of a key', () => {
  test('requests a minute, as OpenAI tells them; the metrics count', async () => {
    const gateway = await harness.open({ keyLimits: { requests_per_minute: 2 } })
    const key = await harness.addKey('client')
    const client = gateway.client.withOptions({ apiKey: key })
    const { response } = await client.chat.completions.create({ model: 'm', messages }).withResponse()
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('2')
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('1')
    expect(response.headers.get('x-ratelimit-reset-requests')).toMatch(/^\d+ms$/)
    await client.chat.completions.create({ model: 'm', messages })
    const error = await client.chat.completions.create({ model: 'm', messages }).catch((caught) => caught)
    expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'requests' })
    expect(Number(error.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(error.headers.get('retry-after'))).toBeLessThanOrEqual(30)
    expect(error.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    expect(await gateway.metric('plumbline_limited_total{limit="requests"}')).toBe(1)
    // Another key has its own minute, and one without limit none.
    const free = await harness.addKey('client', 'default', false, { requests_per_minute: null })
    for (let i = 0; i < 4; i++) {
      const answer = gateway.client.withOptions({ apiKey: free }).chat.completions.create({ model: 'm', messages })
      expect((await answer.withResponse()).response.headers.has('x-ratelimit-limit-requests')).toBe(false)
    }
  })

  test('answers at a time; one that ended, however it did, makes room', async () => {
    const gateway = await harness.open({ keyLimits: { concurrent: 1 } })
    const key = await harness.addKey('client')
    const client = gateway.client.withOptions({ apiKey: key })
    const stream = await client.chat.completions.create({ model: 'waits-in-stream', messages, stream: true })
    await expect(client.chat.completions.create({ model: 'm', messages })).rejects.toMatchObject({ status: 429 })
    harness.upstream.release()
    for await (const _ of stream);
    const stop = new AbortController()
    const leaving = client.chat.completions.create({ model: 'silent', messages }, { signal: stop.signal })
    while (!harness.upstream.requests.some(({ body }) => body.includes('"silent"'))) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    stop.abort()
    await expect(leaving).rejects.toThrow('aborted')
    await harness.recordOf(({ request_model }) => request_model === 'silent')
    for (const body of ['{"model":', '{}']) {
      const response = await gateway.post('/v1/chat/completions', body, { authorization: `Bearer ${key}` })
      await response.text()
    }
    await client.chat.completions.create({ model: 'm', messages })
  })

  test('tokens a minute: guessed when a request comes, corrected by what it used', async () => {
    const gateway = await harness.open({ keyLimits: { tokens_per_minute: 100 } })
    const key = await harness.addKey('client')
    const client = gateway.client.withOptions({ apiKey: key })
    const ask = (more: object) =>
      client.chat.completions.create({ model: 'm', messages, max_tokens: 10, ...more }).withResponse()
    // More than a minute has goes while the minute is whole; it used 13.
    const { response } = await ask({ max_tokens: 100_000 })
    expect(response.headers.get('x-ratelimit-limit-tokens')).toBe('100')
    const second = await ask({})
    const left = Number(second.response.headers.get('x-ratelimit-remaining-tokens'))
    expect(left).toBeGreaterThan(100 - 13 - 50)
    expect(left).toBeLessThanOrEqual(100 - 13 - 10)
    const error = await ask({ max_tokens: 100_000 }).catch((caught) => caught)
    expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'tokens' })
  })

  test('are kept with the key, and asked for when it is made', async () => {
    const gateway = await harness.open({ keyLimits: { requests_per_minute: 1 } })
    const make = async (limits: object) => {
      const response = await gateway.send('POST', '/api/keys', { scope: 'client', limits })
      return { status: response.status, ...((await response.json()) as { key: string; limits: object; error: object }) }
    }
    const made = await make({ requests_per_minute: 3, concurrent: null })
    expect(made).toMatchObject({ status: 200, limits: { requests_per_minute: 3, concurrent: null } })
    const asked = () => gateway.post('/v1/chat/completions', '{"model":"m"}', { authorization: `Bearer ${made.key}` })
    for (const status of [200, 200, 200, 429]) expect((await asked()).status).toBe(status)
    expect(await harness.store.listKeys()).toContainEqual(
      expect.objectContaining({ limits: { requests_per_minute: 3, concurrent: null } }),
    )
    for (const wrong of [{ requests_per_minute: 0 }, { requests: 1 }, { concurrent: 1.5 }, 'none']) {
      expect(await make(wrong as object)).toMatchObject({ status: 400, error: { code: 'invalid_value' } })
    }
  })
})

describe('the feedback token', () => {
  test('is on every recorded answer, good or not, and says whose it is', async () => {
    const gateway = await harness.open()
    for (const [model, stream] of [
      ['m', false],
      ['m', true],
      ['json-400', false],
      ['html-503', true],
    ] as const) {
      const response = await gateway.post('/v1/chat/completions', JSON.stringify({ model, messages, stream }))
      await response.text()
      const token = response.headers.get('x-plumbline-feedback') ?? ''
      expect(harness.feedback.verify(token)).toMatchObject({
        record: response.headers.get('x-request-id'),
        project: 'default',
      })
    }
    const lost = await harness.open({ upstreams: [route('lost', 'http://127.0.0.1:1/v1')] })
    const failed = await lost.post('/v1/chat/completions', '{"model":"m"}')
    expect(failed.headers.get('x-plumbline-feedback')).toMatch(/^plf1\./)
    expect((await gateway.get('/v1/models')).headers.has('x-plumbline-feedback')).toBe(false)
  })

  test('its secret can be renewed by the operator; tokens from before stay good', async () => {
    const gateway = await harness.open()
    const token = async () => {
      const response = await gateway.post('/v1/chat/completions', '{"model":"m"}')
      return response.headers.get('x-plumbline-feedback') ?? ''
    }
    const before = await token()
    const renew = (key: string) => gateway.send('POST', '/api/feedback-secrets', undefined, key)
    expect((await renew(await harness.addKey('admin'))).status).toBe(403)
    const renewed = (await (await renew(harness.adminKey)).json()) as { id: string }
    const after = await token()
    expect(before).not.toContain(renewed.id)
    expect(after).toContain(renewed.id)
    for (const one of [before, after]) expect(harness.feedback.verify(one)).toMatchObject({ project: 'default' })
  })
})
