/**
 * A rate from a grader on all answers and people's labels on a random sample of them: prediction-powered inference
 * (Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, Science 382:669–674, alg. 1), with the tuned λ of PPI++
 * (Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453, prop. 2):
 *
 *   θ = λ mean(f, unlabelled) + mean(y − λ f, labelled),   λ = Cov(y, f) / ((1 + n/N) Var(f)), cut to [0, 1]
 *
 * It asks nothing of the grader: a bad one gives λ near 0 and the labels' own mean. Sensitivity and specificity are not
 * needed, but the labels must be of these answers, drawn at random.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type Count, checkedCount, type Estimate, normalQuantile, wilson } from '@plumbline/evals'
import { checkedConfidence, type SequenceOptions } from './confidence-sequence.ts'
import { noData, ok, type Reading } from './reading.ts'

/** Labelled answers by what people say (first) and what the grader says (second). */
export interface LabelledCounts {
  readonly yesYes: number
  readonly yesNo: number
  readonly noYes: number
  readonly noNo: number
}

export interface PredictionPoweredRate extends Estimate {
  /** `labels alone`: too few labels of a kind for the normal approximation, so Wilson's interval of the labels. */
  readonly method: 'prediction-powered' | 'labels alone'
  /** How much the grader counts, 0 … 1. */
  readonly lambda: number
  readonly labelled: number
  readonly unlabelled: number
}

/** Each kind must be seen so often for a normal approximation to hold. */
const ENOUGH = 5

/** `unlabelled`: the grader's hits among the answers that nobody labelled. */
export function predictionPoweredRate(
  labelled: LabelledCounts,
  unlabelled: Count,
  { confidence = 0.95 }: SequenceOptions = {},
): Reading<PredictionPoweredRate> {
  const alpha = 1 - checkedConfidence(confidence)
  const { yesYes, yesNo, noYes, noNo } = checked(labelled)
  const n = yesYes + yesNo + noYes + noNo
  if (n === 0) return noData('Nobody has labelled an answer.')
  const [yes, flagged] = [yesYes + yesNo, yesYes + noYes]
  const counts = { labelled: n, unlabelled: unlabelled.n }
  if (unlabelled.n === 0 || Math.min(yes, n - yes, flagged, n - flagged) < ENOUGH)
    return ok({ ...wilson({ hits: yes, n }, { confidence }), method: 'labels alone', lambda: 0, ...counts })
  const rest = checkedCount(unlabelled)
  const variance = (p: number) => p * (1 - p)
  const [y, f, g] = [yes / n, flagged / n, rest.hits / rest.n]
  const covariance = yesYes / n - y * f
  const all = (flagged + rest.hits) / (n + rest.n)
  const lambda = Math.min(1, Math.max(0, covariance / ((1 + n / rest.n) * variance(all))))
  const estimate = Math.min(1, Math.max(0, lambda * g + y - lambda * f))
  const residual = variance(y) - 2 * lambda * covariance + lambda * lambda * variance(f)
  const spread = Math.sqrt((lambda * lambda * variance(g)) / rest.n + residual / n)
  const half = normalQuantile(1 - alpha / 2) * spread
  const [low, high] = [Math.max(0, estimate - half), Math.min(1, estimate + half)]
  return ok({ estimate, low, high, method: 'prediction-powered', lambda, ...counts })
}

function checked(counts: LabelledCounts): LabelledCounts {
  for (const [name, count] of Object.entries(counts))
    if (!Number.isInteger(count) || count < 0)
      throw new PlumblineError('INVALID_COUNT', `labelled answers, ${name}: ${count}; it must be an integer from 0.`)
  return counts
}
