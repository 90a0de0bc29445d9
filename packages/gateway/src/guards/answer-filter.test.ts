import fc from 'fast-check'
import { expect, test } from 'vitest'
import { filter, quietWorld, readChatStream, readChatWhole } from './answer-filter.test-support.ts'
import { AnswerFilter, observeAnswer, shapes } from './answer-filter.ts'
import { answerShapes, cut } from './answer-shapes.test-support.ts'
import { type GuardMode, noQuestion } from './guard.ts'
import type { GuardWorld } from './kinds/kind.ts'
import { readGuards } from './read-guards.ts'
import { turnsOf } from './turns.test-support.ts'

const chat = '/v1/chat/completions'
const texts = '/v1/completions'
const responses = '/v1/responses'

/** Words that guards look for, halves of them, pairs of UTF-16 units, and ordinary ones. */
const word = fc.constantFrom(
  'the ',
  'a nice day ',
  'secret',
  ' sec',
  'ret ',
  'project',
  ' nightingale ',
  'nightin',
  'ann@example.com',
  ' ann@',
  'example',
  '.com',
  '4111 1111 1111 1111',
  ' 4111 1111',
  ' 1111',
  ' 1112 ',
  '😀',
  '🗼 ',
  'é',
  'ab-12345',
  'ab-',
  '99',
  '\n',
  '"',
  '\\',
  'you stupid idiot, I hate you ',
  'x'.repeat(50),
)
const textArb = (max: number) => fc.array(word, { maxLength: max }).map((words) => words.join(''))
const turnArb = fc.record({ reasoning: textArb(6), text: textArb(40), refusal: textArb(3), call: textArb(5) })
const { bodyOf, eventsOf } = answerShapes[chat]

const rules = (mode: GuardMode) => ({
  kind: 'rules',
  name: `rules-${mode}`,
  mode,
  keywords: ['secret', 'project nightingale'],
  patterns: [{ name: 'code', pattern: 'ab-\\d+' }],
})
/** Answers after a turn: what it says of a text depends on the text alone, also whether it fails. */
const lateWorld: GuardWorld = {
  ...quietWorld,
  openEndpoint: () => async (body) => {
    const { input } = body as { input: string }
    await turn()
    if (input.includes('idiot')) throw new Error('no word')
    return { results: [{ flagged: /nightingale/.test(input), category_scores: { length: input.length / 1000 } }] }
  },
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const late = { kind: 'http', url: 'https://guard.example/v1/moderations', mode: 'block' }
const guardSets = Object.fromEntries(
  Object.entries({
    'rules that block': [rules('block')],
    'rules that redact': [rules('redact')],
    'rules that replace': [rules('replace')],
    'personal data': [{ kind: 'personal-data', mode: 'redact' }],
    windows: [{ kind: 'harm', mode: 'block', window: 40 }],
    'all layers': [
      rules('observe'),
      { kind: 'personal-data', mode: 'redact' },
      { ...rules('block'), keywords: ['project nightingale'] },
      { kind: 'harm', mode: 'block', window: 60 },
    ],
    'the whole': [
      { kind: 'refusal', mode: 'observe' },
      { kind: 'prompt-injection', mode: 'block' },
      { kind: 'personal-data', mode: 'block' },
    ],
    'windows that take a turn': [{ ...late, window: 40 }],
    'layers that take a turn': [
      { kind: 'personal-data', mode: 'redact' },
      { kind: 'harm', mode: 'observe', window: 60 },
      { ...late, window: 30, on_error: 'allow' },
      { ...late, name: 'watches', mode: 'observe', window: 50 },
      { ...late, name: 'of-reasoning', sources: ['reasoning'], window: 30 },
    ],
    'the whole, which takes a turn': [rules('redact'), { ...late, mode: 'replace' }],
  }).map(([name, config]) => [name, readGuards(config, lateWorld).guards]),
)

const sizesArb = fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 60 })), {
  minLength: 1,
  maxLength: 8,
})

const everyKind = Object.keys(answerShapes).flatMap((path) =>
  Object.entries(guardSets).map(([name, guards]) => [path, name, guards] as const),
)

test.each(everyKind)(
  '%s, %s: a stream gets the verdict and the text of the whole, however it is cut',
  async (path, _, guards) => {
    const { bodyOf, eventsOf, readStream, readWhole } = answerShapes[path]
    await fc.assert(
      fc.asyncProperty(
        fc.array(turnArb, { minLength: 1, maxLength: 2 }),
        sizesArb,
        sizesArb,
        fc.boolean(),
        async (turns, deltas, network, isSlow) => {
          const whole = await filter(path, guards, [bodyOf(turns)], { isEventStream: false })
          const pieces = cut(Buffer.from(eventsOf(turns, deltas)), network)
          const streamed = await filter(path, guards, pieces, isSlow ? { pause: turn } : {})
          expect([streamed.unknown, streamed.verdicts]).toEqual([undefined, whole.verdicts])
          expect(readStream(streamed.out)).toEqual(readWhole(whole.out))
          expect(streamed.out.endsWith('data: [DONE]\n\n')).toBe(path !== responses)
        },
      ),
      { numRuns: 40 },
    )
  },
)

