import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { interactionSchema } from '@plumbline/contracts'
import fc from 'fast-check'
import { zodResponseFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { type Harness, type OpenGateway, route, startHarness } from './gateway.test-support.ts'
import { eventsOf, flooded, sentence } from './upstream-server.test-support.ts'

let harness: Harness
let gateway: OpenGateway
beforeAll(async () => {
  harness = await startHarness()
  gateway = await harness.open()
}, 600_000)
afterAll(() => harness?.close(), 600_000)

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const chat = (model: string, more: object = {}) => JSON.stringify({ model, messages, stream: true, ...more })

describe('the official client', () => {
  test('chat, in one piece: the answer and its record have one id', async () => {
    const answer = await gateway.client.chat.completions.create({ model: 'm', messages })
    expect(answer.choices[0].message.content).toBe(sentence)
    const record = await harness.recordOf(({ id }) => id === answer.id)
    expect(interactionSchema.parse(record)).toEqual(record)
    expect(record).toMatchObject({
      project: 'default',
      endpoint: '/v1/chat/completions',
      request_model: 'm',
      model: 'm',
      stream: false,
      status: 200,
      termination: 'completed',
      request: { model: 'm', messages },
      text: sentence,
      usage: { total_tokens: 13 },
      error: null,
      upstream_request_id: 'req_upstream',
      notes: [],
    })
    expect(answer._request_id).toBe(record.record)
  })

  test('chat, streamed: text and tool calls are put together', async () => {
    const stream = await gateway.client.chat.completions.create({ model: 'm', messages, stream: true })
    let text = ''
    let id = ''
    for await (const chunk of stream) {
      id = chunk.id
      text += chunk.choices[0]?.delta.content ?? ''
    }
    expect(text).toBe(sentence)
    const record = await harness.recordOf((one) => one.id === id)
    expect(record).toMatchObject({
      stream: true,
      termination: 'completed',
      text: sentence,
      usage: { total_tokens: 13 },
    })
    expect(record.choices).toMatchObject([
      { finish_reason: 'stop', tool_calls: [{ id: 'call_1', name: 'look', arguments: '{"a":1}' }] },
    ])
    expect(record.timings.first_token_ms).toBeGreaterThan(0)
  })

  test('completions, both ways', async () => {
    const whole = await gateway.client.completions.create({ model: 'm', prompt: 'x' })
    let text = ''
    let id = ''
    for await (const chunk of await gateway.client.completions.create({ model: 'm', prompt: 'x', stream: true })) {
      text += chunk.choices[0].text
      id = chunk.id
    }
    expect([whole.choices[0].text, text]).toEqual([sentence, sentence])
    for (const one of [whole.id, id])
      expect(await harness.recordOf((record) => record.id === one)).toMatchObject({ text })
  })

  test('responses, both ways', async () => {
    const whole = await gateway.client.responses.create({ model: 'm', input: 'x' })
    expect(whole.output_text).toBe(sentence)
    let text = ''
    let id = ''
    for await (const event of await gateway.client.responses.create({ model: 'm', input: 'x', stream: true })) {
      if (event.type === 'response.output_text.delta') text += event.delta
      if (event.type === 'response.completed') id = event.response.id
    }
    expect(text).toBe(sentence)
    for (const one of [whole.id, id]) {
      const record = await harness.recordOf((candidate) => candidate.id === one)
      expect(record).toMatchObject({ text, termination: 'completed', usage: { output_tokens: 8 } })
    }
  })

  test('embeddings are recorded under an id of ours; models are passed on', async () => {
    const { data, response } = await gateway.client.embeddings
      .create({ model: 'm', input: 'x', encoding_format: 'float' })
      .withResponse()
    expect(data.data[0].embedding).toEqual([0.5, -0.25])
    const record = await harness.recordOf(({ id }) => id === response.headers.get('x-request-id'))
    expect(record).toMatchObject({ endpoint: '/v1/embeddings', usage: { total_tokens: 2 }, record: record.id })
    expect((await gateway.client.models.list()).data[0].id).toBe('m')
    expect((await gateway.client.models.retrieve('org/name')).id).toBe('org/name')
  })

  test('structured output, both ways', async () => {
    const city = { name: 'Paris', people: 2_100_000 }
    const text = JSON.stringify(city)
    const schema = z.object({ name: z.string(), people: z.number() })
    const format = zodResponseFormat(schema, 'city')
    const head = { id: 'chatcmpl-city', created: 1, model: 'pieces' }
    const choice = { index: 0, finish_reason: 'stop' }
    const whole = { ...head, choices: [{ ...choice, message: { role: 'assistant', content: text, refusal: null } }] }
    const deltas = [{ role: 'assistant', content: text.slice(0, 9) }, { content: text.slice(9) }]
    const events = [...deltas.map((delta) => ({ index: 0, delta, finish_reason: null })), { ...choice, delta: {} }].map(
      (one) => `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices: [one] })}\n\n`,
    )
    const sent = (...pieces: string[]) => ({
      ...{ model: 'pieces', messages, response_format: format },
      pieces: pieces.map((piece) => Buffer.from(piece).toString('base64')),
    })
    const { completions } = gateway.client.chat
    const answer = await completions.parse(sent(JSON.stringify(whole)))
    const streamed = await completions.stream(sent(...events, 'data: [DONE]\n\n')).finalChatCompletion()
    for (const { choices } of [answer, streamed]) expect(choices[0].message.parsed).toEqual(city)
    for (const { body } of harness.upstream.requests.slice(-2))
      expect(JSON.parse(body).response_format).toEqual(JSON.parse(JSON.stringify(format)))
  })

  test('a wrong key and the upstream’s own refusals come as the errors that the client knows', async () => {
    const stranger = gateway.client.withOptions({ apiKey: 'sk-none' })
    await expect(stranger.chat.completions.create({ model: 'm', messages })).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    })
    const limited = await gateway.client.chat.completions
      .create({ model: 'json-429', messages })
      .catch((error) => error)
    expect(limited).toMatchObject({ status: 429, code: 'rate_limit_exceeded', message: '429 slow down' })
    expect(limited.headers.get('retry-after')).toBe('7')
  })

  test('a client that stops in the middle of a stream stops the upstream; what it saw is on record', async () => {
    const model = 'stalls-in-stream'
    const stream = await gateway.client.chat.completions.create({ model, messages, stream: true })
    let id = ''
    let left = 0
    for await (const chunk of stream) {
      id = chunk.id
      left = performance.now()
      if (chunk.choices[0].delta.content === 'of ') break
    }
    const record = await harness.recordOf((one) => one.id === id)
    expect(record).toMatchObject({ termination: 'client_abort', text: 'The capital of ', status: 200 })
    await expectBroken(model, left)
  })

  test('a client whose connection breaks in the middle of a stream stops the upstream', async () => {
    const model = 'stalls-in-stream'
    const body = chat(model, { user: 'broken' })
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${harness.clientKey}`
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    await new Promise<void>((resolve) =>
      socket.on('data', (chunk) => {
        if (chunk.includes('of ')) resolve()
      }),
    )
    const left = performance.now()
    socket.resetAndDestroy()
    const record = await harness.recordOf(({ subjects }) => subjects.length > 0)
    expect(record).toMatchObject({ termination: 'client_abort', text: 'The capital of ', status: 200 })
    await expectBroken(model, left)
  })

  test('a client that leaves before the first token stops the upstream too', async () => {
    const stop = new AbortController()
    const asked = gateway.client.chat.completions.create({ model: 'silent', messages }, { signal: stop.signal })
    while (!harness.upstream.requests.some(({ body }) => body.includes('"silent"'))) await sleep(5)
    const left = performance.now()
    stop.abort()
    await expect(asked).rejects.toThrow('aborted')
    const record = await harness.recordOf(({ request_model }) => request_model === 'silent')
    expect(record).toMatchObject({ termination: 'client_abort', status: null })
    await expectBroken('silent', left)
  })
})

/** With `since`, when its client left: within half a second. */
async function expectBroken(model: string, since = Number.POSITIVE_INFINITY): Promise<void> {
  const mine = () => harness.upstream.requests.findLast(({ body }) => body.includes(`"${model}"`))
  for (let tries = 0; tries < 200 && mine()?.brokenAt === undefined; tries++) await sleep(10)
  expect(mine()?.brokenAt).toBeDefined()
  expect(mine()!.brokenAt! - since).toBeLessThan(500)
}

describe('bytes', () => {
  test('are untouched in both directions, and read alike however they are cut', async () => {
    const json = { model: 'pieces' }
    const whole = Buffer.from(
      eventsOf('/v1/chat/completions', json, 'chatcmpl-cut').join('').replaceAll('\n\n', '\r\n\r\n'),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: whole.length }), { maxLength: 12 }), async (cuts) => {
        const ends = [...cuts, whole.length].sort((a, b) => a - b)
        const pieces = ends.map((end, i) => whole.subarray(ends[i - 1] ?? 0, end).toString('base64'))
        const body = `{ "model" : "pieces",\n"stream":true, "pieces":${JSON.stringify(pieces)},  "x":1.0}`
        const response = await gateway.post('/v1/chat/completions', body)
        expect(Buffer.from(await response.arrayBuffer()).equals(whole)).toBe(true)
        expect(harness.upstream.requests.at(-1)?.body).toBe(body)
        const record = await harness.recordOf((one) => one.record === response.headers.get('x-request-id'))
        expect(record).toMatchObject({ text: sentence, termination: 'completed', request: { pieces } })
      }),
      { numRuns: 15 },
    )
  })

  test('of credentials and cookies go nowhere they do not belong', async () => {
    const response = await gateway.post('/v1/chat/completions', chat('m'), {
      cookie: 'a=b',
      'x-forwarded-for': '1.2.3.4',
    })
    await response.text()
    expect(response.headers.get('set-cookie')).toBeNull()
    const { headers } = harness.upstream.requests.at(-1)!
    expect(headers).toMatchObject({ authorization: 'Bearer sk-operator' })
    expect(headers).not.toHaveProperty('cookie')
    expect(headers).not.toHaveProperty('x-forwarded-for')
    const record = await harness.recordOf((one) => one.record === response.headers.get('x-request-id'))
    expect(JSON.stringify(record)).not.toMatch(/sk-operator|plk_/)
  })
})

describe('bad days of the upstream', () => {
  test('one that does not take the connection', async () => {
    const { port, close } = await startDeaf()
    onTestFinished(close)
    const upstreams = [route('deaf', `http://127.0.0.1:${port}/v1`)]
    const hasty = await harness.open({ upstreams, connectTimeoutMs: 200 })
    const response = await hasty.post('/v1/chat/completions', chat('deaf'))
    expect([response.status, await response.json()]).toMatchObject([504, { error: { code: 'timeout_connect' } }])
    const record = await harness.recordOf((one) => one.request_model === 'deaf')
    expect(record).toMatchObject({
      termination: 'timeout_connect',
      attempts: [{ upstream: 'deaf', status: null, why: 'timeout_connect' }],
    })
    expect(record.timings.total_ms).toBeLessThan(5_000)
  })

  test('bytes past the length of an answer reach nobody, also not as the answer to the next request', async () => {
    const { url, close } = await harness.startUpstream()
    onTestFinished(close)
    const own = await harness.open({ upstreams: [route('talks-on', url)] })
    const ask = async (model: string) => {
      const response = await own.post('/v1/chat/completions', chat(model, { stream: false }))
      const { choices } = (await response.json()) as { choices: { message: { content: string } }[] }
      return choices[0].message.content
    }
    for (let times = 0; times < 3; times++) {
      expect(await ask('past-its-length')).toBe('right')
      expect(await ask('m')).toBe(sentence)
    }
    const record = await harness.recordOf((one) => one.request_model === 'past-its-length')
    expect(record).toMatchObject({ termination: 'completed', text: 'right' })
  })

  /** Model, what the client gets, what is recorded. */
  const cases: [model: string, status: number, termination: string, seen: RegExp][] = [
    ['resets-in-stream', 200, 'upstream_reset', /event: error\ndata: .*upstream_reset/],
    ['no-http-in-stream', 200, 'upstream_invalid', /event: error\ndata: .*upstream_invalid/],
    ['ends-without-done', 200, 'upstream_incomplete', /of /],
    ['error-in-stream', 200, 'upstream_error', /out of memory/],
    ['error-in-200', 200, 'upstream_error', /"no"/],
    ['garbage', 200, 'upstream_invalid', /hello/],
    ['not-http', 502, 'upstream_invalid', /"code":"upstream_invalid"/],
    ['resets-before-headers', 502, 'upstream_reset', /"code":"upstream_reset"/],
    ['html-503', 503, 'upstream_error', /"code":"upstream_error"/],
    ['json-429', 429, 'upstream_error', /slow down/],
    ['json-401', 502, 'upstream_error', /answered with status 401/],
    ['redirect', 502, 'upstream_error', /answered with status 302/],
    ['keeps-open-after-done', 200, 'completed', /\[DONE\]/],
  ]
  test.each(cases)('%s: status %i, recorded as %s', async (model, status, termination, seen) => {
    const response = await gateway.post('/v1/chat/completions', chat(model))
    const text = await response.text()
    expect(response.status).toBe(status)
    expect(text).toMatch(seen)
    if (termination !== 'completed') expect(text).not.toContain('[DONE]')
    expect(text).not.toContain('sk-operator')
    const record = await harness.recordOf((one) => one.request_model === model)
    expect(record).toMatchObject({ termination, status })
  })

  test.each(['resets-in-event', 'resets-in-body'])('%s: the client’s connection breaks too', async (model) => {
    const response = await gateway.post('/v1/chat/completions', chat(model))
    await expect(response.text()).rejects.toThrow('terminated')
    expect(await harness.recordOf((one) => one.request_model === model)).toMatchObject({
      termination: 'upstream_reset',
    })
  })

  const event = eventsOf('/v1/chat/completions', { model: 'm' }, 'chatcmpl-half').slice(0, 4).join('')
  test.each([
    ['half an event', true, `${event}data: {"id":"chatcmpl-half","cho`, 'upstream_incomplete'],
    ['events that are garbage', true, 'data: <html>\n\n\u0000\ufffd\n\n: \n\ndata\n\n', 'upstream_incomplete'],
    ['a stream with nothing in it', true, '', 'upstream_incomplete'],
    ['nothing', false, '', 'upstream_invalid'],
    ['half an answer', false, '{"id":"chatcmpl-1","choices":[{"index":0,"mess', 'upstream_invalid'],
  ])('%s, and the end: the client gets what came, and no end mark', async (_, stream, sent, termination) => {
    const body = { stream, pieces: sent === '' ? [] : [Buffer.from(sent).toString('base64')] }
    const response = await gateway.post('/v1/chat/completions', chat('pieces', body))
    expect([response.status, await response.text()]).toEqual([200, sent])
    const record = await harness.recordOf((one) => one.record === response.headers.get('x-request-id'))
    expect(record).toMatchObject({ termination, status: 200 })
  })

  test('an answer without an end is ended', async () => {
    const patient = await harness.open({ totalMs: 2_000 })
    const response = await patient.post('/v1/chat/completions', chat('endless'))
    expect((await response.text()).slice(-1000)).toMatch(/event: error\ndata: .*timeout_total/)
    const record = await harness.recordOf((one) => one.request_model === 'endless')
    expect(record).toMatchObject({ termination: 'timeout_total', status: 200 })
    expect(record.text).toMatch(/^(The )+$/)
    await expectBroken('endless')
  })

  test('an error in the middle of a stream is an error to the official client', async () => {
    const stream = await gateway.client.chat.completions.create({ model: 'resets-in-stream', messages, stream: true })
    const read = async () => {
      for await (const _ of stream);
    }
    await expect(read()).rejects.toMatchObject({ code: 'upstream_reset' })
  })

  test('each clock ends what it watches, and the upstream is let go', async () => {
    const hasty = await harness.open({ firstTokenMs: 1000, idleMs: 1000, totalMs: 3000 })
    const ask = async (model: string, more: object) => {
      const response = await hasty.post('/v1/chat/completions', chat(model, more))
      return [response.status, await response.text()] as const
    }
    expect(await ask('silent', {})).toMatchObject([504, expect.stringContaining('timeout_first_token')])
    expect(await ask('stalls-before-token', {})).toMatchObject([200, expect.stringContaining('timeout_first_token')])
    expect(await ask('stalls-in-stream', {})).toMatchObject([200, expect.stringContaining('timeout_idle')])
    expect(await ask('silent', { stream: false })).toMatchObject([504, expect.stringContaining('timeout_total')])
    for (const model of ['silent', 'stalls-before-token', 'stalls-in-stream']) await expectBroken(model)
  })

  test('an upstream that is not there', async () => {
    const lost = await harness.open({ upstreams: [route('lost', 'http://127.0.0.1:1/v1')] })
    const response = await lost.post('/v1/chat/completions', chat('nobody'))
    expect([response.status, await response.json()]).toMatchObject([502, { error: { code: 'upstream_unreachable' } }])
    const record = await harness.recordOf((one) => one.request_model === 'nobody')
    expect(record).toMatchObject({ termination: 'upstream_unreachable', upstream: 'http://127.0.0.1:1' })
  })
})

