/** What PPO's flags do, in the whole trainer: numbers that it logs, beside those that follow from its samples by hand. */
import { expect, test } from 'vitest'
import { afterSampling, type Case, meanOf, type Ppo, ppo, stopAtLetters, tokensOf } from './ppo-runs.ts'
import { hashOf } from './run-trainer.ts'

const normalization = { mean: 0.7, std: 2 }
const tiny: Case = { policy: stopAtLetters, rewardModel: normalization }
/** Answers of unequal lengths, and steps so small that every ratio of an iteration is 1. */
const still = { seed: 6, learning_rate: 1e-12 }

/** The first rewards, by answer and token: there is no KL yet, so all is the normalised score at the last one. */
function firstRewards({ samples, metrics }: Ppo): number[][] {
  const lengths = samples.map(tokensOf)
  expect(meanOf(lengths)).toBeCloseTo(metrics[0]['completions/mean_length'], 9)
  expect(new Set(lengths).size).toBeGreaterThan(1)
  return samples.map(({ score }, i) =>
    new Array(lengths[i]).fill(0).with(-1, (score - normalization.mean) / normalization.std),
  )
}

/** Mean and deviation over the tokens of all answers, the unbiased one. */
function scaleOf(rows: readonly (readonly number[])[]) {
  const all = rows.flat()
  const mean = meanOf(all)
  return { mean, deviation: Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (all.length - 1)) }
}

test('advantages are whitened over the whole rollout, not over a mini-batch; gamma and lambda discount', async () => {
  const [gamma, lam] = [0.9, 0.5]
  const whole = await ppo({ ...still, gamma, lam }, tiny)
  // Values are 0 at first, so an advantage is the discounted score, and so is a return.
  const advantages = firstRewards(whole).map((rewards) =>
    rewards.map((_, t) => (gamma * lam) ** (rewards.length - 1 - t) * rewards.at(-1)!),
  )
  expect(whole.metrics[0]['loss/value_avg']).toBeCloseTo(meanOf(advantages.flat().map((a) => a ** 2 / 2)), 5)
  // The mean of what was whitened.
  expect(Math.abs(whole.metrics[0]['loss/policy_avg'])).toBeLessThan(1e-6)

  const { mean, deviation } = scaleOf(advantages)
  const byAnswer = advantages.map((row) => -meanOf(row.map((advantage) => (advantage - mean) / deviation)))
  expect(Math.abs(meanOf(byAnswer))).toBeGreaterThan(0.01)
  const cut = await ppo({ ...still, gamma, lam, num_mini_batches: 8 }, tiny)
  expect(cut.metrics[0]['loss/policy_avg']).toBeCloseTo(meanOf(byAnswer), 5)
})

test('whiten_rewards scales the rewards to variance 1 and keeps their mean', async () => {
  const run = await ppo({ ...still, lam: 1, whiten_rewards: true }, tiny)
  const rewards = firstRewards(run)
  const { mean, deviation } = scaleOf(rewards)
  const whitened = rewards.map((row) => row.map((reward) => (reward - mean) / deviation + mean))
  const returns = whitened.map((row) => row.map((_, t) => row.slice(t).reduce((sum, x) => sum + x, 0)))
  expect(run.metrics[0]['loss/value_avg']).toBeCloseTo(meanOf(returns.flat().map((r) => r ** 2 / 2)), 5)
})

test.each(['k1', 'k3'] as const)('kl_estimator %s: the KL that is logged and paid for', async (kl_estimator) => {
  const changes = { kl_estimator, kl_coef: 0.2, response_length: 1, max_steps: 2, learning_rate: 0.02 }
  const { metrics, samples, said } = await ppo(changes)
  const estimate = { k1: (d: number) => d, k3: (d: number) => Math.expm1(-d) + d }[kl_estimator]
  const kl = meanOf(samples.map((sample) => estimate(sample.kl)))
  expect(Math.abs(kl)).toBeGreaterThan(1e-3)
  expect(metrics[1]['objective/kl']).toBeCloseTo(kl, 6)
  expect(metrics[1]['objective/non_score_reward']).toBeCloseTo(-0.2 * kl, 6)
  const { 'objective/scores': scores, 'objective/rlhf_reward': reward } = metrics[1]
  expect(reward).toBeCloseTo(scores - 0.2 * kl, 6)
  expect(said.some((line) => line.includes('--kl-estimator k3'))).toBe(kl_estimator === 'k3')
})

test('kl_target: the coefficient follows the KL, and the penalty is by the one that is logged', async () => {
  const [kl_target, kl_horizon] = [0.05, 20]
  const { metrics } = await ppo({ kl_target, kl_horizon, max_steps: 5, learning_rate: 0.03, num_ppo_epochs: 2 })
  let klCoef = 0.05
  const factors: number[] = []
  for (const line of metrics) {
    expect(line['objective/kl_coef']).toBeCloseTo(klCoef, 12)
    expect(line['objective/non_score_reward']).toBeCloseTo(-klCoef * line['objective/kl'], 9)
    const error = Math.min(0.2, Math.max(-0.2, line['objective/kl'] / kl_target - 1))
    factors.push(1 + (error * 8) / kl_horizon)
    klCoef *= factors.at(-1)!
  }
  expect(Math.min(...factors)).toBeLessThan(1)
  expect(Math.max(...factors)).toBeGreaterThan(1)
})

test.each([
  ['cliprange', 'policy/clipfrac_avg'],
  ['cliprange_value', 'val/clipfrac_avg'],
])('%s decides what %s counts', async (flag, metric) => {
  const clipped = async (range: number) => (await ppo({ [flag]: range, num_ppo_epochs: 4 })).metrics[0][metric]
  const fractions = [await clipped(1e3), await clipped(1e-7)]
  expect(fractions[0]).toBe(0)
  expect(fractions[1]).toBeGreaterThan(0.1)
})

test("Adam's epsilon is 1e-5 unless told otherwise", async () => {
  const weights = async (changes: object) => hashOf((await ppo({ ...changes })).weights!)
  const usual = await weights({})
  expect(await weights({ adam_epsilon: 1e-5 })).toBe(usual)
  expect(await weights({ adam_epsilon: 1e-8 })).not.toBe(usual)
})

test('answers are sampled at the temperature at which they are scored', async () => {
  // Next to nothing is left to chance; tokens of temperature 1 would have some −100 nats each at this one.
  const cold = await ppo({ temperature: 0.01 })
  expect(cold.metrics[0]['objective/entropy']).toBeLessThan(4)
  for (const temperature of [0.6, 1, 2]) {
    const { metrics } = await ppo({ temperature, max_steps: 2, learning_rate: 0.02 })
    for (const line of metrics) expect(line['sampling/sampling_logp_difference/mean']).toBeLessThan(1e-5)
  }
})

test('a sampler that draws from other weights than are trained is told', async () => {
  const quiet = await ppo()
  expect(quiet.said.join()).not.toContain('of the sampler')
  const inWorld = afterSampling((weights) => weights.set(weights.map((x) => 1.1 * x)))
  const { said, metrics } = await ppo({}, { inWorld })
  const difference = metrics[0]['sampling/sampling_logp_difference/mean']
  expect(difference).toBeGreaterThan(0.02)
  expect(said.join()).toContain(
    `step 1: log-probabilities of the sampler and of training differ by ${difference.toFixed(3)} a token`,
  )
})
