/**
 * What is normal: the rate in a reference window, and its upper bound, which alarms are measured against. Taking the
 * estimate itself makes alarms false whenever the window happened to be a good one.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type Count, clopperPearson, normalQuantile } from '@plumbline/evals'
import { noData, ok, type Reading } from './reading.ts'

export interface Baseline extends Count {
  readonly estimate: number
  /** One-sided Clopper–Pearson (1934): the true rate is below it with at least `confidence`. */
  readonly upper: number
  readonly confidence: number
}

interface BaselineOptions {
  readonly confidence?: number
}

/** From the answers of a reference window, taken as a whole and only once. */
export function baseline({ hits, n }: Count, { confidence = 0.95 }: BaselineOptions = {}): Reading<Baseline> {
  if (n === 0 && hits === 0) return noData('The reference window has no judged answer.')
  const quantile = oneSided(confidence)
  // The upper end of a two-sided interval with twice the error.
  const { estimate, high } = clopperPearson({ hits, n }, { confidence: 2 * quantile - 1 })
  return ok({ hits, n, estimate, upper: high, confidence })
}

/**
 * Answers that a reference window needs so that its upper bound uses up at most half of a rise: z √(p (1 − p)/n) =
 * (rise − 1) p / 2, by the normal approximation. `rise` 1.2 is 20 % more.
 */
export function answersNeeded({
  rate,
  rise,
  confidence = 0.95,
}: BaselineOptions & { readonly rate: number; readonly rise: number }): number {
  if (!(rate > 0 && rate < 1)) throw new PlumblineError('INVALID_VALUE', `rate ${rate}: it must lie between 0 and 1.`)
  if (!(rise > 1)) throw new PlumblineError('INVALID_VALUE', `rise ${rise}: it must be above 1; 1.2 is 20 % more.`)
  const z = normalQuantile(oneSided(confidence))
  return Math.ceil((4 * z * z * (1 - rate)) / (rate * (rise - 1) ** 2))
}

function oneSided(confidence: number): number {
  if (!(confidence > 0.5 && confidence < 1))
    throw new PlumblineError('INVALID_VALUE', `confidence ${confidence}: it must lie between 0.5 and 1, as 0.95.`)
  return confidence
}
