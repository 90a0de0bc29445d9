/**
 * PPO finds the known optimum of its objective. Answers have one token, so that everything can be summed up exactly:
 *
 *   J(π) = E[r(y)] − β·KL(π ‖ π_ref),   largest at π*(y) ∝ π_ref(y)·exp(r(y) / β),   J* = β·log Σ π_ref(y)·exp(r(y) / β)
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { trainPpo } from '@plumbline/align'
import { ppoConfig } from '@plumbline/align/config'
import { compile, type ParameterMap } from '@plumbline/engine'
import {
  buildForward,
  createRewardScorer,
  forwardFeeds,
  type LanguageModel,
  loadLanguageModel,
} from '@plumbline/models'
import { afterAll, expect, test } from 'vitest'
import { runInFolder } from './run-trainer.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-ppo-learns-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

const prompt = 'a'
const klCoef = 0.5
const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0)

/** Probabilities of the answers. */
async function answersOf({ config, tokenizer }: LanguageModel, parameters: ParameterMap): Promise<number[]> {
  const forward = buildForward(config)
  const program = await compile(forward.graph, { logits: forward.logits() }, { threads: 1 })
  const feeds = forwardFeeds(config, [tokenizer.encode(prompt)])
  const { logits } = await program.run({ ...Object.fromEntries(parameters), ...feeds })
  await program.dispose()
  const powers = Array.from(logits.data as Float32Array, (logit) => Math.exp(logit))
  return powers.map((power) => power / sumOf(powers))
}

async function trainOnce(seed: number, value_model: string) {
  const characters = [...'abcdefghijklm']
  const policy = await loadLanguageModel(
    await writeTinyModel(join(base, `policy-${value_model}-${seed}`), { characters, seed }),
  )
  const rewardPath = join(base, `reward-${value_model}-${seed}`)
  const rewardModel = await loadLanguageModel(
    await writeTinyRewardModel(rewardPath, { characters, seed: seed + 100, mean: 0, std: 10 }),
  )
  const reference = await answersOf(policy, policy.parameters)
  const scorer = await createRewardScorer(rewardModel.config, rewardModel.parameters, { threads: 1 })
  const scores = await scorer.rewards(reference.map((_, id) => [...policy.tokenizer.encode(prompt), id]))
  await scorer.dispose()
  const rewards = scores.map((score) => score / 10)

  const config = ppoConfig.parse({
    seed,
    learning_rate: 0.004,
    lr_scheduler_type: 'linear',
    per_device_train_batch_size: 64,
    max_steps: 50,
    response_length: 1,
    temperature: 1,
    kl_coef: klCoef,
    value_model,
    micro_batch_tokens: 4096,
    save_steps: 0,
  })
  const { result, error } = await runInFolder(join(base, `run-${value_model}-${seed}`), 'ppo', config, (world) =>
    trainPpo(config, { policy, rewardModel }, [{ prompt }], world),
  )
  if (error) throw error
  const learned = await answersOf(policy, await result!.trainable.merged())

  const powers = reference.map((p, y) => p * Math.exp(rewards[y] / klCoef))
  const best = powers.map((power) => power / sumOf(powers))
  const objective = (policy: readonly number[]) =>
    sumOf(policy.map((p, y) => p * (rewards[y] - klCoef * Math.log(p / reference[y]))))
  const distance = (p: readonly number[]) => sumOf(p.map((x, y) => Math.abs(x - best[y]))) / 2
  return {
    largest: Math.max(...best),
    optimum: klCoef * Math.log(sumOf(powers)),
    atBest: objective(best),
    before: objective(reference),
    after: objective(learned),
    distance: distance(learned),
  }
}

// A value model of its own is compiled anew for each iteration, and so takes longer.
test.each([
  { valueModel: 'shared', seeds: [1, 2, 3] },
  { valueModel: 'separate', seeds: [1] },
])(
  'with a $valueModel value model PPO reaches the optimum: J within 0.002 nats and π within 2.5 % of all probability, seeds $seeds',
  async ({ valueModel, seeds }) => {
    for (const seed of seeds) {
      const { optimum, atBest, before, after, distance, largest } = await trainOnce(seed, valueModel)
      expect(atBest).toBeCloseTo(optimum, 9)
      // There is something to be won, and not by one answer alone.
      expect(optimum - before).toBeGreaterThan(0.1)
      expect(largest).toBeLessThan(0.5)
      expect(optimum - after).toBeLessThan(0.002)
      expect(distance).toBeLessThan(0.025)
    }
  },
  120_000,
)
