import { expect, test } from 'vitest'
import { guessTokens, usedTokens } from './tokens.ts'

test('a request’s tokens are guessed from its size and what it allows', () => {
  const chat = (request: object) => guessTokens('/v1/chat/completions', request as Record<string, unknown>, 400)
  expect(chat({})).toBe(100 + 256)
  expect(chat({ max_tokens: 10 })).toBe(110)
  expect(chat({ max_completion_tokens: 20, n: 3 })).toBe(160)
  expect(chat({ max_tokens: 'many', n: 1e9 })).toBe(100 + 128 * 256)
  expect(chat({ max_tokens: 1e300 })).toBe(1e9)
  expect(chat({ max_tokens: -5 })).toBe(356)
  expect(guessTokens('/v1/responses', { max_output_tokens: 7 }, 400)).toBe(107)
  expect(guessTokens('/v1/embeddings', {}, 401)).toBe(101)
})

test('what an answer used: its own word, else its length, else nothing', () => {
  const choices = [
    { index: 0, text: 'a'.repeat(40), reasoning: '', refusal: '', tool_calls: [], finish_reason: null },
    {
      index: 1,
      text: '',
      reasoning: 'b'.repeat(20),
      refusal: '',
      tool_calls: [{ id: null, name: null, arguments: 'c'.repeat(20) }],
      finish_reason: null,
    },
  ]
  const attempts = [{ upstream: 'u', status: 200, ms: 1, why: null }]
  expect(usedTokens({ usage: { total_tokens: 13 }, choices, attempts }, 400)).toBe(13)
  expect(usedTokens({ usage: null, choices, attempts }, 400)).toBe(120)
  expect(usedTokens({ usage: { total_tokens: -1 }, choices, attempts }, 400)).toBe(120)
  expect(usedTokens({ usage: null, choices: [], attempts: [{ ...attempts[0], status: 503 }] }, 400)).toBe(0)
  expect(usedTokens({}, 400)).toBe(0)
  const note = { asked: 4, candidates: 4, characters: 4_000, rewards: [], chosen: 0, ms: 0, error: 'none' }
  expect(usedTokens({ usage: null, choices: [choices[0]], attempts, best_of: note }, 400)).toBe(1_100)
})