describe('bad input', () => {
  const refused = async (response: Response, status: number, code: string) => {
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual({
      error: { message: expect.any(String), type: expect.any(String), code, param: null },
    })
  }
  const post = (body: BodyInit, headers?: Record<string, string>) => gateway.post('/v1/chat/completions', body, headers)

  test('bodies', async () => {
    await refused(await post(Buffer.alloc(100_001, 'a')), 413, 'request_too_large')
    await refused(await post('{"model":'), 400, 'invalid_json')
    await refused(await post('[]'), 400, 'invalid_json')
    await refused(await post(''), 400, 'invalid_json')
    await refused(await post(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])), 400, 'invalid_encoding')
    await refused(await post(`{"a":${'['.repeat(200)}${']'.repeat(200)}}`), 400, 'nested_too_deep')
    // An upstream could read the other one.
    const twice = '{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}'
    await refused(await post(twice), 400, 'duplicate_field')
    await refused(await post('{"model":"m","mod\\u0065l":"n","messages":[]}'), 400, 'duplicate_field')
    await refused(await post('{}', { 'content-encoding': 'gzip' }), 415, 'unsupported_encoding')
  })

  test.each(['Model', 'MESSAGES', 'Metadata', 'me\u017f\u017fages', 'previou\u017f_response_id', 'max_to\u212aens'])(
    'a field that an upstream may take for a known one: %s',
    async (field) => {
      const body = { model: 'm', messages: [{ role: 'user', content: 'a' }], [field]: 'n' }
      const response = await post(JSON.stringify(body))
      expect([response.status, (await response.json()).error]).toMatchObject([
        400,
        { code: 'unknown_field', param: field },
      ])
    },
  )

  test('a body without a length is cut off where it grows too large', async () => {
    const response = await new Promise<number | undefined>((resolve) => {
      const headers = { authorization: `Bearer ${harness.clientKey}` }
      const req = request(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers }, (res) => {
        resolve(res.statusCode)
        req.destroy()
      })
      req.on('error', () => {})
      const write = () => req.destroyed || req.write(Buffer.alloc(60_000, 'a'), () => setTimeout(write, 5))
      write()
    })
    expect(response).toBe(413)
  })

  test('a client that leaves in the middle of its upload leaves no record, and its place', async () => {
    const own = await harness.open()
    for (const [i, leave] of (['destroy', 'resetAndDestroy', 'end'] as const).entries()) {
      const key = await harness.addKey('client', 'uploads', false, { concurrent: 1 })
      const ask = async () => {
        const response = await own.post('/v1/chat/completions', chat('m'), { authorization: `Bearer ${key}` })
        await response.text()
        return response.status
      }
      const socket = connect(own.port, '127.0.0.1')
      const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n`
      socket.write(`${head}content-length: 1000\r\n\r\n{"model":"half","messages":[`)
      while (own.limiter.size !== i + 1) await sleep(5)
      expect(await ask()).toBe(429)
      socket[leave]()
      const refused = () => own.metric('plumbline_refused_total{status="400",code="incomplete_request"}')
      while ((await refused()) !== i + 1) await sleep(5)
      expect(await ask()).toBe(200)
    }
    expect(await own.metric('plumbline_in_flight')).toBe(0)
    const records = async () => (await harness.store.listInteractions('uploads', { limit: 100 })).data
    while ((await records()).length < 3) await sleep(10)
    expect((await records()).map(({ request_model }) => request_model)).toEqual(['m', 'm', 'm'])
  })

  test('heads', async () => {
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x-${i}`, '1']))
    await refused(await post('{}', many), 431, 'too_many_headers')
    await refused(await post('{}', { 'x-large': 'a'.repeat(20_000) }), 431, 'headers_too_large')
    const named = (count: number) => Array.from({ length: count }, (_, i) => `a${i}:\r\n`).join('')
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n`
    expect(await rawAnswer(`${head}${named(2_000)}\r\n`)).toMatch(/^HTTP\/1.1 431 [\s\S]*"too_many_headers"/)
    expect(await rawAnswer(`${head}${named(20_000)}\r\n`)).toMatch(/^HTTP\/1.1 431 [\s\S]*"headers_too_large"/)
    expect(await rawAnswer('GARBAGE\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":"bad_request"/)
    const both = 'content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n'
    expect(await rawAnswer(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${both}`)).toMatch(/^HTTP\/1.1 400 /)
    expect(await rawAnswer('GET http://evil/healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1.1 400/,
    )
  })

  test('a head or a body that comes too slowly is told so, and cut off', async () => {
    const arrival = { headersMs: 200, wholeMs: 400, checkMs: 50 }
    const { port } = await harness.open({}, { arrival })
    const slow = /^HTTP\/1.1 408 [\s\S]*"code":"request_timeout"/
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${harness.clientKey}\r\n`
    const open = [rawAnswer('', port), rawAnswer(head, port), rawAnswer(`${head}content-length: 99\r\n\r\n{"mo`, port)]
    for (const answer of await Promise.all(open)) expect(answer).toMatch(slow)
  })

  test('paths and methods', async () => {
    await refused(await gateway.get('/v1/unknown'), 404, 'unknown_url')
    await refused(await gateway.get('/v1/models/../../etc'), 404, 'unknown_url')
    await refused(await gateway.get('/v1/models/%2e%2e/admin'), 404, 'unknown_url')
    await refused(await gateway.get('/v1/chat/completions'), 405, 'method_not_allowed')
    await refused(await gateway.get('/v1/constructor'), 404, 'unknown_url')
  })

  test('any body at all gets an answer that is not ours to be ashamed of', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.json(),
          fc.string({ unit: 'binary' }),
          fc.json().map((json) => `{"model":${json}}`),
        ),
        async (body) => {
          const response = await post(Buffer.from(body))
          expect(response.status).toBeLessThan(500)
          await response.arrayBuffer()
        },
      ),
      { numRuns: 60 },
    )
  })
})

