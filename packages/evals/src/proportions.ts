/** Rates with intervals. Counts in, `{ estimate, low, high }` out; all in [0, 1], differences in [−1, 1]. */
import { PlumblineError } from '@plumbline/contracts'
import { betaQuantile, normalQuantile } from './distributions.ts'

export interface Interval {
  readonly low: number
  readonly high: number
}

export interface Estimate extends Interval {
  readonly estimate: number
}

/** `hits` of `n` independent trials. */
export interface Count {
  readonly hits: number
  readonly n: number
}

interface IntervalOptions {
  readonly confidence?: number
}

/** Score interval of Wilson (1927), eq. for p in (p − p̂)² = z² p(1 − p)/n. Throws INVALID_COUNT for n = 0. */
export function wilson(count: Count, { confidence = 0.95 }: IntervalOptions = {}): Estimate {
  const { hits, n } = checkedCount(count)
  const z = twoSided(confidence)
  const p = hits / n
  const middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n)
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))
  // Rounding must not push the limit past an estimate of 0 or 1.
  return { estimate: p, low: hits === 0 ? 0 : middle - half, high: hits === n ? 1 : middle + half }
}

/** Exact interval of Clopper & Pearson (1934) by beta quantiles: covers at least `confidence`, often more. */
export function clopperPearson(count: Count, { confidence = 0.95 }: IntervalOptions = {}): Estimate {
  const { hits, n } = checkedCount(count)
  twoSided(confidence)
  const tail = (1 - confidence) / 2
  return {
    estimate: hits / n,
    low: hits === 0 ? 0 : betaQuantile(tail, hits, n - hits + 1),
    high: hits === n ? 1 : betaQuantile(1 - tail, hits + 1, n - hits),
  }
}

/** p₁ − p₂ of independent samples: Newcombe (1998), method 10, from two Wilson intervals. */
export function newcombeDifference(first: Count, second: Count, options: IntervalOptions = {}): Estimate {
  const a = wilson(first, options)
  const b = wilson(second, options)
  const estimate = a.estimate - b.estimate
  return {
    estimate,
    low: estimate - Math.hypot(a.estimate - a.low, b.high - b.estimate),
    high: estimate + Math.hypot(a.high - a.estimate, b.estimate - b.low),
  }
}

/** A count of trials that stand for unequally many: the share that they show, of which `hits` / `n` is the nearest count. */
export interface WeightedCount extends Count {
  readonly share?: number
}

/** A grader's measured error: right calls among the truly positive and among the truly negative. */
export interface GraderError {
  readonly sensitivity: WeightedCount
  readonly specificity: WeightedCount
}

/**
 * The true rate behind a graded one. Estimate: Rogan & Gladen (1978), p = (AP + Sp − 1)/(Se + Sp − 1), cut to [0, 1].
 * Interval: Lang & Reiczigel (2014), Prev. Vet. Med. 113:13–22, which carries the sampling error of the rate, of the
 * sensitivity and of the specificity. Throws UNUSABLE_GRADER where Se + Sp is not above 1: such a grader says nothing.
 */
export function roganGladen(
  observed: Count,
  { sensitivity, specificity }: GraderError,
  { confidence = 0.95 }: IntervalOptions = {},
): Estimate {
  const z = twoSided(confidence)
  const { hits, n } = checkedCount(observed)
  const se = checkedCount(sensitivity)
  const sp = checkedCount(specificity)
  const power = shareOf(sensitivity) + shareOf(specificity) - 1
  if (power <= 0)
    throw new PlumblineError(
      'UNUSABLE_GRADER',
      `sensitivity ${se.hits}/${se.n} and specificity ${sp.hits}/${sp.n} add up to 1 or less: the grader does no better than chance.`,
      { hint: 'Use another grader, or calibrate this one on more rows.' },
    )
  // Adjusted counts of §2.3: z²/2 for the rate, one right and one wrong call for the grader.
  const rate = (hits + (z * z) / 2) / (n + z * z)
  const seRate = (se.hits + 1) / (se.n + 2)
  const spRate = (sp.hits + 1) / (sp.n + 2)
  const scale = seRate + spRate - 1
  const p = (rate + spRate - 1) / scale
  const seVariance = (seRate * (1 - seRate)) / (se.n + 2)
  const spVariance = (spRate * (1 - spRate)) / (sp.n + 2)
  const shift = 2 * z * z * (p * seVariance - (1 - p) * spVariance)
  const variance = (rate * (1 - rate)) / (n + z * z) + p * p * seVariance + (1 - p) * (1 - p) * spVariance
  const half = (z * Math.sqrt(variance)) / scale
  const estimate = cut(roganGladenEstimate(hits / n, { sensitivity, specificity }))
  // The interval is centred on adjusted counts; near 0 and 1 it is widened to hold the estimate.
  return { estimate, low: Math.min(estimate, cut(p + shift - half)), high: Math.max(estimate, cut(p + shift + half)) }
}

/** Rogan & Gladen's estimate alone, as it comes: it may lie outside [0, 1]. `p` is the graded rate. */
export function roganGladenEstimate(p: number, { sensitivity, specificity }: GraderError): number {
  const [se, sp] = [shareOf(sensitivity), shareOf(specificity)]
  return (p + sp - 1) / (se + sp - 1)
}

function shareOf({ hits, n, share = hits / n }: WeightedCount): number {
  return share
}

/** z with P(|Z| ≤ z) = confidence. */
export function twoSided(confidence: number): number {
  if (!(confidence > 0 && confidence < 1))
    throw new PlumblineError('INVALID_VALUE', `confidence ${confidence}: it must lie between 0 and 1, as 0.95.`)
  return normalQuantile((1 + confidence) / 2)
}

function cut(p: number): number {
  return Math.min(1, Math.max(0, p))
}

/** The count itself; throws INVALID_COUNT unless it is 0 … n hits of at least one trial. */
export function checkedCount({ hits, n }: Count): Count {
  const isCount = Number.isInteger(hits) && Number.isInteger(n) && n > 0 && hits >= 0 && hits <= n
  if (!isCount)
    throw new PlumblineError('INVALID_COUNT', `${hits} of ${n}: a rate needs at least one trial and 0 to n hits.`, {
      hint: 'No data is no rate: leave it out, or report n = 0.',
    })
  return { hits, n }
}
