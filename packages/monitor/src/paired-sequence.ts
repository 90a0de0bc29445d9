/**
 * Pairs of yes-or-no outcomes that may be looked at after every pair: how often the two differ, and to which side. With a
 * the rate of pairs in which only the first is flagged and b that in which only the second is, each in a confidence
 * sequence with error α / 2 (`stratified-rate.ts`),
 *
 *   flips = a + b ∈ [a_low + b_low, a_high + b_high],   gap = a − b ∈ [a_low − b_high, a_high − b_low]
 *
 * both at all looks together. `counterfactual.ts` is shorter and for one look alone. Pairs were drawn with the probability
 * of their stratum, and how many there would have been is reckoned from it: n / probability. With one stratum that
 * changes nothing.
 */
import { PlumblineError } from '@plumbline/contracts'
import type { Estimate } from '@plumbline/evals'
import { checkedConfidence, type SequenceOptions } from './confidence-sequence.ts'
import { noData, ok, type Reading } from './reading.ts'
import { stratifiedRate } from './stratified-rate.ts'

export interface PairedStratum {
  /** With which each of its pairs was drawn. */
  readonly probability: number
  readonly pairs: number
  readonly onlyFirst: number
  readonly onlySecond: number
}

export interface PairedRates {
  readonly flipRate: Estimate
  /** Rate of the first minus rate of the second. */
  readonly gap: Estimate
  /** Whether the gap's interval leaves 0 out. */
  readonly isGap: boolean
}

/** `strata` in the order in which they appeared. */
export function pairedSequence(
  strata: readonly PairedStratum[],
  { confidence = 0.95 }: SequenceOptions = {},
): Reading<PairedRates> {
  const share = (1 - checkedConfidence(confidence)) / 2
  for (const { probability, pairs, onlyFirst, onlySecond } of strata)
    if (!(probability > 0 && probability <= 1) || onlyFirst + onlySecond > pairs)
      throw new PlumblineError(
        'INVALID_COUNT',
        `${onlyFirst} and ${onlySecond} of ${pairs} pairs differ, drawn with probability ${probability}: that cannot be.`,
      )
  if (strata.every(({ pairs }) => pairs === 0)) return noData('There are no pairs.')
  const rate = (hits: (stratum: PairedStratum) => number) =>
    stratifiedRate(
      strata.map((one) => ({ answers: Math.round(one.pairs / one.probability), n: one.pairs, hits: hits(one) })),
      undefined,
      { confidence: 1 - share },
    )
  const first = rate(({ onlyFirst }) => onlyFirst)
  const second = rate(({ onlySecond }) => onlySecond)
  if (first.status !== 'ok') return first
  if (second.status !== 'ok') return second
  const [a, b] = [first.raw, second.raw]
  const flipRate = { estimate: a.estimate + b.estimate, low: a.low + b.low, high: Math.min(1, a.high + b.high) }
  const gap = { estimate: a.estimate - b.estimate, low: a.low - b.high, high: a.high - b.low }
  return ok({ flipRate, gap, isGap: gap.low > 0 || gap.high < 0 })
}
