/** The best of several answers by a real reward model, asked for by the official client. */
import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, type OpenGateway, startHarness } from '../packages/gateway/src/gateway.test-support.ts'
import { openGuardWorld, readGuards } from '../packages/gateway/src/index.ts'
import { startTinyReward, type TinyReward } from './tiny-reward.ts'

let harness: Harness
let reward: TinyReward
let gateway: OpenGateway
beforeAll(async () => {
  harness = await startHarness()
  reward = await startTinyReward()
  gateway = await open()
}, 600_000)
afterAll(async () => {
  await harness?.close()
  await reward?.close()
}, 60_000)

const never = new AbortController().signal
const messages = [
  { role: 'system' as const, content: 'Be short.' },
  { role: 'user' as const, content: 'Well?' },
]
const texts = ['Yes.', 'No, never, not at all.', 'I do not know', 'Ask me tomorrow']
const chat = { model: 'several', messages, texts }

const choices = texts.map((content, index) => ({
  index,
  message: { role: 'assistant', content },
  finish_reason: 'stop',
}))
/** A request that the upstream answers with this body. */
const givenAs = (body: object) => ({
  model: 'pieces',
  pieces: [Buffer.from(JSON.stringify(body)).toString('base64')],
})

function open({ timeoutMs = 60_000, ...more }: { timeoutMs?: number } & Parameters<Harness['open']>[0] = {}) {
  const bestOf = { candidates: 4, timeoutMs, rewardModel: reward.model }
  return harness.open({ bestOf, ...more }, { rewardModel: reward.model })
}

async function expected() {
  const rewards = await reward.model.score(messages, texts, never)
  const chosen = rewards.indexOf(Math.max(...rewards))
  return { rewards: rewards.map((value) => expect.closeTo(value, 4)), chosen, text: texts[chosen] }
}

test('the answer that the reward model likes best, with the usage of all', async () => {
  const { rewards, chosen, text } = await expected()
  expect(chosen).not.toBe(0)
  const before = harness.upstream.requests.length
  const answer = await gateway.client.chat.completions.create(chat)
  const sent = harness.upstream.requests.slice(before).map(({ body }) => JSON.parse(body))
  expect(sent).toEqual([{ ...chat, n: 4 }])
  expect(answer).toMatchObject({ object: 'chat.completion', system_fingerprint: 'fp', usage: { total_tokens: 37 } })
  expect(answer.choices).toEqual([
    {
      index: 0,
      message: { role: 'assistant', content: text, refusal: null, reasoning_content: `${text}?` },
      logprobs: null,
      finish_reason: 'stop',
    },
  ])
  const record = await harness.recordOf(({ id }) => id === answer.id)
  expect(record).toMatchObject({
    text,
    termination: 'completed',
    usage: { total_tokens: 37 },
    request: chat,
    best_of: { asked: 4, candidates: 4, rewards, chosen, error: null },
  })
  expect(record.choices).toHaveLength(1)
  expect(await gateway.metric('plumbline_best_of_total{scored="yes"}')).toBe(1)
})

test('a stream of it, with the usage when it is wanted', async () => {
  const { text, chosen } = await expected()
  const request = { ...chat, stream: true, stream_options: { include_usage: true } } as const
  const chunks: OpenAI.ChatCompletionChunk[] = []
  for await (const chunk of await gateway.client.chat.completions.create(request)) chunks.push(chunk)
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(text)
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 37 } })
  const { stream, stream_options, ...asked } = request
  expect(JSON.parse(harness.upstream.requests.at(-1)!.body)).toEqual({ ...asked, n: 4 })
  const record = await harness.recordOf(({ id }) => id === chunks[0].id)
  expect(record).toMatchObject({ text, stream: true, termination: 'completed', best_of: { chosen, candidates: 4 } })
  expect(record.choices[0]).toMatchObject({ reasoning: `${text}?`, finish_reason: 'stop' })
  const helper = gateway.client.chat.completions.stream(chat)
  expect(await helper.finalContent()).toBe(text)
})

test('no more answers are scored than were asked for, and none without a message', async () => {
  const odd = [{ index: 9, message: null, finish_reason: 'stop' }, ...choices, choices[0], choices[1]]
  const answer = await gateway.client.chat.completions.create({ messages, ...givenAs({ id: 'many', choices: odd }) })
  const { rewards, chosen, text } = await expected()
  expect(answer.choices).toMatchObject([{ index: 0, message: { content: text } }])
  const { best_of } = await harness.recordOf(({ id }) => id === 'many')
  expect(best_of).toMatchObject({ asked: 4, candidates: 4, rewards, chosen })
})

