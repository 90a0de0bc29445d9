import { feedbackPageSchema, interactionSchema } from '@plumbline/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chatSpan, startServer, type TestServer, until } from '../server.test-support.ts'

let server: TestServer
let client: string
let reviewer: string
beforeAll(async () => {
  server = await startServer()
  client = await server.addKey('client')
  reviewer = await server.addKey('reviewer')
}, 600_000)
afterAll(() => server?.stop(), 600_000)

type Reply = Awaited<ReturnType<TestServer['send']>>
const refusal = ({ status, body }: Reply) => [status, (body as { error: { code: string } }).error?.code]
const send = (body: unknown, key?: string) => server.send('POST', '/v1/feedback', body, key)
const stored = async (interaction: string, reader = server.adminKey) => {
  const { body } = await server.send('GET', `/api/feedback?interaction=${interaction}`, undefined, reader)
  return feedbackPageSchema.parse(body).data
}
const record = () => crypto.randomUUID()

describe('a token', () => {
  test('lets its holder speak of its answer, before and after it came, twice the same', async () => {
    const { record, id } = await server.answer(client, 'a question with a token')
    const token = server.tokens.sign(record, 'default')
    const first = await send({ token, kind: 'rating', rating: 1 })
    expect(first).toMatchObject({ status: 200, body: { interaction: record, status: 'accepted' } })
    expect((await send({ token, kind: 'rating', rating: 1, interaction: id })).body).toEqual(first.body)
    const early = crypto.randomUUID()
    await send({ token: server.tokens.sign(early, 'default'), kind: 'comment', text: 'too soon' })
    await until(async () => (await stored(early))[0])
    expect(await stored(record)).toMatchObject([{ kind: 'rating', rating: 1, actor_kind: 'end_user' }])
  })

  test('forged, cut, foreign or expired opens nothing; late by a week does', async () => {
    const { record: mine } = await server.answer(client, 'whose answer is this')
    const { id: other } = await server.answer(client, 'another answer altogether')
    const token = server.tokens.sign(mine, 'default')
    const rate = (token: string, more: object = {}, key?: string) =>
      send({ token, kind: 'rating', rating: 1, ...more }, key)
    const renamed = server.forgers.sign(mine, 'default').split('.')
    renamed[1] = token.split('.')[1]
    for (const bad of [server.forgers.sign(mine, 'default'), renamed.join('.'), token.slice(0, -1), 'x']) {
      expect(refusal(await rate(bad))).toEqual([401, 'invalid_token'])
    }
    expect(refusal(await rate(token.replace('.default.', '.elsewhere.')))).toEqual([401, 'invalid_token'])
    expect(refusal(await rate(server.oldTokens.sign(mine, 'default')))).toEqual([401, 'token_expired'])
    expect(refusal(await rate(token, { interaction: other }))).toEqual([403, 'foreign_token'])
    const stranger = await server.addKey('client', 'strangers')
    expect(refusal(await rate(token, {}, stranger))).toEqual([403, 'foreign_token'])
    expect(refusal(await rate(token, { actor: { id: 'anna' } }))).toEqual([403, 'wrong_actor'])
    expect(await stored(mine)).toEqual([])
    server.waitDays(7)
    expect((await rate(token)).status).toBe(200)
    server.waitDays(-7)
  })
})

