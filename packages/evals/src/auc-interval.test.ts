import { expect, test } from 'vitest'
import { auc, aucInterval } from './agreement.ts'

const forecasts = [0.1, 0.2, 0.2, 0.35, 0.4, 0.4, 0.55, 0.6, 0.7, 0.9].map((score, i) => ({
  score,
  happened: [2, 4, 6, 8, 9].includes(i),
}))

test('DeLong’s interval by its definition: shares of the other class that each item beats', () => {
  const of = (wanted: boolean) => forecasts.filter(({ happened }) => happened === wanted).map(({ score }) => score)
  const beats = (a: number, b: number) => (a > b ? 1 : a === b ? 0.5 : 0)
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const spread = (values: number[]) => {
    const middle = mean(values)
    return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1) / values.length
  }
  const [positives, negatives] = [of(true), of(false)]
  const variance =
    spread(positives.map((a) => mean(negatives.map((b) => beats(a, b))))) +
    spread(negatives.map((b) => mean(positives.map((a) => beats(a, b)))))
  const { estimate, low, high } = aucInterval(forecasts)
  expect(estimate).toBeCloseTo(auc(forecasts), 12)
  const logit = (p: number) => Math.log(p / (1 - p))
  const half = (1.959963985 * Math.sqrt(variance)) / (estimate * (1 - estimate))
  expect(logit(high) - logit(estimate)).toBeCloseTo(half, 6)
  expect(logit(estimate) - logit(low)).toBeCloseTo(half, 6)
})

test('a perfect separation of a few is not certain', () => {
  const apart = [1, 2, 3, 4].map((score) => ({ score, happened: score > 2 }))
  const { estimate, low, high } = aucInterval(apart)
  expect([estimate, high]).toEqual([1, 1])
  expect(low).toBeLessThan(0.5)
})
