import { expect, test } from 'vitest'
import { duration, percent, percentRange, points, pointsRange, pValue, shortNumber } from './numbers.ts'

test('percent: a digit more at the edges, never 0 or 100 for what is not', () => {
  const shown = [0, 0.0004, 0.004, 0.0167, 0.1, 0.934, 0.995, 0.9999, 1].map((value) =>
    percent(value).replace('\u202f', ' '),
  )
  expect(shown).toEqual(['0 %', '<0.1 %', '0.4 %', '1.7 %', '10 %', '93 %', '99.5 %', '>99.9 %', '100 %'])
  expect(percentRange({ value: 0.1, low: 0.083, high: 0.166 })).toBe('8.3–\u206017\u202f%')
})

test('points carry their sign', () => {
  expect([0.017, -0.8167, 0, -0.0001].map(points)).toEqual(['+1.7', '−82', '0', '0'])
  expect(pointsRange({ value: 0, low: -0.05, high: 0.05 })).toBe('−5 to +5 points')
})

test('numbers keep about three digits', () => {
  const values = [0, 0.012345, 1.23456, -12.3456, 123.456, 12345.6, 1.5e8, 2e-7, Number.NaN]
  expect(values.map(shortNumber)).toEqual(['0', '0.0123', '1.23', '−12.3', '123', '12,346', '1.5e8', '2.0e−7', '–'])
})

test('durations and p values', () => {
  expect([3.21, 48, 185, 3599.7, 4320].map((seconds) => duration(seconds).replaceAll('\u202f', ' '))).toEqual([
    '3.2 s',
    '48 s',
    '3 min 05 s',
    '1 h 00 min',
    '1 h 12 min',
  ])
  expect([1e-9, 0.0214, 0.2187].map(pValue)).toEqual(['<0.001', '0.021', '0.22'])
})
