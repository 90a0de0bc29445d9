import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from './gateway.test-support.ts'
import { readChatStream, readChatWhole } from './guards/answer-filter.test-support.ts'
import { openGuardWorld } from './guards/guard-world.ts'
import { readGuards } from './guards/read-guards.ts'
import { sentence } from './upstream-server.test-support.ts'

let harness: Harness
let moderation: Server
let moderationUrl: string
/** Lets the moderation endpoint speak of what it was asked with "later"; how many it has been asked so. */
let speak = () => {}
let later = 0
beforeAll(async () => {
  harness = await startHarness()
  // A moderation endpoint as OpenAI's: what it says depends on the text, as does whether it says anything.
  moderation = createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    const { input } = JSON.parse(body)
    if (input.includes('silence')) return
    if (input.includes('later')) {
      later++
      await new Promise<void>((resolve) => {
        speak = resolve
      })
    }
    res.setHeader('content-type', 'application/json')
    if (input.includes('prose')) return res.end('Sorry, I am only a model.')
    res.end(
      JSON.stringify({
        results: [{ flagged: input.includes('bad'), category_scores: { violence: input.includes('bad') ? 0.9 : 0.1 } }],
      }),
    )
  })
  await new Promise<void>((done) => moderation.listen(0, '127.0.0.1', done))
  moderationUrl = `http://127.0.0.1:${(moderation.address() as AddressInfo).port}/v1/moderations`
})
afterAll(async () => {
  moderation.closeAllConnections()
  moderation.close()
  await harness.close()
})

const open = (guards: unknown) => harness.open({ guards: readGuards(guards, openGuardWorld({})) })
const words = (mode: string, direction: string, keywords = ['paris']) => ({
  kind: 'rules',
  mode,
  direction,
  keywords,
  replacement: 'Ask me something else.',
})
const ask = (content: string, more: object = {}) => ({
  model: 'm',
  messages: [{ role: 'user' as const, content }],
  ...more,
})

test('a blocked request gets 400 in OpenAI’s shape, never reaches the model, and is on record', async () => {
  const gateway = await open([words('block', 'input')])
  const before = harness.upstream.requests.length
  const error = await gateway.client.chat.completions.create(ask('About Paris.')).catch((caught) => caught)
  expect(error).toMatchObject({ status: 400, code: 'content_blocked', type: 'invalid_request_error' })
  expect(harness.upstream.requests.length).toBe(before)
  const record = await harness.recordOf(({ termination }) => termination === 'input_blocked')
  expect(record).toMatchObject({
    status: 400,
    guards: [{ name: 'rules', direction: 'input', outcome: 'blocked', label: 'keyword' }],
  })
})

test.each(['chat', 'completions', 'responses'] as const)(
  '%s: input that is replaced gets the guard’s own answer, streamed and not',
  async (endpoint) => {
    const gateway = await open([words('replace', 'input')])
    const { client } = gateway
    const model = 'm'
    const texts = {
      chat: async () => {
        const whole = await client.chat.completions.create(ask('Paris'))
        const stream = client.chat.completions.stream(ask('Paris'))
        expect(whole.choices[0].finish_reason).toBe('content_filter')
        return [whole.choices[0].message.content, await stream.finalContent()]
      },
      completions: async () => {
        const whole = await client.completions.create({ model, prompt: 'Paris' })
        let streamed = ''
        for await (const { choices } of await client.completions.create({ model, prompt: 'Paris', stream: true }))
          streamed += choices[0]?.text ?? ''
        return [whole.choices[0].text, streamed]
      },
      responses: async () => {
        const whole = await client.responses.create({ model, input: 'Paris' })
        const streamed = await client.responses.stream({ model, input: 'Paris' }).finalResponse()
        return [whole.output_text, streamed.output_text]
      },
    }
    expect(await texts[endpoint]()).toEqual(['Ask me something else.', 'Ask me something else.'])
  },
)

test('personal data in a request does not reach the model, nor the record', async () => {
  const gateway = await open([{ kind: 'personal-data', mode: 'redact', direction: 'input' }])
  await gateway.client.chat.completions.create(ask('I am ann@example.com, with card 4111 1111 1111 1111'))
  const { body } = harness.upstream.requests.at(-1)!
  expect(JSON.parse(body).messages[0].content).toBe('I am [EMAIL], with card [CARD]')
  const record = await harness.recordOf(({ guards }) => guards.some(({ outcome }) => outcome === 'redacted'))
  expect(JSON.stringify(record)).not.toContain('ann@example.com')
})

