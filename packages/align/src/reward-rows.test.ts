import { createRandom } from '@plumbline/engine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { describeSplit, type EncodedAnswers, holdOutPrompts, rewardKind } from './reward-rows.ts'

const rowsOf = (sizes: readonly number[]): EncodedAnswers[] =>
  sizes
    .flatMap((size, prompt) => Array.from({ length: size }, () => String(prompt)))
    .map((prompt, i) => ({ answers: [[1]], target: 0, isContrast: false, prompt, row: i + 1 }))

test('no prompt is on both sides, nothing is lost, no more than the fraction is held out, and some prompt is left', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(sizes, fc.double({ min: 0, max: 0.99, noNaN: true }), fc.nat(), (prompts, fraction, seed) => {
      const rows = rowsOf(prompts)
      const { train, evaluation } = holdOutPrompts(rows, fraction, createRandom(seed))
      const [learned, held] = [train, evaluation].map((side) => new Set(side.map(({ prompt }) => prompt)))
      expect(learned.isDisjointFrom(held)).toBe(true)
      expect([...train, ...evaluation].map(({ row }) => row).sort((a, b) => a - b)).toEqual(rows.map(({ row }) => row))
      expect(evaluation.length).toBeLessThanOrEqual(Math.round(rows.length * fraction))
      expect(train.length).toBeGreaterThan(0)
    }),
  )
})

test('of prompts with one row each it is the fraction; another seed holds out others', () => {
  const rows = rowsOf(new Array(100).fill(1))
  const split = (seed: number) => holdOutPrompts(rows, 0.1, createRandom(seed))
  expect(split(1).evaluation).toHaveLength(10)
  expect(split(1)).toEqual(split(1))
  expect(split(2).evaluation).not.toEqual(split(1).evaluation)
})

test('the counts are said, and prompts on both sides', () => {
  const rows = rowsOf([2, 1, 1])
  expect(describeSplit({ train: rows, evaluation: [] }, 'pairs')).toBe(
    '4 pairs to learn from (3 prompts), none held out.',
  )
  expect(describeSplit({ train: rows.slice(2), evaluation: rows.slice(0, 2) }, 'pairs')).toBe(
    '2 pairs to learn from (2 prompts), 2 to measure on (1 prompt).',
  )
  expect(describeSplit({ train: rows, evaluation: rows.slice(2) }, 'answers')).toContain(
    '2 to measure on (2 prompts). 2 prompts of these are learned from too',
  )
})

test('one file has one kind', () => {
  const pair = { prompt: 'a', chosen: 'b', rejected: 'c' }
  const scored = { prompt: 'a', completion: 'b', score: 1 }
  expect(rewardKind([pair, pair])).toBe('pairs')
  expect(rewardKind([scored])).toBe('scores')
  expect(() => rewardKind([pair, pair, scored], 'a.jsonl')).toThrow(
    'a.jsonl: row 1 is a pair, row 3 an answer with a score',
  )
})
