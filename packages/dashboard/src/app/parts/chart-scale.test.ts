import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatNumber } from '../format.ts'
import { linePieces, niceTop, ticksAround, tickTexts, topOf } from './chart-scale.ts'

test('the top of a scale is 1, 2 or 5 times a power of ten, and not more than needed', () => {
  expect([0, 0.03, 0.05, 1, 7, 999, Number.NaN].map((largest) => niceTop(largest))).toEqual([
    1, 0.05, 0.05, 1, 10, 1000, 1,
  ])
  fc.assert(
    fc.property(fc.double({ min: 1e-9, max: 1e12, noNaN: true }), (largest) => {
      const top = niceTop(largest)
      expect(top).toBeGreaterThanOrEqual(largest * (1 - 1e-12))
      expect(top / largest).toBeLessThanOrEqual(2.5 + 1e-9)
    }),
  )
})

test('a day without a number breaks line and band; it is not drawn as zero', () => {
  const point = (value: number | null) => ({ day: '2026-01-01', value, low: value, high: value })
  const { lines, bands } = linePieces([point(0.1), point(null), point(0.2), point(0.3)])
  expect(lines).toEqual([
    [[0, 0.1]],
    [
      [2, 0.2],
      [3, 0.3],
    ],
  ])
  expect(bands.map(({ length }) => length)).toEqual([2, 4])
})

test('wide bands do not press the line to the ground; where all is zero they are all there is to see', () => {
  const point = (value: number, high: number) => ({ day: '2026-01-01', value, low: 0, high })
  expect(topOf([point(0.01, 0.9), point(0.02, 0.03)])).toBeCloseTo(0.08)
  expect(topOf([point(0.01, 0.02)])).toBe(0.02)
  expect(topOf([point(0, 0.3)])).toBeCloseTo(0.3)
  expect(topOf([point(0.26, 0.585)])).toBeCloseTo(0.6)
  expect(topOf([])).toBe(1)
})

test('ticks are three to six round values that hold the range between them', () => {
  expect(ticksAround(0.9, 3.2)).toEqual([0, 1, 2, 3, 4])
  expect(ticksAround(-2, -2)).toHaveLength(5)
  expect(ticksAround(0, 0)).toEqual([-0.5, 0, 0.5])
  const value = fc.double({ min: -1e100, max: 1e100, noNaN: true })
  fc.assert(
    fc.property(value, value, (a, b) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)]
      const ticks = ticksAround(low, high)
      const room = (ticks.at(-1)! - ticks[0]) * 1e-6
      expect(ticks.length).toBeGreaterThanOrEqual(3)
      expect(ticks.length).toBeLessThanOrEqual(6)
      expect(ticks[0]).toBeLessThanOrEqual(low + room)
      expect(ticks.at(-1)!).toBeGreaterThanOrEqual(high - room)
    }),
  )
})

test('no two ticks say the same', () => {
  expect(tickTexts([0, 0.5, 1], formatNumber)).toEqual(['0', '0.5', '1'])
  expect(tickTexts(ticksAround(0.99991, 1.00013), formatNumber)).toEqual(['0.9999', '1.0000', '1.0001', '1.0002'])
  expect(new Set(tickTexts(ticksAround(12_340.1, 12_340.9), formatNumber)).size).toBeGreaterThan(2)
})
