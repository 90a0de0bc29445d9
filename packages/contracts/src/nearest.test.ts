import fc from 'fast-check'
import { expect, test } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

test('edit distance is a metric', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b, c) => {
      expect(editDistance(a, a)).toBe(0)
      expect(editDistance(a, b)).toBe(editDistance(b, a))
      expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c))
    }),
  )
})

test('the nearest name forgives a slip and refuses a stranger', () => {
  expect(nearest('promt', ['prompt', 'completion'])).toBe('prompt')
  expect(nearest('max_step', ['max_steps', 'seed'])).toBe('max_steps')
  expect(nearest('zebra', ['prompt', 'completion'])).toBeUndefined()
})