/** A server whose system takes no more connections for it: its thread sleeps, and its queue is full. */
async function startDeaf(): Promise<{ port: number; close(): Promise<void> }> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`,
    { eval: true },
  )
  const [port] = (await once(worker, 'message')) as [number]
  const waiting: Socket[] = []
  for (let isTaken = true; isTaken; ) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    waiting.push(socket)
    isTaken = await Promise.race([once(socket, 'connect').then(() => true), sleep(200, false)])
  }
  return {
    port,
    close: async () => {
      for (const socket of waiting) socket.destroy()
      await worker.terminate()
    },
  }
}

function rawAnswer(text: string, port = gateway.port): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', () => {})
  })
}

describe('keys', () => {
  test('every path has its scopes', async () => {
    const [reviewer, admin] = [await harness.addKey('reviewer'), await harness.addKey('admin')]
    const statuses = async (path: string) =>
      Promise.all(
        ['', 'plk_x', harness.clientKey, reviewer, admin].map(async (key) => (await gateway.get(path, key)).status),
      )
    expect(await statuses('/v1/models')).toEqual([401, 401, 200, 403, 200])
    expect(await statuses('/api/interactions')).toEqual([401, 401, 403, 403, 200])
    expect(await statuses('/api/keys')).toEqual([401, 401, 403, 403, 200])
    expect(await statuses('/healthz')).toEqual([200, 200, 200, 200, 200])
    expect(await statuses('/metrics')).toEqual([200, 200, 200, 200, 200])
  })

  test('are made, used and revoked; projects do not see each other', async () => {
    const make = async (body: unknown, key = harness.adminKey) => {
      const response = await gateway.send('POST', '/api/keys', body, key)
      return Object.assign((await response.json()) as Record<string, string>, { status: response.status })
    }
    const other = await make({ scope: 'admin', project: 'other' })
    const client = await make({ scope: 'client' }, other.key)
    expect(client).toMatchObject({
      status: 200,
      key: expect.stringMatching(/^plk_.{43}$/),
      scope: 'client',
      project: 'other',
    })
    expect(await make({ scope: 'client', project: 'default' }, other.key)).toMatchObject({ status: 403 })
    expect(await make({ scope: 'root' })).toMatchObject({ status: 400, error: { param: 'scope' } })
    expect(await make({ scope: 'client', project: '../x' })).toMatchObject({ status: 400, error: { param: 'project' } })
    expect(await make({ scope: 'client', admin: true })).toMatchObject({ status: 400 })

    const answer = await gateway.client
      .withOptions({ apiKey: client.key })
      .chat.completions.create({ model: 'm', messages })
    await harness.recordOf(({ id }) => id === answer.id, 'other')
    const list = async (key: string, query = '') => {
      const response = await gateway.get(`/api/interactions${query}`, key)
      return (await response.json()) as { data: { id: string; project: string }[]; next: string | null }
    }
    expect((await list(other.key)).data.map(({ id }) => id)).toEqual([answer.id])
    const ours = await list(harness.adminKey, '?limit=1000')
    expect(ours.data.every(({ project }) => project === 'default')).toBe(true)
    const first = await list(harness.adminKey, '?limit=2')
    const second = await list(harness.adminKey, `?limit=2&after=${first.next}`)
    expect([...first.data, ...second.data]).toEqual(ours.data.slice(0, 4))
    for (const query of ['?limit=0', '?limit=x', '?limit=1001', "?after='", '?after=-1']) {
      const refused = await gateway.get(`/api/interactions${query}`)
      expect(refused.status, query).toBe(400)
      if (query.includes('limit')) expect(await refused.text()).toContain('limit: a whole number from 1 to 1000')
    }

    const asAdmin = await harness.addKey('admin')
    expect((await gateway.send('DELETE', `/api/keys/${client.id}`, undefined, asAdmin)).status).toBe(404)
    expect((await gateway.send('DELETE', `/api/keys/${client.id}`, undefined, other.key)).status).toBe(200)
    expect((await gateway.get('/v1/models', client.key)).status).toBe(401)
    expect((await gateway.send('DELETE', `/api/keys/${client.id}`)).status).toBe(404)
  })
})

describe('pressure', () => {
  test('a client that does not read holds its upstream back, and is cut', async () => {
    const impatient = await harness.open({ idleMs: 1000 })
    const body = chat('flood')
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${harness.clientKey}`
    const socket = connect(impatient.port, '127.0.0.1')
    socket.pause()
    socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    const record = await harness.recordOf((one) => one.request_model === 'flood')
    expect(record).toMatchObject({ termination: 'client_stalled' })
    // Socket buffers of three hops, and no more.
    expect(flooded()).toBeLessThan(64 * 2 ** 20)
    await expectBroken('flood')
    socket.destroy()
  })

  test('past the most answers at a time, a client is asked to come back', async () => {
    const small = await harness.open({ maxInFlight: 1 })
    const stop = new AbortController()
    const first = fetch(`${small.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${harness.clientKey}` },
      body: chat('stalls-in-stream'),
      signal: stop.signal,
    })
    await (await first).body?.getReader().read()
    const second = await small.post('/v1/chat/completions', chat('m'))
    expect([second.status, second.headers.get('retry-after')]).toEqual([503, '1'])
    stop.abort()
  })

  test('a store that is away: traffic goes on, and every record arrives afterwards, once', async () => {
    harness.setStoreAway(true)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => gateway.client.chat.completions.create({ model: 'away', messages })),
    )
    expect((await gateway.get('/api/interactions')).status).toBe(503)
    expect((await gateway.send('POST', '/api/keys', { scope: 'client' })).status).toBe(503)
    while (!(await (await gateway.get('/readyz')).text()).includes('"store":"away"')) await sleep(10)
    expect(await (await gateway.get('/metrics')).text()).toContain('plumbline_store_away 1')
    harness.setStoreAway(false)
    for (const { id } of answers) await harness.recordOf((record) => record.id === id)
    const { data } = await harness.store.listInteractions('default', { limit: 1000 })
    expect(data.filter(({ request_model }) => request_model === 'away')).toHaveLength(20)
  })
})

