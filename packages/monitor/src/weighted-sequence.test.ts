import { createRandom } from '@plumbline/engine'
import { expect, test } from 'vitest'
import { golden } from './golden.test-support.ts'
import { observeWeighted, startWeighted, weightedRate } from './weighted-sequence.ts'

test("the sums of the paper's formulas, from numpy", () => {
  const { values, probabilities, smallest, middle, half } = golden.weighted
  let state = startWeighted({ smallestProbability: smallest })
  values.forEach((value, i) => {
    // A state that was stored goes on as if it had not been.
    state = JSON.parse(
      JSON.stringify(observeWeighted(state, { value: value ?? undefined, probability: probabilities[i] })),
    )
  })
  expect(state.betted / state.bets / smallest).toBeCloseTo(middle, 10)
  const reading = weightedRate(state)
  expect(reading).toMatchObject({ status: 'ok', n: 200, drawn: values.filter((value) => value !== null).length })
  if (reading.status === 'ok') expect(reading.high).toBeCloseTo(middle + half, 10)
})

test('drawing flagged answers more often does not move the rate', () => {
  const random = createRandom(5)
  let state = startWeighted({ smallestProbability: 0.2 })
  let plain = 0
  let judged = 0
  for (let i = 0; i < 40_000; i++) {
    const isHarmful = random.uniform() < 0.1
    const isFlagged = random.uniform() < (isHarmful ? 0.8 : 0.1)
    const probability = isFlagged ? 1 : 0.2
    const isDrawn = random.uniform() < probability
    state = observeWeighted(state, { value: isDrawn ? (isHarmful ? 1 : 0) : undefined, probability })
    if (isDrawn) [plain, judged] = [plain + (isHarmful ? 1 : 0), judged + 1]
  }
  const reading = weightedRate(state)
  if (reading.status !== 'ok') throw new Error(reading.reason)
  expect(plain / judged).toBeGreaterThan(0.2)
  expect(reading.estimate).toBeCloseTo(0.1, 1)
  expect(reading.low).toBeLessThan(0.1)
  expect(reading.high).toBeGreaterThan(0.1)
  expect(reading.high).toBeLessThan(0.15)
})

test('what cannot be is refused, and what was not drawn is no data', () => {
  const state = startWeighted({ smallestProbability: 0.5 })
  expect(weightedRate(state)).toMatchObject({ status: 'no data' })
  expect(weightedRate(observeWeighted(state, { value: undefined, probability: 0.5 }))).toEqual({
    status: 'no data',
    reason: 'None of 1 answers was drawn for judging.',
  })
  expect(() => observeWeighted(state, { value: 1, probability: 0.4 })).toThrow('probability 0.4')
  expect(() => observeWeighted(state, { value: 2, probability: 1 })).toThrow('value 2')
  expect(() => startWeighted({ smallestProbability: 0 })).toThrow('above 0')
})
