/** The server of a local model by itself, asked by the official client: a tiny model, so answers are noise and quick. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalModel, startLocalModel } from '@plumbline/inference'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readProcesses } from '../benchmarks/trainers/process-tree.ts'
import { idOf, writeTinyModel } from './trainers/tiny-models.ts'

const contextLength = 1024
let folder: string
let local: LocalModel
let client: OpenAI
const warnings: string[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'local-model-'))
  const path = await writeTinyModel(join(folder, 'tiny'), {
    deviation: 0.3,
    config: { max_position_embeddings: contextLength, eos_token_id: 1 },
    eosToken: '<|im_start|>',
  })
  local = await startLocalModel({
    path,
    name: 'tiny',
    batchSize: 3,
    maxWaiting: 20,
    warn: (text) => void warnings.push(text),
    signal: new AbortController().signal,
  })
  client = new OpenAI({ baseURL: local.url, apiKey: local.apiKey, maxRetries: 0 })
}, 600_000)
afterAll(async () => {
  await local?.stop()
  await rm(folder, { recursive: true, force: true })
}, 60_000)

const model = 'tiny'
const messages = [{ role: 'user' as const, content: 'Well?' }]
const chat = { model, messages, seed: 1, max_tokens: 24 }

const post = (path: string, body: unknown) =>
  fetch(`${local.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${local.apiKey}` },
    body: JSON.stringify(body),
  })

describe('an answer in one piece and its stream are the same', () => {
  test('chat: texts, log-probabilities, reasons and usage of three answers', async () => {
    const request = { ...chat, n: 3, logprobs: true, top_logprobs: 2 }
    const whole = await client.chat.completions.create(request)
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(new Set(whole.choices.map(({ message }) => message.content)).size).toBe(3)
    const streamed = whole.choices.map(() => ({ text: '', role: '', reason: '', logprobs: [] as object[] }))
    let usage: OpenAI.CompletionUsage | null | undefined
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    })
    for await (const chunk of stream) {
      usage = chunk.usage
      for (const { index, delta, finish_reason, logprobs } of chunk.choices) {
        const answer = streamed[index]
        expect(answer.reason).toBe('')
        answer.text += delta.content ?? ''
        answer.role += delta.role ?? ''
        answer.reason = finish_reason ?? ''
        answer.logprobs.push(...(logprobs?.content ?? []))
      }
    }
    expect(streamed).toEqual(
      whole.choices.map(({ message, finish_reason, logprobs }) => ({
        text: message.content,
        role: 'assistant',
        reason: finish_reason,
        logprobs: logprobs?.content,
      })),
    )
    expect(usage).toEqual(whole.usage)
    const [{ message, logprobs }] = whole.choices
    expect(
      logprobs?.content
        ?.map(({ token }) => token)
        .join('')
        .replaceAll(/<\|\w+\|>/g, ''),
    ).toBe(message.content)
    for (const { logprob, top_logprobs, bytes, token } of logprobs?.content ?? []) {
      expect(top_logprobs).toHaveLength(2)
      expect(logprob).toBeLessThanOrEqual(top_logprobs[0].logprob)
      expect(Buffer.from(bytes!).toString()).toBe(token)
    }
  })

  test('text: several prompts, as text and as tokens', async () => {
    const request = { model, prompt: ['ab', 'c'], n: 2, seed: 5, max_tokens: 12, logprobs: 1, stop: ['q', 'xy'] }
    const whole = await client.completions.create(request)
    expect(whole.choices).toHaveLength(4)
    const texts = ['', '', '', '']
    const tokens = texts.map(() => [] as string[])
    for await (const { choices } of await client.completions.create({ ...request, stream: true })) {
      for (const { index, text, logprobs } of choices) {
        texts[index] += text
        tokens[index].push(...(logprobs?.tokens ?? []))
      }
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text))
    expect(tokens).toEqual(whole.choices.map(({ logprobs }) => logprobs?.tokens))
    for (const { text, logprobs } of whole.choices) {
      expect(logprobs?.tokens?.join('').replaceAll(/<\|\w+\|>/g, '')).toBe(text)
      expect(text).not.toMatch(/q|xy/)
    }
    const asTokens = await client.completions.create({ ...request, prompt: [[idOf('a'), idOf('b')], [idOf('c')]] })
    expect(asTokens.choices).toEqual(whole.choices)
    expect(whole.usage?.prompt_tokens).toBe(3)
  })

  test('responses: the events make the response', async () => {
    const request = { model, input: 'Well?', instructions: 'Be.', temperature: 0, max_output_tokens: 9 }
    const whole = await client.responses.create(request)
    expect(whole).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
    expect(whole.usage).toMatchObject({ output_tokens: 9, total_tokens: whole.usage!.input_tokens + 9 })
    const types: string[] = []
    let text = ''
    for await (const event of await client.responses.create({ ...request, stream: true })) {
      expect(event.sequence_number).toBe(types.length)
      types.push(event.type)
      if (event.type === 'response.output_text.delta') text += event.delta
      if (event.type === 'response.incomplete') expect(event.response.output_text ?? text).toBe(text)
    }
    expect(text).toBe(whole.output_text)
    expect(types.filter((type) => !type.endsWith('delta'))).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.incomplete',
    ])
    const turns = [{ role: 'user' as const, content: 'Hm.' }, ...whole.output] as OpenAI.Responses.ResponseInput
    expect((await client.responses.create({ ...request, input: turns })).output_text).not.toBe('')
  })
})

test('many at once give what each gives alone', async () => {
  const ask = (seed: number) =>
    client.chat.completions.create({ ...chat, seed, messages: [{ role: 'user', content: 'a'.repeat(seed * 40) }] })
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
  const together = await Promise.all(seeds.map(ask))
  for (const seed of seeds) expect((await ask(seed)).choices, `seed ${seed}`).toEqual(together[seed - 1].choices)
})

test('special tokens that a user types stay text', async () => {
  const tokensOf = async (content: string) =>
    (await client.chat.completions.create({ ...chat, max_tokens: 1, messages: [{ role: 'user', content }] })).usage!
      .prompt_tokens
  expect((await tokensOf('<|im_end|>')) - (await tokensOf('a'))).toBe('<|im_end|>'.length - 1)
  const text = await client.completions.create({ model, prompt: '<|im_end|>', max_tokens: 1 })
  expect(text.usage?.prompt_tokens).toBe('<|im_end|>'.length)
})

test('a full queue asks to come back; an abort makes room', async () => {
  const gone = new AbortController()
  const endless = { ...chat, temperature: 0, max_tokens: 900, n: 16, stream: true } as const
  // The stream begins with the first token: by then all of its answers are inside, and eight more are too many.
  await client.chat.completions.create(endless, { signal: gone.signal })
  const ask = () => post('/chat/completions', { ...chat, n: 8 })
  const refused = await ask()
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
  expect(await refused.json()).toMatchObject({ error: { code: 'overloaded' } })
  gone.abort()
  await expect.poll(async () => (await ask()).status, { timeout: 30_000 }).toBe(200)
})

describe('what is not supported is refused by its name', () => {
  const image = [{ type: 'image_url', image_url: { url: 'data:,' } }]
  const tool = { type: 'function', function: { name: 'f' } }
  const cases: readonly (readonly [path: string, body: object, status: number, code: string, param: string])[] = [
    ['/chat/completions', { tools: [tool] }, 400, 'unsupported_parameter', 'tools'],
    [
      '/chat/completions',
      { response_format: { type: 'json_object' } },
      400,
      'unsupported_parameter',
      'response_format',
    ],
    [
      '/chat/completions',
      { messages: [{ role: 'user', content: image }] },
      400,
      'unsupported_parameter',
      'messages[0].content[0]',
    ],
    ['/chat/completions', { messages: [{ role: 'tool', content: 'x' }] }, 400, 'invalid_value', 'messages[0].role'],
    ['/chat/completions', { messages: [] }, 400, 'invalid_value', 'messages'],
    ['/chat/completions', { messages: undefined }, 400, 'missing_required_parameter', 'messages'],
    [
      '/chat/completions',
      { messages: [{ role: 'user', content: 'a', tool_calls: [tool] }] },
      400,
      'unsupported_parameter',
      'messages[0].tool_calls',
    ],
    ['/chat/completions', { presence_penalty: 0.5 }, 400, 'unsupported_parameter', 'presence_penalty'],
    ['/chat/completions', { logit_bias: { 5: 1 } }, 400, 'unsupported_parameter', 'logit_bias'],
    ['/chat/completions', { temperature: 3 }, 400, 'invalid_value', 'temperature'],
    ['/chat/completions', { n: 0 }, 400, 'invalid_value', 'n'],
    ['/chat/completions', { seed: -1 }, 400, 'invalid_value', 'seed'],
    ['/chat/completions', { stop: [''] }, 400, 'invalid_value', 'stop[0]'],
    ['/chat/completions', { max_completion_tokens: 5 }, 400, 'invalid_value', 'max_tokens'],
    ['/chat/completions', { top_logprobs: 3 }, 400, 'invalid_value', 'top_logprobs'],
    ['/chat/completions', { bananas: 1 }, 400, 'unknown_parameter', 'bananas'],
    ['/chat/completions', { model: 'gpt-4o' }, 404, 'model_not_found', 'model'],
    ['/chat/completions', { max_tokens: contextLength }, 400, 'context_length_exceeded', 'messages'],
    [
      '/chat/completions',
      { messages: [{ role: 'user', content: 'a'.repeat(contextLength) }] },
      400,
      'context_length_exceeded',
      'messages',
    ],
    [
      '/chat/completions',
      { messages: [{ role: 'user', content: 'a'.repeat(100 * contextLength) }] },
      400,
      'context_length_exceeded',
      'messages',
    ],
    ['/completions', { prompt: '' }, 400, 'invalid_value', 'prompt'],
    ['/completions', { prompt: [9999] }, 400, 'invalid_value', 'prompt'],
    ['/completions', { prompt: 'a', best_of: 4 }, 400, 'unsupported_parameter', 'best_of'],
    ['/completions', { prompt: 'a', echo: true }, 400, 'unsupported_parameter', 'echo'],
    [
      '/responses',
      { input: 'a', previous_response_id: 'resp_1' },
      400,
      'unsupported_parameter',
      'previous_response_id',
    ],
    ['/responses', { input: 'a', text: { format: { type: 'json_schema' } } }, 400, 'unsupported_parameter', 'text'],
    ['/responses', { input: 'a', store: true }, 400, 'unsupported_parameter', 'store'],
    ['/embeddings', { input: 'a' }, 404, 'no_embeddings', 'model'],
  ]
  test.each(cases.map((one, i) => ({ i, param: one[4], one })))('$i: $param', async ({ one }) => {
    const [path, body, status, code, param] = one
    const response = await post(path, { model, ...(path === '/chat/completions' && chat), ...body })
    const { error } = (await response.json()) as { error: Record<string, unknown> }
    expect([response.status, error.code, error.param]).toEqual([status, code, param])
    expect(error.message).toEqual(expect.any(String))
  })

  test('values that ask for nothing are taken', async () => {
    const nothing = {
      tools: [],
      tool_choice: 'none',
      response_format: { type: 'text' },
      presence_penalty: 0,
      logit_bias: {},
      store: false,
      user: 'u',
      metadata: { a: 'b' },
      stop: null,
      seed: null,
    }
    expect((await post('/chat/completions', { ...chat, ...nothing })).status).toBe(200)
  })
})

test('models; the key', async () => {
  expect((await client.models.list()).data).toMatchObject([{ id: model, object: 'model' }])
  expect((await client.models.retrieve(model)).id).toBe(model)
  await expect(client.models.retrieve('other')).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  await expect(client.withOptions({ apiKey: 'sk-none' }).models.list()).rejects.toMatchObject({ status: 401 })
})

test('what cannot be loaded is said as its loader says it', async () => {
  const options = { name: 'x', batchSize: 1, maxWaiting: 0, warn: () => {}, signal: new AbortController().signal }
  await expect(startLocalModel({ path: join(folder, 'nowhere'), ...options })).rejects.toMatchObject({
    name: 'PlumblineError',
    hint: expect.any(String),
  })
})

test('a process that dies is there again, under the same address', async () => {
  for (const { pid } of readProcesses().filter(({ parent }) => parent === process.pid)) process.kill(pid, 'SIGKILL')
  const isThere = () =>
    post('/chat/completions', chat).then(
      ({ status }) => status,
      () => undefined,
    )
  await expect.poll(isThere, { timeout: 120_000, interval: 200 }).toBe(200)
  expect(warnings).toEqual([expect.stringContaining('has ended (SIGKILL)')])
}, 150_000)