describe('drain', () => {
  test('answers on their way end, new ones are refused, the rest is cut and says so', async () => {
    const leaving = await harness.open()
    const ending = leaving.post('/v1/chat/completions', chat('m'))
    const stuck = leaving.post('/v1/chat/completions', chat('stalls-in-stream'))
    await (await stuck).clone().body?.getReader().read()
    const closed = leaving.close(2_000)
    expect(await (await ending).text()).toContain('[DONE]')
    const late = await leaving.post('/v1/chat/completions', chat('m')).then(
      ({ status }) => status,
      () => 'no connection',
    )
    expect([503, 'no connection']).toContain(late)
    const text = await (await stuck).text()
    expect(text).toContain('"code":"shutdown"')
    expect(text).not.toContain('[DONE]')
    await closed
    expect(await harness.recordOf(({ termination }) => termination === 'shutdown')).toMatchObject({
      text: 'The capital of ',
    })
  })
})

test('nothing was lost, and no fault of ours was met', () => {
  expect(harness.recorder.lost()).toBe(0)
  expect(harness.warnings.filter((text) => text.includes('fault of ours'))).toEqual([])
  for (const secret of ['sk-operator', harness.clientKey, harness.adminKey])
    expect(harness.warnings.join('\n')).not.toContain(secret)
})
