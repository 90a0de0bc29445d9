import { createRandom } from '@plumbline/engine'
import { wilson } from '@plumbline/evals'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { betaBinomialBounds, rateSequence } from './confidence-sequence.ts'
import { golden } from './golden.test-support.ts'

const count = fc.integer({ min: 1, max: 5000 }).chain((n) => fc.record({ hits: fc.nat(n), n: fc.constant(n) }))

test("the martingale's roots, as scipy finds them", () => {
  for (const { hits, n, alpha, low, high } of golden.sequence) {
    const bounds = betaBinomialBounds({ hits, n }, alpha)
    expect(bounds.low).toBeCloseTo(low, 9)
    expect(bounds.high).toBeCloseTo(high, 9)
  }
})

test('it holds its estimate, mirrors, and is wider than an interval for one look', () => {
  fc.assert(
    fc.property(count, ({ hits, n }) => {
      const { low, estimate, high } = betaBinomialBounds({ hits, n }, 0.05)
      expect(low).toBeLessThanOrEqual(estimate)
      expect(high).toBeGreaterThanOrEqual(estimate)
      expect(betaBinomialBounds({ hits: n - hits, n }, 0.05).low).toBeCloseTo(1 - high, 8)
      const once = wilson({ hits, n })
      expect(high - low).toBeGreaterThan(once.high - once.low)
    }),
  )
})

test('a rate of 5 % stays inside at all of 2,000 looks in at least 95 of 100 streams', () => {
  const random = createRandom(11)
  let missed = 0
  const streams = 200
  for (let stream = 0; stream < streams; stream++) {
    let hits = 0
    for (let n = 1; n <= 2000; n++) {
      if (random.uniform() < 0.05) hits++
      // Every look counts; most cannot miss, so bounds are computed where the estimate is far off.
      if (Math.abs(hits / n - 0.05) < 1.5 * Math.sqrt(0.0475 / n)) continue
      const { low, high } = betaBinomialBounds({ hits, n }, 0.05)
      if (low <= 0.05 && high >= 0.05) continue
      missed++
      break
    }
  }
  // 5 % allowed; 3.1 standard errors above it would be 20 of 200.
  expect(missed).toBeLessThanOrEqual(10)
})

test('nothing judged is no rate', () => {
  const reading = rateSequence({ hits: 0, n: 0 })
  expect(reading).toEqual({ status: 'no data', reason: 'No answer was judged.' })
  expect(rateSequence({ hits: 0, n: 20 })).toMatchObject({ status: 'ok', estimate: 0, low: 0, n: 20 })
  expect(() => rateSequence({ hits: 3, n: 2 })).toThrow('3 of 2')
  expect(() => rateSequence({ hits: 1, n: 2 }, { confidence: 95 })).toThrow('confidence 95')
})
