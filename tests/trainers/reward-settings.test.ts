/** What flags and columns of the reward trainer do, beside numbers that follow by hand. */
import { beforeAll, expect, test } from 'vitest'
import { firstRewards, newFolder, pairs, reward } from './reward-runs.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

const path = newFolder()
beforeAll(() => writeTinyRewardModel(path))

const meanOf = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
const softplus = (x: number) => Math.log1p(Math.exp(x))

test('the margin of a row is by how much its chosen answer has to be better; rows without one have 0', async () => {
  const margins = [0, 2, 0, 0.5]
  const rows = pairs.map((pair, i) => (margins[i] === 0 ? pair : { ...pair, margin: margins[i] }))
  const { metrics } = await reward(path, {}, rows)
  const differences = (await firstRewards(path)).map(([chosen, rejected]) => chosen - rejected)
  expect(metrics[0].loss).toBeCloseTo(meanOf(differences.map((difference, i) => softplus(margins[i] - difference))), 4)
  // What is told as the margin is what the model has, not what is asked of it.
  expect(metrics[0].margin).toBeCloseTo(meanOf(differences), 4)
})

test('center_rewards_coefficient weighs the square of what both answers of a pair have together', async () => {
  const losses: number[] = []
  for (const center_rewards_coefficient of [0, 0.1])
    losses.push((await reward(path, { center_rewards_coefficient })).metrics[0].loss)
  const squares = (await firstRewards(path)).map(([chosen, rejected]) => (chosen + rejected) ** 2)
  expect(meanOf(squares)).toBeGreaterThan(1)
  expect(losses[1] - losses[0]).toBeCloseTo(0.1 * meanOf(squares), 4)
})

test('a new score head has deviation 1/√(width + 1): the first loss is near ln 2', async () => {
  const wide = newFolder()
  await writeTinyModel(wide, { config: { hidden_size: 256, intermediate_size: 32 } })
  const heads: number[] = []
  const losses: number[] = []
  for (const seed of [1, 2, 3]) {
    const { result, metrics } = await reward(wide, { seed, learning_rate: 1e-12 })
    heads.push(...result.parameters.get('score.weight')!.data)
    losses.push(metrics[0].loss)
  }
  // Of 768 numbers: both within four standard errors.
  expect(Math.abs(meanOf(heads))).toBeLessThan((4 * 0.0624) / Math.sqrt(768))
  const deviation = Math.sqrt(meanOf(heads.map((weight) => weight ** 2)))
  expect(Math.abs(deviation * Math.sqrt(257) - 1)).toBeLessThan(4 / Math.sqrt(2 * 768))
  expect(Math.abs(meanOf(losses) - Math.LN2)).toBeLessThan(0.11)
})