test.each(Object.entries(guardSets))(
  '%s: pieces of a long answer change neither verdict nor text',
  async (_, guards) => {
    // At every distance from the places where the text is cut.
    const text = Array.from({ length: 700 }, (_, i) => `ann@example.com ${'😀'.repeat(i % 21)}`).join(' ')
    for (const last of ['', ' ab-12345 is secret']) {
      const turns = [{ reasoning: 'a nice day '.repeat(1_000), text: text + last, call: text.slice(0, 6_000) }]
      const whole = await filter(chat, guards, [bodyOf(turns)], { isEventStream: false })
      for (const deltas of [[1_000_000], [2_047], [2_048, 5_000, 7]]) {
        const streamed = await filter(chat, guards, [eventsOf(turns, deltas)])
        expect([streamed.unknown, streamed.verdicts]).toEqual([undefined, whole.verdicts])
        expect(readChatStream(streamed.out)).toEqual(readChatWhole(whole.out))
      }
      if (guards !== guardSets['personal data']) continue
      const redacted = (text + last).replaceAll('ann@example.com', '[EMAIL]')
      expect(readChatWhole(whole.out)['0 text'] === redacted).toBe(true)
    }
  },
)

const quiet = 'a nice day, and another one. '.repeat(4_000)

test.each(['personal data', 'windows', 'the whole', 'layers that take a turn'])(
  '%s: while a long answer is looked at, others have their turn',
  async (name) => {
    const guards = guardSets[name]
    const watching = guards.map((guard) => ({ ...guard, mode: 'observe' as const }))
    const whole = filter(chat, guards, [bodyOf([{ text: quiet }])], { isEventStream: false })
    expect(await turnsOf(whole)).toBeGreaterThan(20)
    const streamed = filter(chat, guards, [eventsOf([{ text: quiet }], [50_000])])
    expect(await turnsOf(streamed)).toBeGreaterThan(20)
    const choice = { index: 0, text: quiet, reasoning: '', refusal: '', tool_calls: [], finish_reason: 'stop' }
    expect(await turnsOf(observeAnswer([choice], watching, noQuestion))).toBeGreaterThan(20)
  },
)

test('events that were kept back leave in turns, in their order', async () => {
  const events: string[] = []
  const answer = new AnswerFilter({
    shape: shapes[chat],
    guards: readGuards([{ kind: 'prompt-injection', mode: 'block' }], quietWorld).guards,
    question: noQuestion,
    isEventStream: true,
    onBytes: (bytes) => events.push(bytes.toString()),
    onUnknown: () => {},
  })
  answer.push(Buffer.from(eventsOf([{ text: quiet }], [10])))
  let before = 0
  let most = 0
  const measure = () => {
    most = Math.max(most, events.length - before)
    before = events.length
  }
  await turnsOf(answer.end(), measure)
  measure()
  expect(readChatStream(events.join(''))['0 text'] === quiet).toBe(true)
  expect(events.length).toBeGreaterThan(10_000)
  expect(most).toBeLessThan(3_000)
})

test('every single boundary of one answer: deltas of n units, network pieces of n bytes', async () => {
  const turns = [{ reasoning: 'hm 🗼', text: 'mail ann@example.com 😀 about the project nightingale', call: 'ab-12' }]
  const guards = guardSets['all layers']
  const whole = await filter(chat, guards, [bodyOf(turns)], { isEventStream: false })
  for (let first = 1; first <= turns[0].text.length; first++) {
    const streamed = await filter(chat, guards, [eventsOf(turns, [first, 10_000])])
    expect(streamed.verdicts).toEqual(whole.verdicts)
    expect(readChatStream(streamed.out)).toEqual(readChatWhole(whole.out))
  }
  const stream = Buffer.from(eventsOf(turns, [3]))
  for (let at = 1; at < stream.length; at += 1) {
    const streamed = await filter(chat, guards, [stream.subarray(0, at), stream.subarray(at)])
    expect(readChatStream(streamed.out)).toEqual(readChatWhole(whole.out))
  }
})

