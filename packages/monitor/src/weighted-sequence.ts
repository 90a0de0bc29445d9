/**
 * A rate valid at every look when answers were judged with unequal probabilities (all flagged ones, some of the others):
 * each answer counts value/probability, or 0 where it was not drawn, which has the rate as its mean (Horvitz & Thompson
 * 1952). Interval: the predictable plug-in empirical-Bernstein confidence sequence, Waudby-Smith & Ramdas 2024 (J. R.
 * Stat. Soc. B 86:1–27), theorem 2, eq. 12–15, on X = value/probability · smallest probability in [0, 1]:
 *
 *   Σ λ_i X_i / Σ λ_i ± (ln(2/α) + Σ v_i ψ(λ_i)) / Σ λ_i,   v_i = (X_i − μ_{i−1})²,   ψ(λ) = −ln(1 − λ) − λ
 *   λ_t = min(√(2 ln(2/α) / (σ²_{t−1} t ln(1 + t))), 1/2)
 *
 * Only sums are kept. λ depends on what came before, never on the answer at hand.
 */
import { PlumblineError } from '@plumbline/contracts'
import type { Estimate } from '@plumbline/evals'
import { checkedConfidence, type SequenceOptions } from './confidence-sequence.ts'
import { noData, ok, type Reading } from './reading.ts'

const LARGEST_BET = 0.5

/** Plain numbers, so JSON keeps it. */
export interface WeightedState {
  readonly alpha: number
  readonly smallestProbability: number
  /** Answers that could have been drawn. */
  readonly n: number
  readonly drawn: number
  readonly sum: number // Σ X
  readonly squares: number // Σ (X_i − μ_i)²
  readonly bets: number // Σ λ
  readonly betted: number // Σ λ X
  readonly cost: number // Σ v ψ(λ)
}

/** One answer that could have been drawn. */
export interface WeightedObservation {
  /** 0 … 1; undefined where it was not drawn. One that was drawn but could not be judged must not be passed at all. */
  readonly value: number | undefined
  /** With which it was to be drawn, fixed before anybody saw `value`. */
  readonly probability: number
}

/** `smallestProbability`: no answer is drawn with less. The interval widens with its inverse. */
export function startWeighted({
  smallestProbability,
  confidence = 0.95,
}: SequenceOptions & { readonly smallestProbability: number }): WeightedState {
  if (!(smallestProbability > 0 && smallestProbability <= 1))
    throw new PlumblineError(
      'INVALID_VALUE',
      `sampling probability ${smallestProbability}: it must be above 0, up to 1.`,
    )
  const alpha = 1 - checkedConfidence(confidence)
  return { alpha, smallestProbability, n: 0, drawn: 0, sum: 0, squares: 0, bets: 0, betted: 0, cost: 0 }
}

/** The state after one more answer. */
export function observeWeighted(state: WeightedState, { value, probability }: WeightedObservation): WeightedState {
  const { alpha, smallestProbability } = state
  if (!(probability >= smallestProbability && probability <= 1))
    throw new PlumblineError(
      'INVALID_VALUE',
      `sampling probability ${probability}: it must lie between the smallest, ${smallestProbability}, and 1.`,
    )
  if (value !== undefined && !(value >= 0 && value <= 1))
    throw new PlumblineError('INVALID_VALUE', `value ${value}: it must lie between 0 and 1.`)
  const x = value === undefined ? 0 : (value / probability) * smallestProbability
  const t = state.n + 1
  const meanBefore = (0.5 + state.sum) / t
  const variance = (0.25 + state.squares) / t
  const bet = Math.min(LARGEST_BET, Math.sqrt((2 * Math.log(2 / alpha)) / (variance * t * Math.log1p(t))))
  const sum = state.sum + x
  const mean = (0.5 + sum) / (t + 1)
  return {
    alpha,
    smallestProbability,
    n: t,
    drawn: state.drawn + (value === undefined ? 0 : 1),
    sum,
    squares: state.squares + (x - mean) ** 2,
    bets: state.bets + bet,
    betted: state.betted + bet * x,
    cost: state.cost + (x - meanBefore) ** 2 * (-Math.log1p(-bet) - bet),
  }
}

/** The rate over all answers, drawn or not. `estimate` is the middle of the sequence, cut to [0, 1]. */
export function weightedRate(state: WeightedState): Reading<Estimate & { readonly n: number; readonly drawn: number }> {
  const { n, drawn, bets, betted, cost, alpha, smallestProbability } = state
  if (drawn === 0) return noData(n === 0 ? 'There was no answer.' : `None of ${n} answers was drawn for judging.`)
  const middle = betted / bets / smallestProbability
  const half = (Math.log(2 / alpha) + cost) / bets / smallestProbability
  const cut = (p: number) => Math.min(1, Math.max(0, p))
  return ok({ estimate: cut(middle), low: cut(middle - half), high: cut(middle + half), n, drawn })
}
