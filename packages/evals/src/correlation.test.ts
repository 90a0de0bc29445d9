import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pearson, spearman } from './correlation.ts'

test('numbers by hand', () => {
  const [x, y] = [
    [1, 2, 3, 4, 5],
    [2, 1, 4, 3, 7],
  ]
  expect(pearson(x, y)).toBeCloseTo(12 / Math.sqrt(10 * 21.2), 12)
  // 1 − 6 Σd² / n(n² − 1)
  expect(spearman(x, y)).toBeCloseTo(1 - (6 * 4) / (5 * 24), 12)
  // Ranks 1.5, 1.5, 3, 4 beside 1, 3, 3, 3.
  expect(spearman([1, 1, 2, 3], [0, 8, 8, 8])).toBeCloseTo(2 / Math.sqrt(4.5 * 3), 12)
})

const series = fc
  .array(fc.tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -50, max: 50 })), {
    minLength: 2,
    maxLength: 30,
  })
  .map((pairs) => [pairs.map(([x]) => x), pairs.map(([, y]) => y)] as const)

test('correlation is symmetric, bounded, and blind to shift and scale; ranks to any rising change', () => {
  fc.assert(
    fc.property(series, ([x, y]) => {
      for (const correlation of [pearson, spearman]) {
        const found = correlation(x, y)
        if (found === undefined) {
          expect(new Set(x).size === 1 || new Set(y).size === 1).toBe(true)
          continue
        }
        expect(Math.abs(found)).toBeLessThanOrEqual(1)
        expect(correlation(y, x)).toBeCloseTo(found, 10)
        expect(
          correlation(
            x.map((number) => 3 * number - 7),
            y,
          ),
        ).toBeCloseTo(found, 10)
        expect(
          correlation(
            x.map((number) => -number),
            y,
          ),
        ).toBeCloseTo(-found, 10)
      }
      const risen = spearman(
        x.map((number) => Math.exp(number / 10)),
        y,
      )
      const plain = spearman(x, y)
      expect(risen === undefined).toBe(plain === undefined)
      if (plain !== undefined) expect(risen).toBeCloseTo(plain, 10)
    }),
  )
})

test('a series that does not vary has no correlation', () => {
  expect(pearson([0.1, 0.1, 0.1], [1, 2, 3])).toBeUndefined()
  expect(spearman([1, 2, 3], [5, 5, 5])).toBeUndefined()
  expect(() => pearson([1], [])).toThrow('pair up')
})
