/**
 * What a reward model is worth on held-out rows. Of pairs: accuracy, margin, and whether σ(r_chosen − r_rejected) can be
 * believed as the probability that people prefer the chosen answer. Of scored answers: error and correlation.
 */
import type { Estimate } from '@plumbline/contracts'
import {
  brierScore,
  calibrationCurve,
  expectedCalibrationError,
  fitTemperature,
  meanInterval,
  pearson,
  spearman,
  wilson,
} from '@plumbline/evals'
import { estimateOf, shareOf } from './estimates.ts'

/** The content of evaluation.json, for pairs; outward names. */
export interface PairsEvaluation {
  readonly kind: 'pairs'
  readonly n: number
  readonly loss: number
  /** Share of pairs whose chosen answer scores higher; a tie is a miss. */
  readonly accuracy: Estimate
  /** Mean of r_chosen − r_rejected; no interval for one pair. */
  readonly margin: { readonly value: number; readonly low: number | null; readonly high: number | null }
  readonly mean_reward: number
  readonly ece: number
  readonly brier_score: number
  /** T > 1: σ(margin) is too sure; σ(margin / T) has the least loss on these pairs. Null: there is no such T. */
  readonly temperature: number | null
  readonly calibration: readonly { readonly predicted: number; readonly observed: Estimate; readonly n: number }[]
  readonly chosen: readonly number[]
  readonly rejected: readonly number[]
}

/** The content of evaluation.json, for answers with scores. */
export interface ScoresEvaluation {
  readonly kind: 'scores'
  readonly n: number
  readonly loss: number
  readonly mse: number
  /** Null where rewards or scores do not vary. */
  readonly pearson: number | null
  readonly spearmanr: number | null
  readonly mean_reward: number
  readonly rewards: readonly number[]
  readonly scores: readonly number[]
}

export type RewardEvaluation = PairsEvaluation | ScoresEvaluation

/** The loss is that of `rewardLoss`, with weights of 1 / pairs. */
export function evaluatePairs(
  chosen: readonly number[],
  rejected: readonly number[],
  { margins, centerRewardsCoefficient }: { margins: readonly number[]; centerRewardsCoefficient: number },
): PairsEvaluation {
  const n = chosen.length
  const differences = chosen.map((reward, i) => reward - rejected[i])
  const totals = chosen.map((reward, i) => reward + rejected[i])
  const hits = differences.filter((difference) => difference > 0).length
  // Each pair is one forecast: σ(|difference|) that the answer with the higher reward is the one people chose.
  const forecasts = differences.map((difference) => ({
    score: sigmoid(Math.abs(difference)),
    happened: difference > 0,
  }))
  const interval = n > 1 ? estimateOf(meanInterval(differences)) : { low: null, high: null }
  const temperature = fitTemperature(differences.map((logit) => ({ logit, happened: true })))
  return {
    kind: 'pairs',
    n,
    loss:
      mean(differences.map((difference, i) => softplus(margins[i] - difference))) +
      centerRewardsCoefficient * mean(totals.map((total) => total * total)),
    accuracy: shareOf(wilson({ hits, n })),
    margin: { ...interval, value: mean(differences) },
    mean_reward: mean(totals) / 2,
    ece: expectedCalibrationError(forecasts),
    brier_score: brierScore(forecasts),
    temperature: temperature ?? null,
    calibration: calibrationCurve(forecasts).map((bin) => ({
      predicted: bin.predicted,
      observed: shareOf(wilson({ hits: Math.round(bin.observed * bin.n), n: bin.n })),
      n: bin.n,
    })),
    chosen,
    rejected,
  }
}

export function evaluateScores(rewards: readonly number[], scores: readonly number[]): ScoresEvaluation {
  const mse = mean(rewards.map((reward, i) => (reward - scores[i]) ** 2))
  return {
    kind: 'scores',
    n: rewards.length,
    loss: mse,
    mse,
    pearson: pearson(rewards, scores) ?? null,
    spearmanr: spearman(rewards, scores) ?? null,
    mean_reward: mean(rewards),
    rewards,
    scores,
  }
}

/** The line of metrics.jsonl: what is one number and there, by TRL's names with eval_ before them. */
export function evaluationMetrics(evaluation: RewardEvaluation): Record<string, number> & { eval_loss: number } {
  const { loss, mean_reward } = evaluation
  const rewards = evaluation.kind === 'pairs' ? [...evaluation.chosen, ...evaluation.rejected] : evaluation.rewards
  const numbers =
    evaluation.kind === 'pairs'
      ? {
          accuracy: evaluation.accuracy.value,
          margin: evaluation.margin.value,
          ece: evaluation.ece,
          brier_score: evaluation.brier_score,
        }
      : { mse: evaluation.mse, pearson: evaluation.pearson, spearmanr: evaluation.spearmanr }
  const [min_reward, max_reward] = [Math.min, Math.max].map((further) => rewards.reduce((a, b) => further(a, b)))
  const named = Object.entries({ ...numbers, min_reward, mean_reward, max_reward }).filter(
    (entry): entry is [string, number] => entry[1] !== null,
  )
  return { eval_loss: loss, ...Object.fromEntries(named.map(([name, value]) => [`eval_${name}`, value])) }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

/** log(1 + eˣ), without overflow. */
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
