import { expect, test } from 'vitest'
import { answersNeeded, baseline } from './baseline.ts'

test('the upper bound is exact: rule of three, and one-sided', () => {
  const found = baseline({ hits: 0, n: 100 })
  expect(found).toMatchObject({ status: 'ok', estimate: 0, n: 100 })
  if (found.status === 'ok') expect(found.upper).toBeCloseTo(1 - 0.05 ** (1 / 100), 10)
  // scipy 1.17.1: beta.ppf(0.95, 601, 29400)
  const month = baseline({ hits: 600, n: 30_000 })
  if (month.status === 'ok') expect(month.upper).toBeCloseTo(0.021381148073, 11)
  expect(month.status).toBe('ok')
})

test('as many answers as are asked for leave half of the rise', () => {
  const n = answersNeeded({ rate: 0.02, rise: 1.2 })
  const found = baseline({ hits: Math.round(0.02 * n), n })
  if (found.status !== 'ok') throw new Error(found.reason)
  expect(found.upper).toBeCloseTo(0.022, 3)
  expect(answersNeeded({ rate: 0.02, rise: 1.4 })).toBeCloseTo(n / 4, -1)
})

test('no data has no bound; nonsense is refused', () => {
  expect(baseline({ hits: 0, n: 0 })).toEqual({
    status: 'no data',
    reason: 'The reference window has no judged answer.',
  })
  expect(() => baseline({ hits: 2, n: 1 })).toThrow('2 of 1')
  expect(() => baseline({ hits: 1, n: 2 }, { confidence: 0.3 })).toThrow('0.3')
  expect(() => answersNeeded({ rate: 0, rise: 1.2 })).toThrow('rate 0')
  expect(() => answersNeeded({ rate: 0.1, rise: 0.9 })).toThrow('above 1')
})
