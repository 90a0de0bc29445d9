import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expectClose, golden } from './golden.test-support.ts'
import { evaluatePairs, evaluateScores, evaluationMetrics } from './reward-evaluation.ts'

test('pairs: loss, accuracy, margin and mean reward are TRL’s', () => {
  for (const { chosen, rejected, margins, centerRewardsCoefficient, ...expected } of golden.reward) {
    const found = evaluatePairs(chosen, rejected, {
      margins: margins ?? chosen.map(() => 0),
      centerRewardsCoefficient,
    })
    expectClose(
      [found.loss, found.accuracy.value, found.margin.value, found.mean_reward],
      [expected.loss, expected.accuracy, expected.margin, expected.mean_reward],
    )
  }
})

test('scores: the mean squared error of torch', () => {
  const { rewards, scores, loss } = golden.rewardScores
  expectClose([evaluateScores(rewards, scores).mse], [loss])
})

const logit = (p: number) => Math.log(p / (1 - p))

test('calibration by hand: three of four right at 0.75, one of two at 0.95', () => {
  const differences = [...[1, 1, 1, -1].map((side) => side * logit(0.75)), logit(0.95), -logit(0.95)]
  const found = evaluatePairs(
    differences,
    differences.map(() => 0),
    { margins: differences.map(() => 0), centerRewardsCoefficient: 0 },
  )
  expect(found.ece).toBeCloseTo((2 / 6) * 0.45, 10)
  expect(found.brier_score).toBeCloseTo((3 * 0.25 ** 2 + 0.75 ** 2 + 0.05 ** 2 + 0.95 ** 2) / 6, 10)
  expect(found.calibration.map(({ n }) => n)).toEqual([4, 2])
  expect(found.calibration[0]).toMatchObject({ predicted: expect.closeTo(0.75, 10), observed: { value: 0.75 } })
  // Too sure on the whole, so that halving what it says fits better.
  expect(found.temperature).toBeGreaterThan(1)
})

test('scaling all rewards by the temperature calibrates them: what is left to fit is 1', () => {
  const differences = fc.array(fc.integer({ min: -30, max: 50 }), { minLength: 4, maxLength: 40 })
  fc.assert(
    fc.property(differences, (tenths) => {
      const evaluate = (scale: number) =>
        evaluatePairs(
          tenths.map((x) => x / 10 / scale),
          tenths.map(() => 0),
          { margins: tenths.map(() => 0), centerRewardsCoefficient: 0 },
        )
      const { temperature, loss } = evaluate(1)
      if (temperature === null || temperature > 1e3) return
      const scaled = evaluate(temperature)
      expect(scaled.temperature).toBeCloseTo(1, 6)
      expect(scaled.loss).toBeLessThanOrEqual(loss + 1e-12)
    }),
  )
})

test('one pair has a margin without an interval; a constant has no correlation, and no metric of it', () => {
  const one = evaluatePairs([1], [0], { margins: [0], centerRewardsCoefficient: 0 })
  expect(one.margin).toEqual({ value: 1, low: null, high: null })
  expect(Object.keys(evaluationMetrics(one))).toEqual([
    'eval_loss',
    'eval_accuracy',
    'eval_margin',
    'eval_ece',
    'eval_brier_score',
    'eval_min_reward',
    'eval_mean_reward',
    'eval_max_reward',
  ])
  expect(evaluationMetrics(one)).toMatchObject({ eval_min_reward: 0, eval_mean_reward: 0.5, eval_max_reward: 1 })
  const constant = evaluateScores([1, 1], [0, 4])
  expect(constant).toMatchObject({ mse: 5, pearson: null, spearmanr: null })
  expect(evaluationMetrics(constant)).toEqual({
    eval_loss: 5,
    eval_mse: 5,
    eval_min_reward: 1,
    eval_mean_reward: 1,
    eval_max_reward: 1,
  })
  expect(evaluationMetrics(evaluateScores([1, 2, 4], [10, 20, 40]))).toMatchObject({
    eval_pearson: expect.closeTo(1, 10),
    eval_spearmanr: expect.closeTo(1, 10),
  })
})
