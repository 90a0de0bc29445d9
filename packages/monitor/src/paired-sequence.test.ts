import { createRandom } from '@plumbline/engine'
import { expect, test } from 'vitest'
import { betaBinomialBounds } from './confidence-sequence.ts'
import { pairedSequence } from './paired-sequence.ts'

const rates = (...strata: Parameters<typeof pairedSequence>[0]) => {
  const found = pairedSequence(strata)
  if (found.status !== 'ok') throw new Error(found.reason)
  return found
}

test('one stratum: sums and differences of two confidence sequences', () => {
  const { flipRate, gap, isGap } = rates({ probability: 0.1, pairs: 400, onlyFirst: 40, onlySecond: 4 })
  const [a, b] = [40, 4].map((hits) => betaBinomialBounds({ hits, n: 400 }, 0.025 * 0.75))
  expect(flipRate.estimate).toBeCloseTo(0.11, 12)
  const ends = [flipRate.low, flipRate.high, gap.low, gap.high]
  for (const [i, end] of [a.low + b.low, a.high + b.high, a.low - b.high, a.high - b.low].entries())
    expect(ends[i]).toBeCloseTo(end, 9)
  expect(gap.estimate).toBeCloseTo(0.09, 12)
  expect(isGap).toBe(true)
})

test('pairs that were drawn seldom stand for more', () => {
  const { gap } = rates(
    { probability: 0.1, pairs: 100, onlyFirst: 20, onlySecond: 0 },
    { probability: 1, pairs: 100, onlyFirst: 0, onlySecond: 0 },
  )
  expect(gap.estimate).toBeCloseTo((1000 * 0.2) / 1100, 12)
})

test('no pairs are no data, and impossible counts are refused', () => {
  expect(pairedSequence([])).toMatchObject({ status: 'no data' })
  expect(pairedSequence([{ probability: 1, pairs: 0, onlyFirst: 0, onlySecond: 0 }]).status).toBe('no data')
  expect(() => pairedSequence([{ probability: 1, pairs: 3, onlyFirst: 2, onlySecond: 2 }])).toThrow('cannot be')
  expect(() => pairedSequence([{ probability: 0, pairs: 3, onlyFirst: 2, onlySecond: 0 }])).toThrow('probability 0')
})

test('looked at every ten pairs: of 300 runs at most one in twenty ever leaves the truth out', () => {
  const random = createRandom(11)
  const [a, b] = [0.08, 0.03]
  let missed = 0
  for (let run = 0; run < 300; run++) {
    const stratum = { probability: 0.5, pairs: 0, onlyFirst: 0, onlySecond: 0 }
    let isMissed = false
    while (stratum.pairs < 400) {
      const place = random.uniform()
      stratum.pairs++
      if (place < a) stratum.onlyFirst++
      else if (place < a + b) stratum.onlySecond++
      if (stratum.pairs % 10 !== 0) continue
      const { gap, flipRate } = rates({ ...stratum })
      isMissed ||= gap.low > a - b || gap.high < a - b || flipRate.low > a + b || flipRate.high < a + b
    }
    if (isMissed) missed++
  }
  expect(missed / 300).toBeLessThanOrEqual(0.05)
})
