import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from '../gateway.test-support.ts'
import { openGuardWorld } from './guard-world.ts'
import { readGuards } from './read-guards.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.close())

type Input = OpenAI.Responses.ResponseInputItem[]
const model = 'm'
const asked: Input = [{ role: 'user', content: 'What is the sun?' }]
const more: Input = [{ role: 'user', content: 'Go on.' }]

const rules = (mode: string, keywords: string[], more: object = {}) => ({
  kind: 'rules',
  mode,
  direction: 'input',
  keywords,
  ...more,
})
const open = (...guards: object[]) => harness.open({ guards: readGuards(guards, openGuardWorld({})) })
type Client = Awaited<ReturnType<typeof open>>['client']

/** An answer with items of every type, as the official client has it. */
async function answerOf(client: Client, isStream: boolean) {
  harness.upstream.next('every-item')
  if (!isStream) return client.responses.create({ model, input: asked })
  return client.responses.stream({ model, input: asked }).finalResponse()
}

const received = () => JSON.parse(harness.upstream.requests.at(-1)!.body).input as unknown[]

test.each([false, true])(
  'what the official client got of /v1/responses it can send back through guards (stream: %s)',
  async (stream) => {
    const { client } = await open(rules('block', ['nothing of this kind']), { kind: 'personal-data', mode: 'redact' })
    const { output } = await answerOf((await open(rules('observe', ['x']))).client, stream)
    const input = [...asked, ...(output as Input), ...more]
    const next = client.responses.create({ model, input, stream: false })
    await expect(next).resolves.toMatchObject({ status: 'completed' })
    const isRepeat = (key: string, value: unknown) => (key === 'logprobs' ? [] : value)
    expect(received()).toEqual(JSON.parse(JSON.stringify(input, isRepeat)))
  },
)

test('where guards only observe, an answer goes back as it came, log-probabilities too', async () => {
  const { client } = await open(rules('observe', ['sun']))
  const { output } = await answerOf(client, false)
  const input = [...asked, ...(output as Input), ...more]
  await client.responses.create({ model, input })
  expect(received()).toEqual(input)
})

test.each([
  ['the title of an annotation', 'about the sun'],
  ['its URL', 'example.com/sun'],
  ['the name of a file', 'stars of the sky'],
  ['a result of a search in files', 'sun is hot'],
  ['its file', 'planets'],
  ['the name of an attribute', 'year'],
  ['a query', 'how hot'],
  ['arguments', 'warm light'],
  ['the output of an MCP server', 'yellow star'],
  ['the description of its tool', 'looks at a star'],
  ['a parameter of its tool', 'of a star'],
  ['code', 'print sun'],
])('a word in %s of an answer stops the request that it comes back in', async (_, word) => {
  const { client } = await open(rules('block', [word]))
  const { output } = await answerOf((await open(rules('observe', ['x']))).client, false)
  const next = client.responses.create({ model, input: [...(output as Input), ...more] })
  await expect(next).rejects.toMatchObject({ status: 400, code: 'content_blocked' })
})

test('escapes in the arguments of a call that comes back hide no word, and redacting leaves JSON', async () => {
  const called = (args: string): Input => [
    { type: 'function_call', call_id: 'c', name: 'look', arguments: args },
    { type: 'function_call_output', call_id: 'c', output: 'done' },
  ]
  const args = String.raw`{"q":"\u0062omb","file":"a \"b\""}`
  const blocking = await open(rules('block', ['bomb']))
  await expect(blocking.client.responses.create({ model, input: called(args) })).rejects.toMatchObject({
    code: 'content_blocked',
  })
  const { client } = await open(rules('redact', ['bomb', '"b"']))
  await client.responses.create({ model, input: called(args) })
  expect(received()).toEqual(called('{"q":"[KEYWORD]","file":"a [KEYWORD]"}'))
  const function_ = { name: 'look', arguments: args }
  const messages = [
    { role: 'assistant' as const, tool_calls: [{ id: 'c', type: 'function' as const, function: function_ }] },
    { role: 'tool' as const, tool_call_id: 'c', content: 'done' },
  ]
  await client.chat.completions.create({ model, messages })
  const sent = JSON.parse(harness.upstream.requests.at(-1)!.body).messages[0].tool_calls[0].function
  expect(JSON.parse(sent.arguments)).toEqual({ q: '[KEYWORD]', file: 'a [KEYWORD]' })
})

test.each([
  ['input_file', { type: 'input_file', file_id: 'file-1' }],
  ['input_image', { type: 'input_image', file_id: 'file-1', detail: 'auto' }],
] as const)('an id of a file that the upstream would load is refused: %s', async (_, part) => {
  const { client } = await open(rules('block', ['x']))
  const { output } = await answerOf((await open(rules('observe', ['x']))).client, false)
  const before = harness.upstream.requests.length
  const input: Input = [...(output as Input), { role: 'user', content: [part] }]
  await expect(client.responses.create({ model, input })).rejects.toMatchObject({
    status: 400,
    code: 'content_unreadable',
  })
  expect(harness.upstream.requests.length).toBe(before)
})