test('an answer is stopped where the guard stops it, the same streamed and not', async () => {
  const gateway = await open([words('block', 'output')])
  const before = sentence.slice(0, sentence.indexOf('Paris'))
  const whole = await gateway.client.chat.completions.create(ask('capital?'))
  expect(whole.choices[0]).toMatchObject({ finish_reason: 'content_filter', message: { content: before } })
  const chunks = []
  for await (const chunk of (await gateway.client.chat.completions.create(
    ask('capital?', { stream: true as const }) as never,
  )) as unknown as AsyncIterable<{
    choices: { delta: { content?: string; tool_calls?: unknown }; finish_reason: string | null }[]
    usage?: unknown
  }>)
    chunks.push(chunk)
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(before)
  expect(chunks.flatMap(({ choices }) => choices.flatMap(({ finish_reason }) => finish_reason ?? []))).toEqual([
    'content_filter',
  ])
  expect(chunks.some(({ choices }) => choices[0]?.delta.tool_calls !== undefined)).toBe(false)
  const record = await harness.recordOf(
    ({ stream, guards }) =>
      stream && guards.some(({ direction, outcome }) => direction === 'output' && outcome === 'blocked'),
  )
  // What the model said is for those who review, not for the client.
  expect(record.text).toBe(sentence)
  expect(record.termination).toBe('completed')
})