test('what is found is stopped: the text before it is given, nothing behind it, and no call', async () => {
  const turns = [{ text: 'so the secret is out', call: 'anything' }]
  const { out, verdicts } = await filter(chat, guardSets['rules that block'], [eventsOf(turns, [4])])
  expect(readChatStream(out)).toEqual({ '0 text': 'so the ', '0 finish': 'content_filter' })
  expect(verdicts).toMatchObject([{ outcome: 'blocked', label: 'keyword', direction: 'output' }])
})

test('nothing leaves before it is cleared: of a number that may become a card no digit is out', async () => {
  const guards = guardSets['personal data']
  const turns = [{ text: 'pay 4111 1111 1111 1111 now' }]
  const stream = eventsOf(turns, [1])
  let sent = ''
  for (const event of stream.split(/(?<=\n\n)/)) {
    sent += event
    const { out } = await filter(chat, guards, [sent])
    expect(readChatStream(out)['0 text'] ?? '').not.toMatch(/\d{4} 1111 1111 1111 1/)
  }
  expect(readChatStream((await filter(chat, guards, [stream])).out)['0 text']).toBe('pay [CARD] now')
})

test('where nothing is found, events pass byte for byte', async () => {
  const stream = eventsOf([{ reasoning: 'hm', text: 'a quiet day é 😀', call: 'x' }], [3])
  expect((await filter(chat, guardSets['all layers'], cut(Buffer.from(stream), [7]))).out).toBe(stream)
})

test.each([
  ['a field that is not known', { content: 'a', audio: { data: 'AAAA' } }],
  ['content that is no text', { content: [{ type: 'image_url', image_url: { url: 'x' } }] }],
  ['another role', { role: 'system', content: 'a' }],
])('%s is refused, not waved through', async (_, delta) => {
  const event = `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`
  const { out, unknown } = await filter(chat, guardSets['rules that block'], [event, 'data: [DONE]\n\n'])
  expect(unknown).toBeDefined()
  expect(out).toBe('')
})

test('text after another text has begun, after the end, or in another order, is refused', async () => {
  const event = (delta: object, finish_reason: string | null = null) =>
    `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta, finish_reason }] })}\n\n`
  const back = [event({ content: 'a' }), event({ reasoning_content: 'b' }), event({ content: 'c' })]
  const afterEnd = [event({ content: 'a' }, 'stop'), event({ content: 'b' })]
  // A whole answer is read in one order, so in another what is found first would be another thing.
  const turned = [event({ content: 'secret' }), event({ reasoning_content: 'ab-12' }, 'stop')]
  for (const events of [back, afterEnd, turned]) {
    expect((await filter(chat, guardSets['rules that block'], events)).unknown).toBeDefined()
  }
})

const line = (json: object) => `data: ${JSON.stringify(json)}\n\n`

test.each([
  ['no choices', chat, false, { foo: 'bar' }],
  ['only facts', chat, false, { id: 'x', model: 'm' }],
  ['no choices', texts, false, { id: 'x', completion: 'bar' }],
  ['no output', responses, false, { id: 'x', status: 'completed', text: 'bar' }],
  ['no choices, and a field that may be the text', chat, true, { id: 'x', content: 'bar' }],
  ['no choices, and a field that may be the text', texts, true, { id: 'x', content: 'bar' }],
  ['another endpoint’s text', chat, false, { choices: [{ index: 0, text: 'bar' }] }],
  ['another endpoint’s text', chat, true, { choices: [{ index: 0, text: 'bar' }] }],
  ['a whole message in a stream', chat, true, { choices: [{ index: 0, message: { content: 'bar' } }] }],
  ['another endpoint’s text', texts, false, { choices: [{ index: 0, message: { content: 'bar' } }] }],
  ['another endpoint’s text', texts, true, { choices: [{ index: 0, delta: { content: 'bar' } }] }],
  ['a call that is no object', chat, true, { choices: [{ delta: { tool_calls: [{ index: 0, function: 'bar' }] } }] }],
  ['a call that is no object', chat, false, { choices: [{ message: { function_call: 'bar' } }] }],
  ['a response that is no object', responses, true, { type: 'response.created', response: 'bar' }],
  ['a response that is no object', responses, true, { type: 'response.completed', response: 'bar' }],
  [
    'no output, and a field that may be it',
    responses,
    true,
    { type: 'response.completed', response: { answer: 'bar' } },
  ],
  ['a type that is no text', responses, true, { type: { toString: 1 }, delta: 'bar' }],
  ['a type that is no text', responses, false, { output: [{ type: { toString: 1 }, content: 'bar' }] }],
  ['no delta, and a field that may be it', responses, true, { type: 'response.output_text.delta', text: 'bar' }],
])('%s is refused, not waved through (%s, stream: %s)', async (_, path, isEventStream, json) => {
  const piece = isEventStream ? line(json) : JSON.stringify(json)
  const { out, unknown } = await filter(path, guardSets['rules that block'], [piece], { isEventStream })
  expect([unknown !== undefined, out]).toEqual([true, ''])
})

