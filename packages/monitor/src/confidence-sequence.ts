/**
 * A rate's interval that may be looked at after every answer and still covers with the stated probability over all looks
 * together: the confidence sequence of the beta-binomial mixture (Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021,
 * Ann. Statist. 49:1055–1080, §3).
 *
 *   M_n(p) = ∫ Π q^x (1 − q)^(1 − x) dBeta(q; a, b) / (p^h (1 − p)^(n − h)) = B(a + h, b + n − h) / (B(a, b) p^h (1 − p)^(n − h))
 *
 * is a martingale with mean 1 when the rate is p, so by Ville's inequality {p : M_n(p) < 1/α} holds the true rate at all n
 * at once with probability 1 − α. It is the Bernoulli case; for observations with weights see `weighted-sequence.ts`.
 * The rate must be one rate: while it moves, read the interval as one for the period since it last stood still.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type Count, checkedCount, type Estimate, logBeta } from '@plumbline/evals'
import { noData, ok, type Reading } from './reading.ts'

/** Jeffreys' prior: within a constant of the best interval at every rate, rare ones included. */
const A = 0.5
const B = 0.5

export interface SequenceOptions {
  /** 1 − α over all looks together. */
  readonly confidence?: number
}

export type RateReading = Reading<Estimate & Count>

/** The rate behind a running count. The count is all the state there is: batches may come in any size and order. */
export function rateSequence({ hits, n }: Count, { confidence = 0.95 }: SequenceOptions = {}): RateReading {
  if (n === 0 && hits === 0) return noData('No answer was judged.')
  return ok({ ...betaBinomialBounds({ hits, n }, 1 - checkedConfidence(confidence)), hits, n })
}

/** Bounds of the sequence with error `alpha`. */
export function betaBinomialBounds(count: Count, alpha: number): Estimate {
  const { hits, n } = checkedCount(count)
  const estimate = hits / n
  const mixture = logBeta(A + hits, B + n - hits) - logBeta(A, B)
  const isInside = (p: number) => mixture - logLikelihood(p, hits, n) < -Math.log(alpha)
  return {
    estimate,
    low: hits === 0 ? 0 : boundary(estimate, 0, isInside),
    high: hits === n ? 1 : boundary(estimate, 1, isInside),
  }
}

/** h ln p + (n − h) ln(1 − p), with 0 · ln 0 = 0. */
function logLikelihood(p: number, hits: number, n: number): number {
  return (hits === 0 ? 0 : hits * Math.log(p)) + (hits === n ? 0 : (n - hits) * Math.log1p(-p))
}

/** Where, on the way from inside to outside, the set ends: M_n is convex in p, so it ends once. */
function boundary(inside: number, outside: number, isInside: (p: number) => boolean): number {
  let [near, far] = [inside, outside]
  for (let step = 0; step < 60; step++) {
    const middle = (near + far) / 2
    if (isInside(middle)) near = middle
    else far = middle
  }
  return far
}

export function checkedConfidence(confidence: number): number {
  if (!(confidence > 0 && confidence < 1))
    throw new PlumblineError('INVALID_VALUE', `confidence ${confidence}: it must lie between 0 and 1, as 0.95.`)
  return confidence
}