test.each([true, false])('of two fields of one name the last is scored and given (stream: %s)', async (stream) => {
  const twice = JSON.stringify({ id: 'twice', choices }).replace('{', '{"id":"once",')
  const pieces = [Buffer.from(twice).toString('base64')]
  const response = await gateway.post(
    '/v1/chat/completions',
    JSON.stringify({ ...chat, model: 'pieces', stream, pieces }),
  )
  const given = await response.text()
  expect(response.headers.get('content-type')).toContain(stream ? 'text/event-stream' : 'application/json')
  expect(given).toContain('"id":"twice"')
  expect(given).not.toContain('once')
  const { chosen, text } = await expected()
  const record = await harness.recordOf((one) => one.record === response.headers.get('x-request-id'))
  expect(record).toMatchObject({ id: 'twice', text, best_of: { candidates: 4, chosen } })
})

test('a stream of an odd answer says what the whole says, in its order', async () => {
  const call = { id: 'c', type: 'function', function: { name: 'look', arguments: '{}' } }
  const message = { role: 'assistant', refusal: 'no', content: 'text', reasoning_content: 'why', tool_calls: [call] }
  const request = { messages, ...givenAs({ id: 'odd', choices: [{ index: 0, message, finish_reason: null }] }) }
  const whole = await gateway.client.chat.completions.create(request)
  expect(whole.choices).toEqual([{ index: 0, message, finish_reason: null }])
  const chunks: OpenAI.ChatCompletionChunk[] = []
  for await (const chunk of await gateway.client.chat.completions.create({ ...request, stream: true }))
    chunks.push(chunk)
  expect(chunks.map(({ choices: [{ delta }] }) => delta)).toEqual([
    { role: 'assistant', content: '', refusal: null },
    { reasoning_content: 'why' },
    { content: 'text' },
    { refusal: 'no', tool_calls: [{ index: 0, ...call }] },
    {},
  ])
  expect(chunks.at(-1)!.choices[0].finish_reason).toBeNull()
})

test('a stream of a long answer is recorded as completed', async () => {
  const response = await gateway.post(
    '/v1/chat/completions',
    JSON.stringify({ model: 'lengthy', stream: true, messages }),
  )
  expect(await response.text()).toContain('[DONE]')
  const record = await harness.recordOf((found) => found.record === response.headers.get('x-request-id'))
  expect(record).toMatchObject({ termination: 'completed', best_of: { candidates: 1 } })
})

test.each([
  ['tools', { tools: [{ type: 'function' as const, function: { name: 'look' } }] }],
  ['n', { n: 2 }],
  ['logprobs', { logprobs: true }],
  ['temperature 0', { temperature: 0 }],
])('%s: the request goes on as it is', async (_, more) => {
  const answer = await gateway.client.chat.completions.create({ ...chat, ...more })
  expect(JSON.parse(harness.upstream.requests.at(-1)!.body)).toEqual({ ...chat, ...more })
  expect((await harness.recordOf(({ id }) => id === answer.id)).best_of).toBeUndefined()
})

test('an upstream that does not know n: its one answer', async () => {
  const unscored = async () => (await gateway.metric('plumbline_best_of_total{scored="no"}')) ?? 0
  const before = await unscored()
  const answer = await gateway.client.chat.completions.create({ model: 'plain', messages })
  expect(answer.choices[0].message.content).toContain('Paris')
  const { best_of } = await harness.recordOf(({ id }) => id === answer.id)
  expect(best_of).toMatchObject({ asked: 4, candidates: 1, rewards: [], chosen: 0, error: null })
  expect(await unscored()).toBe(before + 1)
})

test('no rewards in time: the first answer, and the record says why', async () => {
  const hasty = await open({ timeoutMs: 100 })
  reward.signal('SIGSTOP')
  try {
    const answer = await hasty.client.chat.completions.create(chat)
    expect(answer.choices[0].message.content).toBe(texts[0])
    const helper = hasty.client.chat.completions.stream(chat)
    expect(await helper.finalContent()).toBe(texts[0])
    const { best_of } = await harness.recordOf(({ id }) => id === answer.id)
    expect(best_of).toMatchObject({ candidates: 4, rewards: [], chosen: 0, error: 'no rewards within 100 ms' })
    expect(await hasty.metric('plumbline_best_of_total{scored="no"}')).toBe(2)
  } finally {
    reward.signal('SIGCONT')
  }
})

test('guards look at the chosen answer, the same streamed and not', async () => {
  const { text, rewards, chosen } = await expected()
  const rules = { kind: 'rules', mode: 'block', direction: 'output', sources: ['text'] }
  const others = texts.filter((other) => other !== text)
  for (const [keywords, reason] of [
    [[text], 'content_filter'],
    [others, 'stop'],
  ] as const) {
    const guards = readGuards(
      [
        { ...rules, keywords },
        { kind: 'reward', mode: 'observe', threshold: 0 },
      ],
      openGuardWorld({}, reward.model),
    )
    const guarded = await open({ guards })
    const whole = await guarded.client.chat.completions.create(chat)
    expect(whole.choices[0].finish_reason).toBe(reason)
    const streamed = await guarded.client.chat.completions.stream(chat).finalChatCompletion()
    expect(streamed.choices[0].finish_reason).toBe(reason)
    expect(streamed.choices[0].message.content ?? '').toBe(whole.choices[0].message.content)
    for (const answer of [whole, streamed]) {
      const record = await harness.recordOf(({ id }) => id === answer.id)
      expect(record.guards[1].score).toEqual(rewards[chosen])
      expect(record.guards[0].outcome).toBe(reason === 'stop' ? 'passed' : 'blocked')
    }
  }
})