describe('a key', () => {
  test('of each scope speaks for whom it may; nobody speaks without', async () => {
    const about = { interaction: record(), kind: 'comment', text: 'hm' }
    expect(refusal(await send(about))).toEqual([401, 'invalid_api_key'])
    expect(refusal(await send(about, 'wrong'))).toEqual([401, 'invalid_api_key'])
    expect(refusal(await send({ ...about, actor: { kind: 'moderator' } }, client))).toEqual([403, 'wrong_actor'])
    expect(refusal(await send({ kind: 'comment', text: 'x' }, client))).toEqual([400, 'invalid_value'])
    await send({ ...about, actor: { id: 'anna@example.com' } }, client)
    await send(about, reviewer)
    const found = await until(async () => {
      const list = await stored(about.interaction)
      return list.length === 2 ? list : undefined
    })
    expect(found.map(({ actor_kind }) => actor_kind).sort()).toEqual(['end_user', 'moderator'])
    expect(JSON.stringify(found)).not.toContain('example.com')
  })

  test('a second one with the same key is the first one edited', async () => {
    const interaction = record()
    const rate = (rating: number) => send({ interaction, kind: 'rating', rating, idempotency_key: 'k' }, client)
    const [{ body: first }] = [await rate(1)]
    await until(async () => (await stored(interaction))[0])
    expect((await rate(-1)).body).toEqual(first)
    await until(async () => ((await stored(interaction))[0].rating === -1 ? true : undefined))
    expect(await stored(interaction)).toHaveLength(1)
  })

  test('a list is taken whole or not at all', async () => {
    const interaction = record()
    const good = { interaction, kind: 'flag', category: 'hate', text: `<b>'; drop table x; --` }
    const unrated = await send([good, { ...good, kind: 'rating' }], client)
    expect(refusal(unrated)).toEqual([400, 'invalid_value'])
    expect(unrated.body).toMatchObject({ error: { param: '1.rating', message: '1.rating: is needed for a rating.' } })
    const forged = await send([good, { ...good, token: 'forged' }], client)
    expect(refusal(forged)).toEqual([401, 'invalid_token'])
    expect(forged.body).toMatchObject({
      error: { param: '1.token', message: expect.stringMatching(/^1\.token: The token/) },
    })
    expect((await send([{ kind: 'flag', category: 'hate' }], client)).body).toMatchObject({
      error: { param: '0.interaction', message: expect.stringMatching(/^0\.interaction: is needed/) },
    })
    expect((await send([good], 'plk_wrong')).body).toMatchObject({ error: { code: 'invalid_api_key', param: null } })
    expect(refusal(await send([], client))).toEqual([400, 'invalid_value'])
    const tooMany = Array.from({ length: 101 }, () => good)
    expect((await send(tooMany, client)).body).toMatchObject({
      error: { code: 'invalid_value', message: 'Too big: expected array to have <=100 items.' },
    })
    expect(refusal(await send('{', client))).toEqual([400, 'invalid_json'])
    expect(refusal(await send({ ...good, text: 'x'.repeat(2 ** 20) }, client))).toEqual([413, 'request_too_large'])
    const taken = await send([good, { ...good, category: 'spam' }], client)
    expect((taken.body as { data: unknown[] }).data).toHaveLength(2)
    const found = await until(async () => {
      const list = await stored(interaction)
      return list.length === 2 ? list : undefined
    })
    expect(found[0].text).toBe(good.text)
  })
})

test('Langfuse’s scores: with its basic authorization, each type', async () => {
  const traceId = record()
  const basic = `Basic ${Buffer.from(`pk-lf-anything:${client}`).toString('base64')}`
  const score = (body: object, key = basic) => server.send('POST', '/api/public/scores', { traceId, ...body }, key)
  expect((await score({ id: 'mine', name: 'User Thumbs', value: 1, comment: 'nice' })).body).toEqual({ id: 'mine' })
  await score({ name: 'ok', value: false, dataType: 'BOOLEAN' })
  await score({ name: 'tone', value: 'rude', dataType: 'CATEGORICAL' })
  await score({ name: 'fix', value: 'better', dataType: 'CORRECTION' })
  expect(refusal(await score({ name: 'x', value: 'three', dataType: 'NUMERIC' }))).toEqual([400, 'invalid_value'])
  expect(refusal(await score({ name: 'x', value: 1 }, 'Basic bm9ib2R5Og=='))).toEqual([401, 'invalid_api_key'])
  const found = await until(async () => {
    const list = await stored(traceId)
    return list.length === 4 ? list : undefined
  })
  expect(found.map(({ kind, category, rating, text }) => [kind, category, rating, text])).toEqual(
    expect.arrayContaining([
      ['rating', 'user-thumbs', 1, 'nice'],
      ['rating', 'ok', 0, null],
      ['comment', 'tone', null, 'rude'],
      ['correction', 'fix', null, 'better'],
    ]),
  )
})

