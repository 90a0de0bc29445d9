import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from './gateway.test-support.ts'
import { openGuardWorld } from './guards/guard-world.ts'
import { readGuards } from './guards/read-guards.ts'
import type { RewardModel } from './reward-model.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
}, 600_000)
afterAll(() => harness?.close(), 60_000)

/** JSON.parse takes it, JSON.stringify overflows the stack. */
const deep = '['.repeat(20_000) + ']'.repeat(20_000)
const choice = (place: string, field: string) =>
  `{"index":0,"${field}":{"role":"assistant","content":"Hi"${place === 'message' ? `,"x":${deep}` : ''}},"finish_reason":"stop"}`
/** Two answers, or an event of a stream, with too deep a value in one place. */
const textOf = (place: string, field: string) =>
  `{"id":"deep-${place}","choices":[${choice(place, field)},${choice('', field)}],"usage":{"x":${place === 'usage' ? deep : 1}}}`

const rewardModel: RewardModel = {
  version: '1',
  score: async (_asked, answers) => answers.map((_, i) => i),
  state: () => ({ isUp: true, waiting: 0 }),
}
const guards = readGuards([{ kind: 'rules', mode: 'block', sources: ['text'], keywords: ['Hi'] }], openGuardWorld({}))
const gateways = {
  plain: {},
  'best of two': { bestOf: { candidates: 2, timeoutMs: 10_000, rewardModel } },
  guarded: { guards },
}

test.each(
  Object.entries(gateways).flatMap(([name, options]) =>
    ['message', 'usage'].flatMap((place) => [true, false].map((stream) => ({ name, options, place, stream }))),
  ),
)('$name, stream $stream: an answer nested 20,000 levels deep in its $place is recorded', async (row) => {
  const { name, options, place, stream } = row
  const gateway = await harness.open(options)
  const isEvents = stream && name !== 'best of two'
  const text = textOf(place, isEvents ? 'delta' : 'message')
  const sent = isEvents ? `data: ${text}\n\ndata: [DONE]\n\n` : text
  const messages = [{ role: 'user', content: 'Well?' }]
  const asked = { model: 'pieces', stream, messages, pieces: [Buffer.from(sent).toString('base64')] }
  const response = await gateway.post('/v1/chat/completions', JSON.stringify(asked))
  const given = await response.text()
  const record = await harness.recordOf((found) => found.record === response.headers.get('x-request-id'))
  if (name === 'guarded') {
    expect(record.notes.join()).toContain('the guards could not read the answer: it is nested deeper')
    expect(given).not.toContain('Hi')
  } else {
    expect(given).toBe(sent)
    expect(record).toMatchObject({ termination: 'completed', usage: place === 'usage' ? null : { x: 1 } })
  }
  expect(harness.recorder.lost()).toBe(0)
})
