import { createRandom } from '@plumbline/engine'
import type { Estimate } from '@plumbline/evals'
import { expect, test } from 'vitest'
import { rateSequence } from './confidence-sequence.ts'
import { shareAt, stratifiedRate } from './stratified-rate.ts'

const calibration = { sensitivity: { hits: 90, n: 100 }, specificity: { hits: 950, n: 1000 } }

test('one stratum is the plain rate, with a quarter of the error kept for others that may come', () => {
  const reading = stratifiedRate([{ answers: 1000, n: 200, hits: 20 }], undefined)
  if (reading.status !== 'ok') throw new Error(reading.reason)
  const { estimate, low, high } = rateSequence({ hits: 20, n: 200 }, { confidence: 1 - 0.05 * 0.75 }) as Estimate
  expect(reading.corrected).toBeUndefined()
  expect(reading.raw.estimate).toBe(estimate)
  expect(reading.raw.low).toBeCloseTo(low, 12)
  expect(reading.raw.high).toBeCloseTo(high, 12)
})

test('a stratum that comes later changes nothing of the error of those before it, and all together spend no more', () => {
  const first = { answers: 1000, n: 1000, hits: 20 }
  const band = (strata: Parameters<typeof stratifiedRate>[0]) => {
    const reading = stratifiedRate(strata, undefined)
    return reading.status === 'ok' ? reading.raw : undefined
  }
  // Of the later one nothing counts yet: the band is that of the first alone.
  expect(band([first, { answers: 0, n: 0, hits: 0 }])).toEqual(band([first]))
  // One that appeared earlier keeps its place while nothing of it is judged.
  expect(band([{ answers: 0, n: 0, hits: 0 }, first])!.high).toBeGreaterThan(band([first])!.high)
  const shares = Array.from({ length: 50 }, (_, place) => shareAt(place))
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(1)
})

test('answers count by how many they stand for, not by how many were judged', () => {
  // All 100 guarded ones were judged, and one in ten of 900 others.
  const strata = [
    { answers: 100, n: 100, hits: 50 },
    { answers: 900, n: 90, hits: 9 },
  ]
  const reading = stratifiedRate(strata, calibration)
  if (reading.status !== 'ok') throw new Error(reading.reason)
  expect(reading.raw.estimate).toBeCloseTo(0.14, 12)
  expect(reading.corrected!.estimate).toBeCloseTo((0.14 + 0.95 - 1) / 0.85, 12)
  expect(reading.corrected!.high).toBeGreaterThan(reading.raw.estimate)
})

test('over many draws the weighted rate is right on average and its band covers', () => {
  const random = createRandom(7)
  const draw = (answers: number, probability: number, rate: number) => {
    let [n, hits] = [0, 0]
    for (let i = 0; i < answers; i++) {
      if (random.uniform() >= probability) continue
      n++
      if (random.uniform() < rate) hits++
    }
    return { answers, n, hits }
  }
  const truth = (200 * 0.4 + 1800 * 0.03) / 2000
  const runs = 400
  let [sum, covered] = [0, 0]
  for (let run = 0; run < runs; run++) {
    const reading = stratifiedRate([draw(200, 1, 0.4), draw(1800, 0.1, 0.03)], undefined)
    if (reading.status !== 'ok') throw new Error(reading.reason)
    sum += reading.raw.estimate
    covered += Number(reading.raw.low <= truth && truth <= reading.raw.high)
  }
  expect(Math.abs(sum / runs - truth)).toBeLessThan(0.002)
  expect(covered / runs).toBeGreaterThanOrEqual(0.95)
})

test('no answers are no data, none judged is not evaluated, what nobody looked at widens the band', () => {
  expect(stratifiedRate([], undefined).status).toBe('no data')
  expect(stratifiedRate([{ answers: 5, n: 0, hits: 0 }], undefined).status).toBe('not evaluated')
  const seen = { answers: 500, n: 500, hits: 5 }
  const half = stratifiedRate([seen, { answers: 500, n: 0, hits: 0 }], undefined)
  expect(half).toMatchObject({ status: 'ok', raw: { estimate: 0.01 } })
  expect(half.status === 'ok' && half.raw.high).toBeGreaterThan(0.5)
  const chance = { sensitivity: { hits: 50, n: 100 }, specificity: { hits: 50, n: 100 } }
  expect(stratifiedRate([seen], chance)).toMatchObject({ status: 'error', code: 'UNUSABLE_GRADER' })
  expect(() => stratifiedRate([{ answers: 1, n: 2, hits: 0 }], undefined)).toThrow(/cannot be more/)
})

test('fewer flags than the labelled texts had by mistake are no sure zero: the correction does not hold there', () => {
  const reading = stratifiedRate([{ answers: 2400, n: 2400, hits: 48 }], calibration)
  expect(reading).toMatchObject({ status: 'ok', raw: { estimate: 0.02 }, corrected: undefined })
  expect(reading.status === 'ok' && reading.reason).toMatch(/does not hold here/)
  expect(stratifiedRate([{ answers: 100, n: 100, hits: 5 }], calibration)).toMatchObject({ corrected: { low: 0 } })
})
