import { createRandom } from '@plumbline/engine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type DetectorState,
  detection,
  klBernoulli,
  observe,
  parseDetector,
  restart,
  startDetector,
} from './e-detector.ts'

const rates = { falseAlarmsPerYear: 4, observationsPerYear: 365_000 }
const start = () => startDetector({ baseline: { estimate: 0.02, upper: 0.0214 }, ...rates })
/** A sum of evidences that is not in logarithms must not overflow. */
const smallBatch = fc.integer({ min: 0, max: 20 }).chain((n) => fc.record({ hits: fc.nat(n), n: fc.constant(n) }))
const batch = fc.integer({ min: 0, max: 300 }).chain((n) => fc.record({ hits: fc.nat(n), n: fc.constant(n) }))
const read = (state: DetectorState) => {
  const reading = detection(state)
  if (reading.status !== 'ok') throw new Error(reading.reason)
  return reading
}

test('answer by answer it is the Shiryaev–Roberts recursion of the paper', () => {
  const random = createRandom(2)
  let state = start()
  const plain = state.alternatives.map(() => 0)
  for (let i = 0; i < 300; i++) {
    const hit = random.uniform() < 0.1
    state = observe(state, { hits: hit ? 1 : 0, n: 1 })
    state.alternatives.forEach(({ rate }, k) => {
      plain[k] = (plain[k] + 1) * (hit ? rate / state.upper : (1 - rate) / (1 - state.upper))
    })
  }
  const sum = state.alternatives.reduce((total, { weight }, k) => total + weight * plain[k], 0)
  expect(read(state).evidence).toBeCloseTo(Math.log(sum), 9)
})

test('while the rate is the upper bound, evidence grows by one an answer on average, whatever the batches', () => {
  // E[R] after a batch is R + n: summed over all outcomes of a batch of six.
  fc.assert(
    fc.property(fc.array(smallBatch, { maxLength: 4 }), (before) => {
      const state = before.reduce(observe, start())
      const n = 6
      const total = ({ alternatives }: DetectorState) =>
        alternatives.reduce((sum, { weight, evidence }) => sum + weight * Math.expm1(evidence), 0)
      let [mean, choose] = [0, 1]
      for (let hits = 0; hits <= n; hits++) {
        mean += choose * state.upper ** hits * (1 - state.upper) ** (n - hits) * total(observe(state, { hits, n }))
        choose = (choose * (n - hits)) / (hits + 1)
      }
      expect(mean / (total(state) + n)).toBeCloseTo(1, 8)
    }),
  )
})

test('weights sum to one, and each alternative is above the bound', () => {
  const baselines = fc
    .tuple(fc.double({ min: 0, max: 0.85, noNaN: true }), fc.double({ min: 1e-6, max: 0.04, noNaN: true }))
    .map(([estimate, margin]) => ({ estimate, upper: estimate + margin }))
  fc.assert(
    fc.property(baselines, fc.double({ min: 1.01, max: 50, noNaN: true }), (baseline, smallestRise) => {
      const { alternatives, upper } = startDetector({ baseline, smallestRise, ...rates })
      expect(alternatives.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 9)
      for (const { rate } of alternatives) {
        expect(rate).toBeGreaterThan(upper)
        expect(rate).toBeLessThan(1)
      }
      expect(
        parseDetector(JSON.parse(JSON.stringify(startDetector({ baseline, smallestRise, ...rates })))),
      ).toBeTruthy()
    }),
  )
})

test('stored and read again at any moment it goes on as if nothing had been', () => {
  fc.assert(
    fc.property(fc.array(batch, { minLength: 1, maxLength: 12 }), (batches) => {
      const stored = batches.reduce(
        (state: DetectorState, one) => parseDetector(JSON.parse(JSON.stringify(observe(state, one)))),
        start(),
      )
      expect(stored).toEqual(batches.reduce(observe, start()))
    }),
  )
})

test('missing data and empty batches change nothing', () => {
  const state = observe(start(), { hits: 3, n: 100 })
  expect(observe(state, { hits: 0, n: 0 })).toBe(state)
  expect(detection(start())).toEqual({ status: 'no data', reason: 'No answer was judged since the detector began.' })
})

test('ten times the rate is found within a day, and a restart forgets it', () => {
  let state = start()
  let batches = 0
  for (; !(state.n > 0 && read(state).isAlarm); batches++) state = observe(state, { hits: 8, n: 40 })
  expect(batches * 40).toBeLessThanOrEqual(200)
  expect(read(state).likeliestRate).toBeGreaterThan(0.1)
  expect(restart(state)).toEqual(start())
})

test('a huge batch overflows nothing, either way', () => {
  const bad = read(observe(start(), { hits: 500_000, n: 1_000_000 }))
  expect(bad.isAlarm).toBe(true)
  expect(Number.isFinite(bad.evidence)).toBe(true)
  const good = read(observe(start(), { hits: 0, n: 1_000_000 }))
  expect(good.isAlarm).toBe(false)
  expect(Number.isFinite(good.evidence)).toBe(true)
})

test('divergence by hand', () => {
  expect(klBernoulli(0.024, 0.02)).toBeCloseTo(0.024 * Math.log(1.2) + 0.976 * Math.log(0.976 / 0.98), 15)
})

test('what cannot be is refused with what to do', () => {
  const baseline = { estimate: 0.02, upper: 0.0214 }
  expect(() => startDetector({ baseline, falseAlarmsPerYear: 0, observationsPerYear: 10 })).toThrow('above 0')
  expect(() => startDetector({ baseline, ...rates, smallestRise: 1 })).toThrow('above 1')
  expect(() => startDetector({ baseline: { estimate: 0.9, upper: 0.95 }, ...rates })).toThrow('no rise')
  expect(() => observe(start(), { hits: 2, n: 1 })).toThrow('2 of 1')
  expect(() => parseDetector({ ...start(), threshold: null })).toThrow('threshold')
  expect(() => parseDetector('{}')).toThrow('detector')
})
