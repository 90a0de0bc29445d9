/**
 * The true rate behind a grader's, with sensitivity and specificity themselves estimated.
 *
 *   θ = (p + Sp − 1) / (Se + Sp − 1)                                         Rogan & Gladen 1978 (estimate: evals)
 *
 * Interval: melded confidence (Fay, Proschan & Brittain 2015, Biometrics 71:146–156; for prevalence Bayer, Fay & Graubard
 * 2023, Stat. Med. 42:1822–1867). Each of p, Se and Sp gets the confidence distribution that Clopper–Pearson's limits
 * come from: below, Beta(x, n − x + 1); above, Beta(x + 1, n − x). θ rises with p and Sp and falls with Se, so
 *
 *   low = the α/2 quantile of θ(p below, Se above, Sp below),   high = the 1 − α/2 quantile of θ(p above, Se below, Sp above)
 *
 * No normal approximation, so nothing rests on large counts; the price is width. evals' `roganGladen` (Lang & Reiczigel)
 * is mostly shorter, and its coverage in small samples can be a little below what it says. P(θ ≤ t) =
 * P(p ≤ t Se + (1 − t)(1 − Sp)) is summed over a grid.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type Count, checkedCount, type Estimate, type GraderError, roganGladen, wilson } from '@plumbline/evals'
import { betaSpread, type Spread, spreadCdf } from './beta-spread.ts'
import { checkedConfidence, type SequenceOptions } from './confidence-sequence.ts'
import { noData, ok, type Reading } from './reading.ts'

export interface CorrectedRate extends Estimate, Count {
  /** What the grader says, with Wilson's interval; never to be shown alone. */
  readonly raw: Estimate
  readonly calibration: GraderError
}

/** `hits` of `n` by the grader, corrected; `calibration` undefined where this version was not measured on human labels. */
export function correctedRate(
  observed: Count,
  calibration: GraderError | undefined,
  { confidence = 0.95 }: SequenceOptions = {},
): Reading<CorrectedRate> {
  const alpha = 1 - checkedConfidence(confidence)
  if (observed.n === 0 && observed.hits === 0) return noData('No answer was judged.')
  const raw = wilson(observed, { confidence })
  if (calibration === undefined || calibration.sensitivity.n === 0 || calibration.specificity.n === 0)
    return { status: 'uncalibrated', reason: 'This version of the evaluator was not measured on human labels.', raw }
  try {
    const { estimate } = roganGladen(observed, calibration, { confidence })
    const { low, high } = meldedInterval(observed, calibration, alpha)
    const { hits, n } = observed
    return ok({ estimate, low: Math.min(low, estimate), high: Math.max(high, estimate), hits, n, raw, calibration })
  } catch (error) {
    if (!(error instanceof PlumblineError) || error.code !== 'UNUSABLE_GRADER') throw error
    return { status: 'error', code: error.code, reason: error.message }
  }
}

/** Limits of θ with error `alpha`, cut to [0, 1]. */
export function meldedInterval(
  observed: Count,
  { sensitivity, specificity }: GraderError,
  alpha: number,
): { readonly low: number; readonly high: number } {
  const low = quantileOfRate(below(observed), above(sensitivity), below(specificity), alpha / 2)
  const high = quantileOfRate(above(observed), below(sensitivity), above(specificity), 1 - alpha / 2)
  return { low, high }
}

function below(count: Count): Spread {
  const { hits, n } = checkedCount(count)
  return betaSpread(hits, n - hits + 1)
}

function above(count: Count): Spread {
  const { hits, n } = checkedCount(count)
  return betaSpread(hits + 1, n - hits)
}

/** t with P(p ≤ t Se + (1 − t)(1 − Sp)) = level in [0, 1], by regula falsi with Illinois' halving, which is bracketed. */
function quantileOfRate(p: Spread, se: Spread, sp: Spread, level: number): number {
  const excess = (t: number) => probabilityOfSum(p, se, sp, t) - level
  let [low, high, atLow, atHigh] = [0, 1, excess(0), excess(1)]
  if (atLow >= 0) return 0
  if (atHigh <= 0) return 1
  for (let step = 0, side = 0; step < 60 && high - low > 1e-7; step++) {
    const t = (low * atHigh - high * atLow) / (atHigh - atLow)
    const at = excess(t)
    if (Math.abs(at) < 1e-9) return t
    if (at < 0) {
      if (side === -1) atHigh /= 2
      ;[low, atLow, side] = [t, at, -1]
    } else {
      if (side === 1) atLow /= 2
      ;[high, atHigh, side] = [t, at, 1]
    }
  }
  return (low + high) / 2
}

/**
 * P(p − t Se + (1 − t) Sp ≤ 1 − t). The widest of the three terms gives its distribution function, which is smooth on
 * the scale of the other two's grids.
 */
function probabilityOfSum(p: Spread, se: Spread, sp: Spread, t: number): number {
  const terms = [
    { spread: p, factor: 1 },
    { spread: se, factor: -t },
    { spread: sp, factor: 1 - t },
  ].sort((a, b) => Math.abs(b.factor) * b.spread.sd - Math.abs(a.factor) * a.spread.sd)
  const [widest, second, third] = terms
  const { places: x2, weights: w2 } = second.spread
  const { places: x3, weights: w3 } = third.spread
  let probability = 0
  for (let i = 0; i < x2.length; i++) {
    let inside = 0
    for (let j = 0; j < x3.length; j++)
      inside += w3[j] * spreadCdf(widest.spread, (1 - t - second.factor * x2[i] - third.factor * x3[j]) / widest.factor)
    probability += w2[i] * inside
  }
  return widest.factor > 0 ? probability : 1 - probability
}