test('OpenTelemetry: chat spans are interactions, evaluations feedback; twice is once; others are let be', async () => {
  const traceId = 'ab'.repeat(16)
  const value = (key: string, value: object) => ({ key, value })
  const evaluation = {
    name: 'gen_ai.evaluation.result',
    attributes: [
      value('gen_ai.evaluation.name', { stringValue: 'Relevance' }),
      value('gen_ai.evaluation.score.value', { doubleValue: 0.25 }),
    ],
  }
  const body = chatSpan(traceId, 'told by a tracer', [evaluation])
  const spans: object[] = body.resourceSpans[0].scopeSpans[0].spans
  spans.push({ ...spans[0], spanId: 'nothex' }, { ...spans[0], spanId: 'f'.repeat(16), attributes: [] })
  for (let i = 0; i < 2; i++) {
    const { status, body: answer } = await server.send('POST', '/v1/traces', body, client)
    expect([status, answer]).toEqual([
      200,
      { partialSuccess: { rejectedSpans: '1', errorMessage: expect.any(String) } },
    ])
  }
  const path = `/api/interactions/chatcmpl-${traceId}`
  const kept = await until(async () => {
    const { status, body } = await server.send('GET', path, undefined, server.adminKey)
    return status === 200 ? (body as object) : undefined
  })
  const { record, ...rest } = interactionSchema.parse(kept)
  expect(rest).toMatchObject({
    text: 'answer to told by a tracer',
    request: { messages: [{ role: 'user', content: 'told by a tracer' }] },
    usage: { prompt_tokens: 7 },
    timings: { total_ms: 1500 },
    subjects: [expect.stringMatching(/^[\w-]{43}$/)],
  })
  await until(async () => (await stored(record))[0])
  expect(await stored(record)).toMatchObject([
    { kind: 'rating', rating: 0.25, category: 'relevance', actor_kind: 'system' },
  ])
  // A reviewer who knew what programs say would not judge blindly.
  await send({ interaction: record, kind: 'comment', text: 'hm' }, client)
  await until(async () => (await stored(record)).length === 2 || undefined)
  expect(await stored(record, reviewer)).toMatchObject([{ text: 'hm', actor_kind: 'end_user' }])
  const found = await server.send('GET', '/api/interactions?text=told%20by%20a%20tracer', undefined, server.adminKey)
  expect((found.body as { data: unknown[] }).data).toHaveLength(1)
})

test('OpenAPI has the routes', async () => {
  const { paths } = (await server.send('GET', '/openapi.json')).body as { paths: Record<string, object> }
  for (const path of [
    '/v1/feedback',
    '/v1/traces',
    '/api/public/scores',
    '/api/review/next',
    '/api/review/{item}/submit',
  ]) {
    expect(paths).toHaveProperty([path])
  }
})

test('too much from one token or person is refused with when to come back, others go on', async () => {
  let clock = 0
  const strict = await startServer({
    limits: {
      token: { perSecond: 0.5, burst: 3 },
      actor: { perSecond: 1, burst: 2 },
      key: { perSecond: 1, burst: 5 },
      clock: () => clock,
    },
  })
  try {
    const key = await strict.addKey('client')
    const tokens = [record(), record()].map((one) => strict.tokens.sign(one, 'default'))
    const rate = (token: string, rating: number) =>
      strict.send('POST', '/v1/feedback', { token, kind: 'rating', rating })
    for (let i = 0; i < 3; i++) expect((await rate(tokens[0], i)).status).toBe(200)
    const refused = await rate(tokens[0], 9)
    expect(refusal(refused)).toEqual([429, 'rate_limit_exceeded'])
    expect(refused.headers.get('retry-after')).toBe('2')
    expect((await rate(tokens[1], 1)).status).toBe(200)
    clock += 2_000
    expect((await rate(tokens[0], 9)).status).toBe(200)
    const say = (id: string) =>
      strict.send('POST', '/v1/feedback', { interaction: record(), kind: 'rating', rating: 1, actor: { id } }, key)
    expect([await say('a'), await say('a'), await say('a'), await say('b')].map(({ status }) => status)).toEqual([
      200, 200, 429, 200,
    ])
    expect([await say('c'), await say('d')].map(({ status }) => status)).toEqual([200, 429])
  } finally {
    await strict.stop()
  }
})
