import { expect, test } from 'vitest'
import { formatNumber, formatSeconds, formatShare } from './format.ts'

test('numbers have about three digits that say something', () => {
  const texts = [0, 0.01234, -2.5, 1234.5, 0.00000123, 4e9, 12.345, -0.5].map(formatNumber)
  expect(texts).toEqual(['0', '0.0123', '-2.5', '1,235', '1.2e-6', '4.0e9', '12.3', '-0.5'])
})

test('seconds become what a person would say', () => {
  expect([0.4, 59, 61, 404.97, 3600, 7290].map(formatSeconds)).toEqual([
    '0 s',
    '59 s',
    '1 min 1 s',
    '6 min 45 s',
    '1 h 0 min',
    '2 h 1 min',
  ])
})

test('a share has as many digits on both sides of ten per cent', () => {
  expect([0.0234, 0.0999, 0.09996, 0.1, 1].map(formatShare)).toEqual([
    '2.34 %',
    '9.99 %',
    '10.0 %',
    '10.0 %',
    '100.0 %',
  ])
})
