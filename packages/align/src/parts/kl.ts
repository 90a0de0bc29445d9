/**
 * KL(policy ‖ reference) from the log-probabilities of sampled tokens, and the coefficient that weighs it.
 *
 * Estimators (Schulman 2020, http://joschu.net/blog/kl-approx.html), with d = log π(token) − log π_ref(token):
 *
 *   k1 = d                 unbiased; single tokens may be negative
 *   k2 = d² / 2            biased, never negative
 *   k3 = e^(−d) − 1 + d    unbiased, never negative
 *
 * In a reward, which has no gradient, only k1 gives the gradient of KL(policy ‖ reference).
 */
import { nearest, PlumblineError } from '@plumbline/contracts'
import { checkRows, type Rows } from './rows.ts'

const estimators = {
  k1: (d: number) => d,
  k2: (d: number) => (d * d) / 2,
  // expm1 keeps the digits that e^x − 1 loses near 0; its own rounding must not make a KL negative.
  k3: (d: number) => Math.max(0, Math.expm1(-d) + d),
}

export type KlEstimator = keyof typeof estimators

/** The estimate of one token, in nats. */
export function klEstimate(policyLogprob: number, refLogprob: number, estimator: KlEstimator): number {
  return estimators[estimator](policyLogprob - refLogprob)
}

/** The estimates of each row's real tokens, in nats; what lies past `lengths[i]` is never read. Throws SHAPE_MISMATCH. */
export function klPerToken(
  policyLogprobs: Rows,
  refLogprobs: Rows,
  lengths: readonly number[],
  estimator: KlEstimator,
): Float64Array[] {
  checkRows('klPerToken', lengths, { policyLogprobs, refLogprobs })
  return lengths.map((length, row) =>
    Float64Array.from({ length }, (_, t) => klEstimate(policyLogprobs[row][t], refLogprobs[row][t], estimator)),
  )
}

export interface AdaptiveKlOptions {
  /** KL of a whole completion that is aimed at, in nats. */
  readonly target: number
  /** Episodes over which the coefficient follows. */
  readonly horizon: number
}

/**
 * One step of the adaptive coefficient (Ziegler et al. 2019, arXiv:1909.08593, section 2.2):
 *
 *   coef ← coef · (1 + clip(KL / target − 1, −0.2, 0.2) · n / horizon)
 *
 * `kl`: mean KL of a completion (sum over its tokens) in the last n `episodes`. n / horizon counts as 1 at most, or a
 * batch of five horizons would turn the penalty into a bonus. Throws NOT_FINITE.
 */
export function adaptKlCoef(klCoef: number, kl: number, episodes: number, options: AdaptiveKlOptions): number {
  if (!Number.isFinite(kl)) throw new PlumblineError('NOT_FINITE', `the KL to the reference is ${kl}.`)
  const error = Math.min(0.2, Math.max(-0.2, kl / options.target - 1))
  return klCoef * (1 + error * Math.min(1, episodes / options.horizon))
}

export type KlControllerOptions =
  | { readonly type: 'fixed'; readonly klCoef: number }
  | ({ readonly type: 'adaptive'; readonly klCoef: number } & AdaptiveKlOptions)

/** What a checkpoint keeps of a controller. */
export interface KlControllerState {
  readonly klCoef: number
}

export interface KlController {
  /** The coefficient for the next rollout. */
  readonly klCoef: number
  /** To be called after each rollout with its mean KL of a completion. Throws NOT_FINITE. */
  update(kl: number, episodes: number): void
  readonly state: KlControllerState
}

/** A controller that starts from `klCoef`, or goes on from a saved state. Throws BAD_VALUE. */
export function createKlController(options: KlControllerOptions, state?: KlControllerState): KlController {
  checkOptions(options)
  let klCoef = state?.klCoef ?? options.klCoef
  return {
    get klCoef() {
      return klCoef
    },
    get state() {
      return { klCoef }
    },
    update(kl, episodes) {
      if (options.type === 'adaptive') klCoef = adaptKlCoef(klCoef, kl, episodes, options)
    },
  }
}

function checkOptions(options: KlControllerOptions): void {
  const types = ['fixed', 'adaptive']
  if (!types.includes(options.type)) {
    const meant = nearest(options.type, types)
    const hint = meant ? `Did you mean ${meant}?` : `Use ${types.join(' or ')}.`
    throw new PlumblineError('BAD_VALUE', `there is no KL controller ${options.type}.`, { hint })
  }
  if (!(options.klCoef >= 0 && Number.isFinite(options.klCoef)))
    throw new PlumblineError('BAD_VALUE', `kl_coef is ${options.klCoef}; it is a number from 0 up.`)
  if (options.type === 'adaptive' && !(options.target > 0 && options.horizon > 0))
    throw new PlumblineError(
      'BAD_VALUE',
      `the adaptive KL controller has target ${options.target} and horizon ${options.horizon}; both are above 0.`,
    )
}
