import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expectClose, golden } from '../golden.test-support.ts'
import { rewardLoss, rewardScoreLoss } from './reward.ts'
import { compileLoss } from './run-loss.test-support.ts'

const pair = ['P'] as const

function pairs(centerRewardsCoefficient: number, hasMargins = true) {
  return compileLoss(
    { chosen: pair, rejected: pair, weights: pair, margins: pair },
    ({ chosen, rejected, weights, margins }) => ({
      ...rewardLoss(chosen, rejected, { weights, centerRewardsCoefficient, ...(hasMargins && { margins }) }),
    }),
    ['chosen', 'rejected'],
  )
}

test('loss, metrics and gradients are TRL’s', async () => {
  for (const { chosen, rejected, margins, gradients, ...expected } of golden.reward) {
    const program = await pairs(expected.centerRewardsCoefficient, margins !== null)
    const weights = chosen.map(() => 1 / chosen.length)
    const found = await program.run({ chosen, rejected, weights, margins: margins ?? weights })
    const { loss, accuracy, margin, meanReward } = found.values
    expectClose(
      [loss, accuracy, margin, meanReward],
      [expected.loss, expected.accuracy, expected.margin, expected.mean_reward],
    )
    expectClose(found.gradients.chosen, gradients.chosen, 'chosen')
    expectClose(found.gradients.rejected, gradients.rejected, 'rejected')
  }
})

test.each([
  ['no margin', 0, 0, 0.474077],
  ['margin 0.3', 0.3, 0, 0.598139],
  ['centring 0.01', 0, 0.01, 0.474077 + 0.0361],
])('rewards 1.2 and 0.7, %s', async (_, margin, centering, expected) => {
  const program = await pairs(centering)
  const { values } = await program.run({ chosen: [1.2], rejected: [0.7], weights: [1], margins: [margin] })
  expect(values.loss).toBeCloseTo(expected, 6)
})

test('equal rewards: ln 2, and a tie is no hit', async () => {
  const { values } = await (await pairs(0)).run({ chosen: [0], rejected: [0], weights: [1], margins: [0] })
  expect(values).toMatchObject({ loss: expect.closeTo(Math.LN2, 6), accuracy: 0, margin: 0 })
})

test('a hopeless pair costs its distance, not infinity', async () => {
  const { values } = await (await pairs(0)).run({ chosen: [-500], rejected: [500], weights: [1], margins: [0] })
  expect(values.loss).toBeCloseTo(1000, 3)
})

test('swapping the answers of a pair turns the gradients round; padding pairs count nowhere', async () => {
  const program = await pairs(0)
  const reward = fc.double({ min: -5, max: 5, noNaN: true })
  const junk = fc.constantFrom(1e18, -1e18, 0)
  const rows = fc.array(fc.tuple(reward, reward), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(rows, junk, async (list, pad) => {
      const side = (i: 0 | 1) => list.map((item) => item[i])
      const weights = list.map(() => 1 / list.length)
      const margins = list.map(() => 0)
      const plain = await program.run({ chosen: side(0), rejected: side(1), weights, margins })
      const swapped = await program.run({ chosen: side(1), rejected: side(0), weights, margins })
      // −log σ(d) and −log σ(−d) differ by d, and their slopes by d add up to −1
      expectClose([swapped.values.loss - plain.values.loss], [plain.values.margin])
      expectClose(
        plain.gradients.chosen.map((slope, i) => slope + swapped.gradients.chosen[i]),
        weights.map((weight) => -weight),
      )
      expectClose(
        plain.gradients.rejected,
        plain.gradients.chosen.map((slope) => -slope),
      )
      const padded = await program.run({
        chosen: [...side(0), pad],
        rejected: [...side(1), -pad],
        weights: [...weights, 0],
        margins: [...margins, pad],
      })
      const { loss, accuracy, margin, meanReward } = plain.values
      const found = padded.values
      expectClose([found.loss, found.accuracy, found.margin, found.meanReward], [loss, accuracy, margin, meanReward])
      expectClose(padded.gradients.chosen, [...plain.gradients.chosen, 0])
    }),
    { numRuns: 60 },
  )
})

test('from scores: the mean squared error of torch', async () => {
  const { rewards, scores, loss, gradient } = golden.rewardScores
  const program = await compileLoss(
    { rewards: pair, scores: pair, weights: pair },
    ({ rewards, ...rest }) => ({ loss: rewardScoreLoss(rewards, rest) }),
    ['rewards'],
  )
  const found = await program.run({ rewards, scores, weights: scores.map(() => 1 / scores.length) })
  expectClose([found.values.loss], [loss])
  expectClose(found.gradients.rewards, gradient)
})
