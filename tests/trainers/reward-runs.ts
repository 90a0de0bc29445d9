/** Reward models of two layers that learn from four pairs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TrainerWorld, trainReward } from '@plumbline/align'
import { rewardConfig } from '@plumbline/align/config'
import { createRewardScorer, loadLanguageModel } from '@plumbline/models'
import { afterAll } from 'vitest'
import { runInFolder } from './run-trainer.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-reward-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

let count = 0
export const newFolder = () => join(base, String(count++))
export const pairs = ['a', 'bcd', 'ef', 'ghijk'].map((prompt, i) => {
  return { prompt, chosen: 'y'.repeat(i + 1), rejected: 'no' }
})

/** One step from the model at `path`, on all rows. */
export async function reward(
  path: string,
  changes: Record<string, unknown> = {},
  rows: Parameters<typeof trainReward>[2]['train'] = pairs,
) {
  const config = rewardConfig.parse({
    max_steps: 1,
    logging_steps: 1,
    eval_fraction: 0,
    learning_rate: 0.01,
    ...changes,
  })
  const model = await loadLanguageModel(path)
  const train = (world: TrainerWorld) => trainReward(config, model, { train: rows }, world)
  const { result, metrics, error } = await runInFolder(newFolder(), 'reward', config, train)
  if (!result) throw error
  return { model, result, metrics }
}

/** What the model at `path` gives the chosen and the rejected answer of each pair. */
export async function firstRewards(path: string): Promise<(readonly [chosen: number, rejected: number])[]> {
  const { config, parameters, tokenizer } = await loadLanguageModel(path)
  const scorer = await createRewardScorer(config, parameters, { threads: 1 })
  const ids = (text: string) => [...tokenizer.encode(text), tokenizer.eosTokenId!]
  const rewards: [number, number][] = []
  for (const { prompt, chosen, rejected } of pairs) {
    // Each alone: padding beside a longer answer would show.
    const [[best], [worst]] = [
      await scorer.rewards([ids(prompt + chosen)]),
      await scorer.rewards([ids(prompt + rejected)]),
    ]
    rewards.push([best, worst])
  }
  await scorer.dispose()
  return rewards
}