test('responses: a stopped answer is incomplete for the official client, streamed and not', async () => {
  const gateway = await open([words('block', 'output')])
  const before = sentence.slice(0, sentence.indexOf('Paris'))
  const whole = await gateway.client.responses.create({ model: 'm', input: 'capital?' })
  expect(whole).toMatchObject({
    status: 'incomplete',
    incomplete_details: { reason: 'content_filter' },
    output_text: before,
  })
  let text = ''
  let last: unknown
  for await (const event of await gateway.client.responses.create({ model: 'm', input: 'capital?', stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta
    last = event
  }
  expect(text).toBe(before)
  expect(last).toMatchObject({
    type: 'response.incomplete',
    response: { incomplete_details: { reason: 'content_filter' } },
  })
})

test('with guards that only observe, or find nothing, the bytes are the upstream’s', async () => {
  const plain = await harness.open()
  const body = JSON.stringify(ask('x', { stream: true }))
  const bytes = async (gateway: typeof plain) =>
    (await (await gateway.post('/v1/chat/completions', body)).text()).replaceAll(/chatcmpl-\d+/g, 'ID')
  const expected = await bytes(plain)
  expect(await bytes(await open([words('observe', 'both')]))).toBe(expected)
  expect(await bytes(await open([words('block', 'both', ['nothing of this kind'])]))).toBe(expected)
  const record = await harness.recordOf(({ guards }) => guards.some(({ outcome }) => outcome === 'flagged'))
  expect(record.guards).toMatchObject([
    { direction: 'input', outcome: 'passed' },
    { direction: 'output', outcome: 'flagged' },
  ])
})

test('a moderation endpoint judges; silent or talking prose, it fails as it is told to', async () => {
  const http = (on_error: string) => ({
    kind: 'http',
    url: moderationUrl,
    mode: 'block',
    direction: 'input',
    timeout_ms: 200,
    on_error,
  })
  const strict = await open([http('block')])
  const lenient = await open([http('allow')])
  const status = async (gateway: typeof strict, content: string) =>
    (await gateway.post('/v1/chat/completions', JSON.stringify(ask(content)))).status
  expect(await status(strict, 'good')).toBe(200)
  expect(await status(strict, 'bad')).toBe(400)
  for (const text of ['silence', 'prose']) {
    expect(await status(strict, text)).toBe(400)
    expect(await status(lenient, text)).toBe(200)
  }
  const record = await harness.recordOf(({ guards }) => guards.some(({ outcome }) => outcome === 'error'))
  expect(record.guards[0].error).toMatch(/no verdict within 200 ms|JSON|token/i)
})

test.each([true, false])(
  'an answer that is no UTF-8 is read by guards and record as by its client (stream: %s)',
  async (stream) => {
    const choice = { index: 0, finish_reason: 'stop' }
    const said = { role: 'assistant', content: 'A\xff\xc3B, Paris\xe2\x82' }
    const json = JSON.stringify({
      id: 'x',
      choices: [{ ...choice, ...(stream ? { delta: said } : { message: said }) }],
    })
    const bytes = Buffer.from(stream ? `data: ${json}\n\ndata: [DONE]\n\n` : json, 'latin1')
    const read = 'A\ufffd\ufffdB, Paris\ufffd'
    // Cut behind every byte that is none of a character.
    const pieces = bytes.toString('latin1').split(/(?<=[\x80-\xff])/)
    const body = ask('x', { model: 'pieces', stream, pieces: pieces.map((piece) => btoa(piece)) })
    const answered = async (gateway: Awaited<ReturnType<typeof open>>) => {
      const response = await gateway.post('/v1/chat/completions', JSON.stringify(body))
      const given = Buffer.from(await response.arrayBuffer())
      const { text } = await harness.recordOf(({ record }) => record === response.headers.get('x-request-id'))
      expect(text).toBe(read)
      return { given, said: (stream ? readChatStream : readChatWhole)(given.toString('utf8'))['0 text'] }
    }
    const plain = await answered(await harness.open())
    expect([plain.given, plain.said]).toEqual([bytes, read])
    expect((await answered(await open([words('block', 'output', ['none of it'])]))).said).toBe(read)
    expect((await answered(await open([words('block', 'output')]))).said).toBe(read.slice(0, read.indexOf('Paris')))
  },
)

test('a client that leaves while guards hold the answer’s text stops the upstream; what they held is on record', async () => {
  const gateway = await open([words('replace', 'output')])
  const model = 'stalls-in-stream'
  const stop = new AbortController()
  const { signal } = stop
  const asked = gateway.post('/v1/chat/completions', JSON.stringify(ask('x', { model, stream: true })), {}, signal)
  const given = (await asked).text()
  const mine = () => harness.upstream.requests.findLast(({ body }) => body.includes(model))
  // Its words are on their way to the guards.
  await sleep(100)
  const left = performance.now()
  stop.abort()
  await expect(given).rejects.toThrow('aborted')
  const record = await harness.recordOf((one) => one.request_model === model)
  expect(record).toMatchObject({ termination: 'client_abort', text: 'The capital of ', status: 200 })
  while (mine()?.brokenAt === undefined) await sleep(5)
  expect(mine()!.brokenAt! - left).toBeLessThan(500)
  expect(await gateway.metric('plumbline_in_flight')).toBe(0)
})

const slowly = { kind: 'http', mode: 'block', direction: 'input', timeout_ms: 60_000 }
const asked = async (times: number) => {
  while (later < times) await sleep(5)
}

test('a request inside its guards has its place among those in flight, and a drain waits for it', async () => {
  const gateway = await harness.open({
    maxInFlight: 1,
    guards: readGuards([{ ...slowly, url: moderationUrl }], openGuardWorld({})),
  })
  const before = later
  const inside = gateway.post('/v1/chat/completions', JSON.stringify(ask('later')))
  await asked(before + 1)
  expect(await gateway.metric('plumbline_in_flight')).toBe(1)
  expect((await gateway.post('/v1/chat/completions', JSON.stringify(ask('good')))).status).toBe(503)
  const closed = gateway.close(60_000)
  speak()
  expect([(await inside).status, (await (await inside).json()).choices[0].message.content]).toEqual([200, sentence])
  await closed
})

test('a drain that cannot wait ends a request inside its guards, and says so', async () => {
  const gateway = await open([{ ...slowly, url: moderationUrl }])
  const before = later
  const inside = gateway.post('/v1/chat/completions', JSON.stringify(ask('later')))
  await asked(before + 1)
  await gateway.close(0)
  expect([(await inside).status, (await (await inside).json()).error.code]).toEqual([503, 'shutdown'])
  speak()
})

test('a client that does not read the end of its answer is cut off, and its place is free again', async () => {
  const guards = readGuards([words('block', 'output')], openGuardWorld({}))
  const gateway = await harness.open({ idleMs: 500, guards })
  const body = JSON.stringify(ask('x', { model: 'long' }))
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${harness.clientKey}`
  const socket = connect(gateway.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.pause()
  socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  await harness.recordOf((one) => one.request_model === 'long')
  while ((await gateway.metric('plumbline_in_flight')) !== 0) await sleep(10)
  socket.destroy()
})

test('an upstream’s error reaches the client without its words where guards act, and as it came where they watch', async () => {
  const error = async (mode: string) => {
    const gateway = await open([words(mode, 'output')])
    const answer = await gateway.post('/v1/chat/completions', JSON.stringify(ask('x', { model: 'json-400' })))
    return [answer.status, (await answer.json()).error]
  }
  const message = 'The upstream reports an error.'
  expect(await error('block')).toEqual([400, { message, type: 'invalid_request_error', code: null, param: null }])
  expect(await error('observe')).toMatchObject([400, { message: 'what?' }])
  expect(await harness.recordOf((one) => one.request_model === 'json-400')).toMatchObject({
    error: { message: 'what?' },
  })
})

test.each([true, false])(
  'an answer that comes encoded all the same is refused and says so (stream: %s)',
  async (stream) => {
    const gateway = await open([words('block', 'output')])
    const answer = await gateway.post('/v1/chat/completions', JSON.stringify(ask('x', { model: 'encoded', stream })))
    expect(harness.upstream.requests.at(-1)!.headers['accept-encoding']).toBe('identity')
    expect([answer.status, (await answer.json()).error]).toMatchObject([
      502,
      { code: 'upstream_invalid', message: expect.stringContaining('encoded its answer') },
    ])
    const record = await harness.recordOf((one) => one.request_model === 'encoded' && one.stream === stream)
    expect(record.notes.join()).toContain('encoded with gzip')
  },
)

test('what is to be redacted in a blocked request is not in its record, before the stop and after it', async () => {
  const gateway = await open([{ kind: 'personal-data', mode: 'redact', direction: 'input' }, words('block', 'input')])
  const messages = ['I am ann@example.com', 'About Paris, says bob@example.com', 'and eve@example.com'].map(
    (content) => ({
      role: 'user',
      content,
    }),
  )
  const answer = await gateway.post('/v1/chat/completions', JSON.stringify({ model: 'blocked-with-names', messages }))
  expect(answer.status).toBe(400)
  const { request } = await harness.recordOf((one) => one.request_model === 'blocked-with-names')
  expect((request as { messages: { content: string }[] }).messages.map(({ content }) => content)).toEqual([
    'I am [EMAIL]',
    'About Paris, says [EMAIL]',
    'and [EMAIL]',
  ])
})

test('images are refused where a guard must read everything, and pass where that is allowed', async () => {
  const image = {
    model: 'm',
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] }],
  }
  const guards = [words('block', 'input')]
  const refused = await (await open(guards)).post('/v1/chat/completions', JSON.stringify(image))
  expect([refused.status, (await refused.json()).error.code]).toEqual([400, 'content_unreadable'])
  const allowed = await (await open({ unreadable: 'allow', guards })).post(
    '/v1/chat/completions',
    JSON.stringify(image),
  )
  expect(allowed.status).toBe(200)
})

test.each([
  [false, '{"id":"odd","choices":[{"index":0,"message":{"content":"a","audio":"Paris"},"finish_reason":"stop"}]}'],
  [true, 'data: {"id":"odd","choices":[{"index":0,"delta":{"content":"a","thoughts":"Paris"}}]}\n\ndata: [DONE]\n\n'],
])('an answer of unknown shape is refused, and is none on record (stream: %s)', async (stream, text) => {
  const gateway = await open([words('block', 'output')])
  const pieces = [Buffer.from(text).toString('base64')]
  const answer = await gateway.post(
    '/v1/chat/completions',
    JSON.stringify(ask('x', { model: 'pieces', stream, pieces })),
  )
  expect([answer.status, await answer.json()]).toMatchObject([
    502,
    { error: { code: 'upstream_invalid', message: expect.stringContaining('cannot read the answer') } },
  ])
  const record = await harness.recordOf((one) => one.id === 'odd' && one.stream === stream)
  expect(record).toMatchObject({ termination: 'upstream_invalid', status: 502, text: 'a' })
  expect(record.notes.join()).toContain('the guards could not read')
})

test.each([
  ['an answer that the guards cannot read is none', '{"choices":[{"index":0,"message":{"audio":"?"}}]}', 200],
  ['garbage is', '<html>', 503],
])('a failure of the upstream: %s', async (_, text, status) => {
  const breaker = { failureRate: 0.5, windowMs: 60_000, minAttempts: 4, pauseMs: 60_000 }
  const guards = readGuards([words('block', 'output', ['never'])], openGuardWorld({}))
  const gateway = await harness.open({ breaker, guards })
  const pieces = [Buffer.from(text).toString('base64')]
  const statusOf = async (more: object) =>
    (await gateway.post('/v1/chat/completions', JSON.stringify(ask('x', more)))).status
  for (let i = 0; i < 6; i++)
    expect([502, status]).toContain(await statusOf({ model: 'pieces', stream: false, pieces }))
  expect(await statusOf({})).toBe(status)
})

const wholeAnswer = JSON.stringify({
  id: 'in-one-piece',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Go to Paris' }, finish_reason: 'stop' }],
})

test('nothing of a guarded answer in one piece goes out before its record is durable', async () => {
  const { recorder } = harness
  const { record } = recorder
  const order: string[] = []
  // A slow disk.
  recorder.record = async (...answer) => {
    await sleep(1_000)
    await record(...answer)
    order.push('recorded')
  }
  try {
    const gateway = await open([words('block', 'output')])
    const pieces = [Buffer.from(wholeAnswer).toString('base64')]
    const answer = await gateway.post('/v1/chat/completions', JSON.stringify(ask('x', { model: 'pieces', pieces })))
    // The head goes out with the first byte of the body.
    order.push('head')
    expect((await answer.json()).choices[0].message.content).toBe('Go to ')
    expect(order).toEqual(['recorded', 'head'])
  } finally {
    recorder.record = record
  }
})

test.each([
  ['half an answer', wholeAnswer.slice(0, 60), 502, { error: { code: 'upstream_invalid' } }],
  [
    'a whole answer',
    wholeAnswer,
    200,
    { choices: [{ message: { content: 'Go to ' }, finish_reason: 'content_filter' }] },
  ],
])('%s, then a chunk that is none: the client gets what the guards have read', async (_, sent, status, body) => {
  const gateway = await open([words('block', 'output')])
  const asked = ask('x', { model: 'pieces-then-no-http', pieces: [Buffer.from(sent).toString('base64')] })
  const answer = await gateway.post('/v1/chat/completions', JSON.stringify(asked))
  expect([answer.status, await answer.json()]).toMatchObject([status, body])
  const record = await harness.recordOf((one) => one.record === answer.headers.get('x-request-id'))
  expect(record).toMatchObject({ termination: 'upstream_invalid', status })
})

test('an answer that breaks off gives nothing that was held, and no end mark', async () => {
  const gateway = await open([{ kind: 'prompt-injection', mode: 'block', direction: 'output' }])
  const answer = await gateway.post(
    '/v1/chat/completions',
    JSON.stringify(ask('x', { model: 'resets-in-stream', stream: true })),
  )
  const text = await answer.text()
  expect(text).not.toContain('capital')
  expect(text).not.toContain('[DONE]')
  expect(text).toContain('upstream_reset')
})

test('verdicts are counted', async () => {
  const gateway = await open([words('block', 'input')])
  await gateway.post('/v1/chat/completions', JSON.stringify(ask('Paris')))
  const metrics = await (await gateway.get('/metrics')).text()
  expect(metrics).toContain(
    'plumbline_guard_verdicts_total{guard="rules",direction="input",mode="block",outcome="blocked",failed="no"} 1',
  )
})

test('a reload exchanges the guards, and records tell which were in force', async () => {
  const gateway = await open([words('block', 'input')])
  const status = async () => (await gateway.post('/v1/chat/completions', JSON.stringify(ask('Paris')))).status
  expect(await status()).toBe(400)
  const { config: before } = await gateway.reload()
  gateway.configure((first) => ({ ...first, guards: readGuards([words('observe', 'input')], openGuardWorld({})) }))
  const { config: after } = await gateway.reload()
  expect(after).not.toBe(before)
  expect(await status()).toBe(200)
  const record = await harness.recordOf(({ config }) => config === after)
  expect(record.guards).toMatchObject([{ mode: 'observe', outcome: 'flagged' }])
})
