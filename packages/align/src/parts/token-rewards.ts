/**
 * Rewards of tokens in PPO (Ziegler et al. 2019, arXiv:1909.08593, equation 2; Stiennon et al. 2020, arXiv:2009.01325):
 *
 *   r(t) = −klCoef · KL(t)  +  score, where t is the last real token
 *
 * The score lands on the last real token, the end-of-sequence token if there is one, as in OpenRLHF. TRL puts it one
 * slot later when there is room, onto a padding token whose value it then keeps; with γ = λ = 1 and a value of 0 there
 * the returns are the same.
 */
import { PlumblineError } from '@plumbline/contracts'
import { whiten } from './advantages.ts'
import { type KlEstimator, klPerToken } from './kl.ts'
import type { Rows } from './rows.ts'

export interface ShapeScoresOptions {
  /** Mean and standard deviation of the reward model's scores, as it stores them; (score − mean) / std. */
  readonly mean?: number
  readonly std?: number
  /** Subtracted from the normalised score of a completion without its stop token, as in TRL. */
  readonly missingEosPenalty?: number | undefined
}

/**
 * Scores as the policy gets them: normalised, then penalised. `hasEos[i]`: whether completion i ends with the configured
 * stop token. Throws BAD_VALUE and SHAPE_MISMATCH.
 */
export function shapeScores(
  scores: readonly number[],
  hasEos: readonly boolean[],
  { mean = 0, std = 1, missingEosPenalty = 0 }: ShapeScoresOptions = {},
): number[] {
  if (!(std > 0)) throw new PlumblineError('BAD_VALUE', `the standard deviation of the scores is ${std}, not above 0.`)
  if (hasEos.length !== scores.length)
    throw new PlumblineError('SHAPE_MISMATCH', `shapeScores: ${scores.length} scores for ${hasEos.length} completions.`)
  return scores.map((score, i) => (score - mean) / std - (hasEos[i] ? 0 : missingEosPenalty))
}

export interface TokenRewardsInputs {
  /** Of the completion tokens at rollout, a row for each completion. */
  readonly policyLogprobs: Rows
  readonly refLogprobs: Rows
  /** Real tokens of each completion. */
  readonly lengths: readonly number[]
  /** One for each completion, after `shapeScores`. */
  readonly scores: readonly number[]
}

export interface TokenRewardsOptions {
  readonly klCoef: number
  /** k1 by default: in a reward it alone gives the gradient of the KL that is meant. */
  readonly klEstimator?: KlEstimator
  /** Scale the rewards of the batch to variance 1 and keep their mean. */
  readonly whitenRewards?: boolean
}

/** Rows as long as the completions. */
export interface TokenRewards {
  readonly rewards: Float64Array[]
  /** KL estimates by token, in nats. */
  readonly kl: Float64Array[]
  /** −klCoef · kl: the rewards before the score and whitening. */
  readonly nonScoreRewards: Float64Array[]
}

/**
 * The reward of each token. An empty completion has no token to carry its score and gives an empty row. Throws
 * SHAPE_MISMATCH, and NOT_FINITE when a score or log-probability is no number.
 */
export function tokenRewards(
  { policyLogprobs, refLogprobs, lengths, scores }: TokenRewardsInputs,
  { klCoef, klEstimator = 'k1', whitenRewards = false }: TokenRewardsOptions,
): TokenRewards {
  if (scores.length !== lengths.length)
    throw new PlumblineError(
      'SHAPE_MISMATCH',
      `tokenRewards: ${scores.length} scores for ${lengths.length} completions.`,
    )
  const kl = klPerToken(policyLogprobs, refLogprobs, lengths, klEstimator)
  const nonScoreRewards = kl.map((row) => row.map((nats) => -klCoef * nats))
  const rewards = nonScoreRewards.map((row, i) => {
    const reward = row.slice()
    if (reward.length > 0) reward[reward.length - 1] += scores[i]
    return reward
  })
  const bad = rewards.findIndex((row) => !row.every(Number.isFinite))
  if (bad >= 0)
    throw new PlumblineError(
      'NOT_FINITE',
      `the reward of completion ${bad + 1} is not finite: its score is ${scores[bad]}, its KL ${kl[bad].reduce((a, b) => a + b, 0)}.`,
      { hint: 'Check the reward model and the learning rate; the policy may have diverged.' },
    )
  return { rewards: whitenRewards ? whiten(rewards, { shiftMean: false }) : rewards, kl, nonScoreRewards }
}