const call = { index: 0, id: 'c', type: 'function', function: { name: 'look', arguments: '{}' } }
const response = {
  id: 'resp',
  object: 'response',
  status: 'completed',
  model: 'm',
  instructions: 'Be kind.',
  output: [],
}
test.each([
  [
    'no text',
    chat,
    false,
    { choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'stop' }] },
  ],
  [
    'a call',
    chat,
    false,
    { choices: [{ message: { content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }] },
  ],
  ['a call', chat, true, { choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }] }],
  ['an end without a delta', chat, true, { choices: [{ index: 0, finish_reason: 'stop' }] }],
  ['usage', chat, true, { id: 'x', choices: [], usage: { total_tokens: 1 } }],
  [
    'usage, and no choices at all',
    chat,
    true,
    { id: 'x', object: 'chat.completion.chunk', usage: { total_tokens: 1 } },
  ],
  ['nothing', chat, true, {}],
  ['no text', texts, false, { choices: [{ index: 0, text: '', finish_reason: 'stop' }] }],
  ['usage', texts, true, { choices: [], usage: { total_tokens: 1 } }],
  ['no output', responses, false, response],
  ['a beginning', responses, true, { type: 'response.created', sequence_number: 0, response }],
  ['an end', responses, true, { type: 'response.completed', sequence_number: 9, response }],
  [
    'a call’s end',
    responses,
    true,
    { type: 'response.function_call_arguments.done', item_id: 'i', output_index: 0, name: 'look', arguments: '{}' },
  ],
])('%s passes as it came (%s, stream: %s)', async (_, path, isEventStream, json) => {
  const piece = isEventStream ? line(json) : JSON.stringify(json)
  const { out, unknown } = await filter(path, guardSets['rules that block'], [piece], { isEventStream })
  expect([unknown, out]).toEqual([undefined, piece])
})

const azure = { hate: { filtered: false, severity: 'safe' } }
test.each([
  [
    'what Azure says of the prompt',
    chat,
    { choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: azure }] },
    { choices: [] },
  ],
  [
    'the same without choices',
    chat,
    { id: '', prompt_filter_results: [{ prompt_index: 0, content_filter_results: azure }] },
    { id: '' },
  ],
  [
    'what Azure says of a text, after it',
    chat,
    {
      choices: [{ index: 0, finish_reason: null, content_filter_results: azure, content_filter_offsets: { start: 0 } }],
    },
    { choices: [{ index: 0, finish_reason: null, delta: {} }] },
  ],
  [
    'a message beside its delta',
    chat,
    { choices: [{ index: 0, delta: { content: 'a' }, message: { content: 'secret' } }] },
    { choices: [{ index: 0, delta: { content: 'a' } }] },
  ],
  [
    'what is not known of an answer',
    responses,
    { type: 'response.completed', note: 'secret', response: { ...response, output_text: 'secret', note: 'secret' } },
    { type: 'response.completed', response },
  ],
  [
    'the words of an error',
    responses,
    { type: 'response.failed', response: { ...response, error: { code: 'server_error', message: 'no secret' } } },
    {
      type: 'response.failed',
      response: { ...response, error: { code: 'server_error', message: 'The upstream reports an error.' } },
    },
  ],
])('%s is taken out', async (_, path, json, given) => {
  const { out, unknown } = await filter(path, guardSets['rules that block'], [line(json)])
  expect([unknown, JSON.parse(out.slice(6))]).toEqual([undefined, given])
})

const mail = 'ann@example.com'
const logprobs = { content: [{ token: mail, logprob: -1, top_logprobs: [] }], tokens: [mail] }
test.each([
  [chat, false, { message: { role: 'assistant', content: `to ${mail}` } }],
  [chat, true, { delta: { content: `to ${mail}` } }],
  [texts, false, { text: `to ${mail}` }],
  [texts, true, { text: `to ${mail}` }],
])('what is redacted does not stand in the log-probabilities (%s, stream: %s)', async (path, isEventStream, choice) => {
  const json = { id: 'x', choices: [{ index: 0, ...choice, logprobs, finish_reason: 'stop' }] }
  const pieces = isEventStream ? [line(json), 'data: [DONE]\n\n'] : [JSON.stringify(json)]
  const { out, unknown } = await filter(path, guardSets['personal data'], pieces, { isEventStream })
  expect(unknown).toBeUndefined()
  expect(out).toContain('[EMAIL]')
  expect(out).not.toContain(mail)
})