test.each([
  ['json-400', 400, 'upstream_error'],
  ['json-500', 500, 'upstream_error'],
  ['garbage', 200, 'upstream_invalid'],
  ['error-in-200', 200, 'upstream_error'],
])('an upstream that %s: what it gives without best-of', async (model, status, termination) => {
  const given = []
  for (const one of [gateway, await harness.open()]) {
    const response = await one.post('/v1/chat/completions', JSON.stringify({ model, messages }))
    const record = response.headers.get('x-request-id')
    expect(await harness.recordOf((found) => found.record === record)).toMatchObject({ status, termination })
    given.push([response.status, await response.text()])
  }
  expect(given[0]).toEqual(given[1])
})

test('an answer that breaks off in the middle is an error, as nothing of it has gone out', async () => {
  const request = { model: 'resets-in-body', messages }
  const asking = gateway.client.chat.completions.create(request)
  await expect(asking).rejects.toMatchObject({ status: 502, code: 'upstream_reset' })
  const streaming = gateway.client.chat.completions.create({ ...request, stream: true })
  await expect(streaming).rejects.toMatchObject({ status: 502, code: 'upstream_reset' })
})

test('an upstream that fails is followed by another', async () => {
  const retrying = await open({ retries: { max: 1, budget: 1, baseMs: 1, maxWaitMs: 1_000 } })
  const { text } = await expected()
  harness.upstream.next('html-503', 'several')
  const answer = await retrying.client.chat.completions.create(chat)
  expect(answer.choices[0].message.content).toBe(text)
  const { attempts } = await harness.recordOf(({ id }) => id === answer.id)
  expect(attempts).toMatchObject([{ status: 503 }, { status: 200, why: null }])
})

test('a client that goes away: the candidates are cancelled, and no chosen one is on record', async () => {
  const gone = new AbortController()
  const asking = gateway.client.chat.completions.create({ ...chat, model: 'silent' }, { signal: gone.signal })
  await expect.poll(() => harness.upstream.requests.at(-1)?.body.includes('silent')).toBe(true)
  gone.abort()
  await expect(asking).rejects.toThrow()
  await expect.poll(() => harness.upstream.requests.at(-1)?.brokenAt).toBeDefined()
  const record = await harness.recordOf(({ request_model }) => request_model === 'silent')
  expect(record).toMatchObject({ termination: 'client_abort', choices: [] })
  expect(record.best_of).toBeUndefined()
})

test('a client that goes away while they are scored has used their tokens', async () => {
  const key = await harness.addKey('client', 'default', false, { tokens_per_minute: 10_000 })
  const gone = new AbortController()
  reward.signal('SIGSTOP')
  try {
    const client = gateway.client.withOptions({ apiKey: key })
    const body = { id: 'left', choices: choices.slice(0, 4), usage: { total_tokens: 5_000 } }
    const asking = client.chat.completions.create({ messages, ...givenAs(body) }, { signal: gone.signal })
    await expect.poll(() => reward.model.state().waiting).toBe(1)
    gone.abort()
    await expect(asking).rejects.toThrow()
    const isIt = ({ termination, usage }: { termination: string; usage: unknown }) =>
      termination === 'client_abort' && usage !== null
    expect(await harness.recordOf(isIt)).toMatchObject({
      usage: { total_tokens: 5_000 },
      choices: [],
      text: '',
      best_of: { candidates: 4, characters: texts.join('').length, rewards: [], error: expect.any(String) },
    })
  } finally {
    reward.signal('SIGCONT')
  }
  const { response } = await gateway.client
    .withOptions({ apiKey: key })
    .chat.completions.create({ ...chat, max_completion_tokens: 10 })
    .withResponse()
  // Of 10,000, of which some have come back since.
  expect(Number(response.headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(8_000)
})

test('all candidates count when tokens are guessed', async () => {
  const limits = { tokens_per_minute: 1_000 }
  const key = await harness.addKey('client', 'default', false, limits)
  const client = gateway.client.withOptions({ apiKey: key })
  const asking = { ...chat, max_completion_tokens: 300 }
  // Four times 300 are more than the minute's, so nothing else may have used it.
  await client.chat.completions.create({ ...chat, max_completion_tokens: 10 })
  await expect(client.chat.completions.create(asking)).rejects.toMatchObject({ status: 429 })
  const one = (await harness.open()).client.withOptions({ apiKey: key })
  await one.chat.completions.create({ ...chat, max_completion_tokens: 10 })
  expect(await one.chat.completions.create(asking)).toBeDefined()
})
