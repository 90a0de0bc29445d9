import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, type OpenGateway, route, startHarness } from './gateway.test-support.ts'

const fallbackAnswer = 'Sorry, nobody is in.\n"Later?" 🗼'
const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]

let harness: Harness
let gateway: OpenGateway
beforeAll(async () => {
  harness = await startHarness()
  gateway = await harness.open({ upstreams: [route('gone', 'http://127.0.0.1:1/v1')], fallbackAnswer })
}, 600_000)
afterAll(() => harness?.close(), 600_000)

/** The official client takes it for an answer, and the record says what it was. */
async function expectRecord(id: string, more: object = {}) {
  expect(await harness.recordOf((record) => record.id === id)).toMatchObject({
    termination: 'fallback_answer',
    status: 200,
    text: fallbackAnswer,
    attempts: [{ upstream: 'gone', why: 'upstream_unreachable' }],
    ...more,
  })
}

test('chat, in one piece and streamed, with the usage when it is wanted', async () => {
  const whole = await gateway.client.chat.completions.create({ model: 'm', messages })
  expect(whole).toMatchObject({
    model: 'm',
    choices: [{ message: { content: fallbackAnswer }, finish_reason: 'stop' }],
  })
  await expectRecord(whole.id, { stream: false })
  const options = { model: 'm', messages, stream: true, stream_options: { include_usage: true } } as const
  const chunks = []
  for await (const chunk of await gateway.client.chat.completions.create(options)) chunks.push(chunk)
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(fallbackAnswer)
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 0 } })
  await expectRecord(chunks[0].id, { stream: true })
  const helper = gateway.client.chat.completions.stream({ model: 'm', messages })
  expect(await helper.finalContent()).toBe(fallbackAnswer)
})

test('completions, both ways', async () => {
  const whole = await gateway.client.completions.create({ model: 'm', prompt: 'x' })
  expect(whole.choices[0].text).toBe(fallbackAnswer)
  await expectRecord(whole.id)
  let text = ''
  for await (const chunk of await gateway.client.completions.create({ model: 'm', prompt: 'x', stream: true })) {
    text += chunk.choices[0].text
  }
  expect(text).toBe(fallbackAnswer)
})

test('responses, both ways', async () => {
  const whole = await gateway.client.responses.create({ model: 'm', input: 'x' })
  expect(whole.output_text).toBe(fallbackAnswer)
  await expectRecord(whole.id)
  const stream = gateway.client.responses.stream({ model: 'm', input: 'x' })
  let text = ''
  stream.on('response.output_text.delta', ({ delta }) => {
    text += delta
  })
  expect((await stream.finalResponse()).output_text).toBe(fallbackAnswer)
  expect(text).toBe(fallbackAnswer)
})

test('embeddings are no text: the error stays', async () => {
  const asked = gateway.client.embeddings.create({ model: 'm', input: 'x' })
  await expect(asked).rejects.toMatchObject({ status: 502, code: 'upstream_unreachable' })
})

test.each([
  ['html-503', 'fallback_answer', 200],
  ['json-429', 'fallback_answer', 200],
  ['json-401', 'fallback_answer', 200],
  ['resets-before-headers', 'fallback_answer', 200],
  ['json-400', 'upstream_error', 400],
  ['garbage', 'upstream_invalid', 200],
])('an upstream that %s: %s', async (model, termination, status) => {
  const behind = await harness.open({ fallbackAnswer })
  const response = await behind.post('/v1/chat/completions', JSON.stringify({ model, messages }))
  expect(response.status).toBe(status)
  expect((await response.text()).includes('nobody is in')).toBe(termination === 'fallback_answer')
  const record = await harness.recordOf(({ request_model }) => request_model === model)
  expect(record).toMatchObject({ termination, status })
  if (model === 'json-429') expect(record.error).toMatchObject({ code: 'rate_limit_exceeded' })
})

test('an answer that has begun is not followed by another', async () => {
  const behind = await harness.open({ fallbackAnswer })
  const body = JSON.stringify({ model: 'resets-in-stream', messages, stream: true })
  const text = await (await behind.post('/v1/chat/completions', body)).text()
  expect(text).toContain('upstream_reset')
  expect(text).not.toContain('nobody is in')
})
