import { expect, test } from 'vitest'
import { filter, quietWorld, readChatStream, readChatWhole } from './answer-filter.test-support.ts'
import { readGuards } from './read-guards.ts'

const path = '/v1/chat/completions'
const guardsOf = (...config: object[]) => readGuards(config, quietWorld).guards
const words = { kind: 'rules', mode: 'block', keywords: ['project nightingale'] }
const personalData = { kind: 'personal-data', mode: 'redact' }

const bodyOf = (called: object) =>
  JSON.stringify({
    choices: [{ index: 0, message: { tool_calls: [{ index: 0, function: called }] }, finish_reason: 'stop' }],
  })
const line = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`
const eventOf = (called: object) => line({ tool_calls: [{ index: 0, function: called }] })

async function given(config: object, text: string): Promise<string | undefined> {
  const body = bodyOf({ name: 'look', arguments: text })
  const { out } = await filter(path, guardsOf(config), [body], { isEventStream: false })
  return readChatWhole(out)['0 call 0']
}

test.each([
  '{"q":"project nightingale","q":"fine"}',
  '{"q":"fine","q":"project nightingale"}',
  '{"a":[{"project nightingale":1,"project nightingale":2}]}',
  String.raw`{"q":"\"project \u006eightingale","q":""}`,
  // What Python's json.loads takes too.
  String.raw`{"x":[NaN, -Infinity],"q":"\u0070roject nightingale"}`,
  'project nightingale',
])('a call is stopped for what stands anywhere in its arguments: %s', async (text) => {
  expect(await given(words, text)).toBeUndefined()
})

test.each([
  ['{"n":4111111111111111}', '{"n":"[CARD]"}'],
  ['{"n":6011000990139424009, "m": 1}', '{"n":"[CARD]", "m": 1}'],
  ['{"n":4.111111111111111e15}', '{"n":"[CARD]"}'],
  ['{"to":"ann@example.com","to":"x","ann@example.com":[1]}', '{"to":"[EMAIL]","to":"x","[EMAIL]":[1]}'],
  ['mail ann@example.com', 'mail [EMAIL]'],
  [String.raw`{"x":NaN,"to":"\u0061nn@example.com","y":"NaN"}`, '{"x":NaN,"to":"[EMAIL]","y":"NaN"}'],
  [String.raw`NaN "\u0061" "`, undefined],
  [String.raw`{ "q" : "\u0061\"\\" , "n" : 12345678901234567890.10, "z":null }`, undefined],
])(
  'what is redacted in arguments leaves valid JSON, and all else as it is written: %s',
  async (text, expected = text) => {
    expect(await given(personalData, text)).toBe(expected)
  },
)

test('a name that comes in pieces is given once', async () => {
  const pieces = [eventOf({ name: 'lo' }), eventOf({ name: 'ok', arguments: '{}' }), line({}, 'tool_calls')]
  const { out } = await filter(path, guardsOf(words), pieces)
  expect(readChatStream(out)).toMatchObject({ '0 call 0 name': 'look', '0 call 0': '{}' })
})

test('the time that a call takes grows with its length alone, in however many pieces it comes', async () => {
  const quoted = JSON.stringify(Array.from({ length: 5_000 }, (_, i) => `${i}@example.com`))
  const deltas = quoted.match(/.{1,4}/g)!.map((piece) => eventOf({ arguments: piece }))
  const started = performance.now()
  const { out } = await filter(path, guardsOf(personalData), [...deltas, line({}, 'tool_calls')])
  // Looking at all of it for each of the 23,000 pieces takes minutes.
  expect(performance.now() - started).toBeLessThan(10_000)
  expect(JSON.parse(readChatStream(out)['0 call 0'])).toEqual(Array(5_000).fill('[EMAIL]'))
})
