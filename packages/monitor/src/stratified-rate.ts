/**
 * A rate over answers of which some were judged: in each stratum every answer had the same probability of being drawn, so
 * within it the judged ones are an even sample. With N_s answers in stratum s, Σ N_s = N,
 *
 *   p = Σ N_s/N · p_s,   low = Σ N_s/N · low_s,   high = Σ N_s/N · high_s,   stratum k with error α · 3/4 · (1/4)^(k − 1)
 *
 * in the order in which they appeared. The shares add up to α whatever is still to come and never change (Bonferroni), so
 * it covers at every look, as `confidence-sequence.ts` does. One stratum alone has a band that is about 2 % wider than
 * without that reserve; where a large one comes second, third, fifth or seventh, the band is 1.1, 1.2, 1.3 to 1.4 or 1.45
 * to 1.6 times as wide. A stratum of which nothing was judged reaches from 0 to 1 and leaves the estimate to the others. Corrected
 * for the grader's error as in `corrected-rate.ts`, each stratum alone.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type Count, type Estimate, type GraderError, roganGladenEstimate } from '@plumbline/evals'
import { betaBinomialBounds, checkedConfidence, type SequenceOptions } from './confidence-sequence.ts'
import { correctedRate } from './corrected-rate.ts'
import { noData, notEvaluated, ok, type Reading } from './reading.ts'

/** `n` of `answers` were judged, `hits` of these flagged. */
export interface RateStratum extends Count {
  readonly answers: number
}

export interface StratifiedRate {
  readonly raw: Estimate
  /** Undefined where the grader's error is not known, or does not fit what it says here. */
  readonly corrected: Estimate | undefined
  /** Why `corrected` is undefined. */
  readonly reason: string | null
}

/** Of the error, for the stratum that appeared at this place: three quarters of what those before it left. */
export const shareAt = (place: number) => 0.75 * 0.25 ** place

const misfit =
  'fewer are flagged than labelled texts were by mistake, so the error that was measured there does not hold here'

/** `strata` in the order in which they appeared, also those of which nothing was judged yet. */
export function stratifiedRate(
  strata: readonly RateStratum[],
  calibration: GraderError | undefined,
  { confidence = 0.95 }: SequenceOptions = {},
): Reading<StratifiedRate> {
  const alpha = 1 - checkedConfidence(confidence)
  const wrong = strata.find(({ answers, n }) => answers < n)
  if (wrong !== undefined)
    throw new PlumblineError('INVALID_COUNT', `${wrong.n} of ${wrong.answers} answers judged: there cannot be more.`)
  const answers = strata.reduce((sum, one) => sum + one.answers, 0)
  const judged = strata.map((one, place) => ({ ...one, error: alpha * shareAt(place) })).filter(({ n }) => n > 0)
  if (answers === 0) return noData('There was no answer.')
  if (judged.length === 0) return notEvaluated(`None of ${answers} answers was judged.`)
  const seen = judged.reduce((sum, one) => sum + one.answers, 0)
  const over = (bands: readonly Estimate[]): Estimate => {
    const sum = (read: (band: Estimate) => number, of: number) =>
      bands.reduce((total, band, s) => total + (judged[s].answers / of) * read(band), 0)
    const unseen = (answers - seen) / answers
    return {
      estimate: sum(({ estimate }) => estimate, seen),
      low: sum(({ low }) => low, answers),
      high: Math.min(1, sum(({ high }) => high, answers) + unseen),
    }
  }
  const raw = over(judged.map(({ hits, n, error }) => betaBinomialBounds({ hits, n }, error)))
  const bands: Estimate[] = []
  for (const { hits, n, error } of judged) {
    const reading = correctedRate({ hits, n }, calibration, { confidence: 1 - error })
    if (reading.status === 'uncalibrated') return ok({ raw, corrected: undefined, reason: 'its error is not known' })
    if (reading.status !== 'ok') return reading
    bands.push(reading)
  }
  const { low, high } = over(bands)
  // All of the band below zero, and cut there: a sure zero would be a lie.
  if (high === 0) return ok({ raw, corrected: undefined, reason: misfit })
  // Cutting each stratum's estimate to [0, 1] would lift their sum: the whole is corrected at once.
  const estimate = Math.min(high, Math.max(low, roganGladenEstimate(raw.estimate, calibration!)))
  return ok({ raw, corrected: { estimate, low, high }, reason: null })
}
