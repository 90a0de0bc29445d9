import { expect, test } from 'vitest'
import { quietWorld } from './answer-filter.test-support.ts'
import { readGuards } from './read-guards.ts'
import { judgeRequest } from './request-gate.ts'

const { guards } = readGuards([{ kind: 'personal-data', mode: 'redact' }], quietWorld)
const mail = 'ann@example.com'

test('between the pieces of a long request others have their turn, and no cut hides anything', async () => {
  let turns = 0
  let isOver = false
  const count = () => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  // At every distance from the places where the text may be cut.
  const text = Array.from({ length: 20_000 }, (_, i) => `${mail} ${'x'.repeat(i % 40)}`).join(' ')
  const json = { messages: [{ role: 'user', content: text }] }
  await judgeRequest(json, guards, 'refuse', () => false)
  isOver = true
  expect(turns).toBeGreaterThan(20)
  expect(json.messages[0].content).toBe(text.replaceAll(mail, '[EMAIL]'))
})
