/** What stands in metrics.jsonl: TRL's names, each finite, and what we add. Those of PPO are in ppo-bugs.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { trainers, writeModels } from './registry.ts'
import { firstRewards, newFolder, pairs, reward } from './reward-runs.ts'
import { writeTinyRewardModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-metrics-'))
beforeAll(() => writeModels(base))
afterAll(() => rmSync(base, { recursive: true, force: true }))

const always = ['global_step', 'epoch', 'loss', 'learning_rate', 'grad_norm', 'num_tokens']
const measured = ['global_step', 'epoch', 'eval_loss']
const rewards = ['min_reward', 'mean_reward', 'max_reward']
const heldRewards = rewards.map((name) => `eval_${name}`)

test.each([
  ['sft', ['entropy', 'mean_token_accuracy'], ['eval_entropy', 'eval_mean_token_accuracy']],
  [
    'reward',
    ['accuracy', 'margin', ...rewards],
    ['eval_accuracy', 'eval_margin', ...heldRewards, 'eval_ece', 'eval_brier_score'],
  ],
  ['reward from scores', ['mse', ...rewards], ['eval_mse', ...heldRewards, 'eval_pearson', 'eval_spearmanr']],
] as const)('%s', async (name, ours, held) => {
  const { metrics } = await trainers[name].run({ models: base, folder: join(base, name) })
  const [evaluated, trained] = [true, false].map((isEvaluated) =>
    metrics.filter((line) => 'eval_loss' in line === isEvaluated),
  )
  expect(trained).toHaveLength(5)
  expect(evaluated.length).toBeGreaterThan(1)
  for (const line of trained) expect(Object.keys(line).toSorted()).toEqual([...always, ...ours].toSorted())
  for (const line of evaluated) expect(Object.keys(line).toSorted()).toEqual([...measured, ...held].toSorted())
  for (const line of metrics) expect(Object.values(line).every(Number.isFinite)).toBe(true)
})

test('min_reward and max_reward are of all answers of a step, and their means over the steps of a line', async () => {
  const path = newFolder()
  await writeTinyRewardModel(path)
  const first = await firstRewards(path)
  // Two steps of two pairs, so small that nothing changes, in one line; pairs alone in their micro-batches.
  const still = { learning_rate: 1e-12, per_device_train_batch_size: 2, max_steps: 2, logging_steps: 2 }
  const { metrics } = await reward(path, { ...still, micro_batch_tokens: 1 })
  expect(metrics).toHaveLength(1)
  const { min_reward, mean_reward, max_reward } = metrics[0]
  const all = first.flat()
  expect(mean_reward).toBeCloseTo(all.reduce((sum, x) => sum + x, 0) / all.length, 4)
  const meansBySplit = pairs.slice(1).map((_, i) => {
    const own = [first[0], first[i + 1]].flat()
    const others = first.filter((_, index) => index !== 0 && index !== i + 1).flat()
    return [Math.min, Math.max].map((end) => (end(...own) + end(...others)) / 2)
  })
  const distances = meansBySplit.map(([low, high]) => Math.abs(low - min_reward) + Math.abs(high - max_reward))
  expect(Math.min(...distances)).toBeLessThan(1e-4)
})
