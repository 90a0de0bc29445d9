import { expect, test } from 'vitest'
import { inTrainingOrder, readPreferences, readPrompts, select } from './rows.ts'

test('rows are selected in their order, those that cannot be learned from left out, until there are enough', () => {
  const { rows, columns } = select([1, 2, 3, 4, 5], 2, (row) => (row % 2 === 0 ? row * 10 : undefined))
  expect([rows, columns]).toEqual([
    [2, 4],
    [20, 40],
  ])
})

test('the training order is a permutation that the seed decides', () => {
  const rows = Array.from({ length: 20 }, (_, i) => i)
  const ordered = inTrainingOrder(rows, 4, 42)
  expect(ordered.toSorted((a, b) => a - b)).toEqual(rows)
  expect(ordered).toEqual(inTrainingOrder(rows, 4, 42))
  expect(ordered).not.toEqual(inTrainingOrder(rows, 4, 43))
})

test('prompts of the example set are distinct and of every kind; absent data is no error', () => {
  expect(new Set(readPrompts(16).map(({ prompt }) => JSON.stringify(prompt))).size).toBe(16)
  expect(readPreferences('/nowhere/hh-harmless.jsonl.gz')).toBeUndefined()
})
