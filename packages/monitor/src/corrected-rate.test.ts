import { createRandom } from '@plumbline/engine'
import { type Count, clopperPearson } from '@plumbline/evals'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { correctedRate, meldedInterval } from './corrected-rate.ts'
import { golden } from './golden.test-support.ts'

const count = ([hits, n]: readonly number[]): Count => ({ hits, n })
const perfect = { hits: 1_000_000, n: 1_000_000 }

test('limits as two million draws of each confidence distribution give them', () => {
  for (const { observed, sensitivity, specificity, alpha, low, high } of golden.melded) {
    const error = { sensitivity: count(sensitivity), specificity: count(specificity) }
    const found = meldedInterval(count(observed), error, alpha)
    expect(Math.abs(found.low - low)).toBeLessThan(3e-4)
    expect(Math.abs(found.high - high)).toBeLessThan(3e-4)
  }
})

test('with a grader that is known to be perfect it is Clopper–Pearson', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
      const hits = Math.round(n * share)
      const { low, high } = meldedInterval({ hits, n }, { sensitivity: perfect, specificity: perfect }, 0.05)
      const exact = clopperPearson({ hits, n })
      expect(Math.abs(low - exact.low)).toBeLessThan(1e-3)
      expect(Math.abs(high - exact.high)).toBeLessThan(1e-3)
    }),
    { numRuns: 30 },
  )
})

test('a rare rate and 30 and 300 calibration rows: at least 94 of 100 intervals hold it', () => {
  const random = createRandom(3)
  const draw = (n: number, p: number) => {
    let hits = 0
    for (let i = 0; i < n; i++) if (random.uniform() < p) hits++
    return { hits, n }
  }
  let covered = 0
  const runs = 400
  for (let run = 0; run < runs; run++) {
    const error = { sensitivity: draw(30, 0.7), specificity: draw(300, 0.995) }
    const reading = correctedRate(draw(1000, 0.02 * 0.7 + 0.98 * 0.005), error)
    if (reading.status === 'ok' && reading.low <= 0.02 && reading.high >= 0.02) covered++
  }
  expect(covered / runs).toBeGreaterThanOrEqual(0.94)
})

test('each state is said as such', () => {
  const calibration = { sensitivity: { hits: 90, n: 100 }, specificity: { hits: 95, n: 100 } }
  expect(correctedRate({ hits: 0, n: 0 }, calibration)).toEqual({ status: 'no data', reason: 'No answer was judged.' })
  expect(correctedRate({ hits: 5, n: 10 }, undefined)).toMatchObject({ status: 'uncalibrated', raw: { estimate: 0.5 } })
  const useless = { sensitivity: { hits: 1, n: 2 }, specificity: { hits: 1, n: 2 } }
  expect(correctedRate({ hits: 5, n: 10 }, useless)).toMatchObject({ status: 'error', code: 'UNUSABLE_GRADER' })
  const reading = correctedRate({ hits: 55, n: 100 }, calibration)
  expect(reading).toMatchObject({ status: 'ok', hits: 55, n: 100, raw: { estimate: 0.55 } })
  if (reading.status === 'ok') expect(reading.estimate).toBeCloseTo((0.55 + 0.95 - 1) / 0.85, 12)
})
