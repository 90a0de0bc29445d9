/** What a rollout shows of a policy that must not go on: seen before its updates, and before that policy is saved. */
import { PlumblineError } from '@plumbline/contracts'
import type { LanguageModel } from '@plumbline/models'
import type { PpoConfig } from '../config.ts'
import { type Episode, klOf } from './episode.ts'

type Scored = Pick<Episode, 'score' | 'oldLogprobs' | 'refLogprobs'>

/** The reward model's own scores of a run's first rollout. */
export interface FirstScores {
  readonly mean: number
  /** Of the reward model's training answers: what later scores are measured in. Null where it stores none. */
  readonly deviation: number | null
}

export function firstScoresOf(
  episodes: readonly Scored[],
  { rawConfig }: Pick<LanguageModel, 'rawConfig'>,
): FirstScores {
  const { std } = rawConfig as { std?: number }
  return { mean: meanOf(episodes.map(({ score }) => score)), deviation: std ?? null }
}

/**
 * E[π_ref / π] ≤ 1 for answers that π has sampled. So the KL estimates (k1) of a rollout, added up, are below this with a
 * probability of at most e^−20 = 2e-9 (Markov), however many answers there are and whatever π is.
 */
const LEAST_KL_SUM = -20

/** Throws POLICY_RAN_AWAY and SAMPLER_DISAGREES. `step`: iterations done; `savedStep`: of the newest checkpoint, or 0. */
export function checkRollout(
  episodes: readonly Scored[],
  first: FirstScores,
  { max_kl, max_score_change }: Pick<PpoConfig, 'max_kl' | 'max_score_change'>,
  { step, savedStep }: { readonly step: number; readonly savedStep: number },
): void {
  const when = step === 0 ? 'before the first update' : `after iteration ${step}`
  const kept = keptCheckpoint(step, savedStep)
  const score = meanOf(episodes.map((episode) => episode.score))
  const kl = meanOf(episodes.map(klOf))
  if (!(Number.isFinite(score) && kl <= max_kl))
    throw new PlumblineError(
      'POLICY_RAN_AWAY',
      `${when}: the policy has left its reference: KL ${kl.toFixed(1)} nats an answer (at most ${max_kl}), score ${score.toFixed(2)}.`,
      { hint: `${kept} Start again with a higher --kl-coef, a lower --learning-rate, or a --kl-target.` },
    )
  const change = first.deviation === null ? 0 : (score - first.mean) / first.deviation
  if (Math.abs(change) > max_score_change)
    throw new PlumblineError(
      'POLICY_RAN_AWAY',
      `${when}: the scores ran away: ${score.toFixed(2)} on average, ${first.mean.toFixed(2)} at first, which is ${change.toFixed(1)} standard deviations of the reward model's training answers (at most ${max_score_change}); KL ${kl.toFixed(1)} nats an answer.`,
      {
        hint: `${kept} Read samples.jsonl: the policy may have found what the reward model is wrong about. Start again with a higher --kl-coef or a lower --learning-rate, or go on with --resume and a higher --max-score-change.`,
      },
    )
  if (kl * episodes.length < LEAST_KL_SUM)
    throw new PlumblineError(
      'SAMPLER_DISAGREES',
      `${when}: the KL to the reference is ${kl.toFixed(1)} nats an answer, which no sampling gives by chance: answers are not from the policy that is trained.`,
      {
        hint: `${kept} Start again with a lower --learning-rate: very large weights make rounding matter. If that does not help, it is a bug in Plumbline.`,
      },
    )
}

function keptCheckpoint(step: number, savedStep: number): string {
  // Saved at an interrupt, before any rollout had shown what it does.
  if (savedStep > 0 && savedStep === step)
    return `The checkpoint of step ${step} is of this policy; one before it is good, if it is there.`
  return savedStep > 0 ? `The checkpoint of step ${savedStep} is good.` : 'There is no checkpoint before it.'
}

const meanOf = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
