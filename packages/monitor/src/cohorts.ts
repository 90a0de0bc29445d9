/**
 * Gaps in an outcome between cohorts that the caller names (languages, products, declared groups; never inferred): each
 * cohort against all others, valid at every look and over all cohorts together. Of K cohorts each rate and each rest gets
 * a confidence sequence with error α / 2K (Bonferroni), and a gap reaches from the one's end to the other's.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type Count, checkedCount, type Estimate } from '@plumbline/evals'
import { betaBinomialBounds, checkedConfidence, type SequenceOptions } from './confidence-sequence.ts'
import { noData, notEvaluated, ok, type Reading } from './reading.ts'

export interface CohortOutcome extends Count {
  readonly cohort: string
}

export interface CohortGap {
  readonly rate: Estimate
  readonly rest: Estimate
  /** Rate minus that of the others. */
  readonly gap: Estimate
  /** Whether the gap's interval leaves 0 out. */
  readonly isGap: boolean
  readonly hits: number
  readonly n: number
}

interface GapOptions extends SequenceOptions {
  /** A cohort with fewer answers is not shown: it tells nothing, and may tell on a person. */
  readonly fewest?: number
}

/** In the order given. K is the number of cohorts passed: fix it before looking. */
export function cohortGaps(
  outcomes: readonly CohortOutcome[],
  { confidence = 0.95, fewest = 30 }: GapOptions = {},
): { readonly cohort: string; readonly reading: Reading<CohortGap> }[] {
  const names = outcomes.map(({ cohort }) => cohort)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw new PlumblineError('INVALID_VALUE', `cohort ${JSON.stringify(twice)} is given twice: add its counts up.`)
  for (const { hits, n } of outcomes) if (n !== 0 || hits !== 0) checkedCount({ hits, n })
  const alpha = (1 - checkedConfidence(confidence)) / (2 * outcomes.length)
  const sum = (pick: (count: Count) => number) => outcomes.reduce((total, outcome) => total + pick(outcome), 0)
  const all = { hits: sum(({ hits }) => hits), n: sum(({ n }) => n) }
  return outcomes.map(({ cohort, hits, n }) => ({ cohort, reading: gapOf({ hits, n }, all, { alpha, fewest }) }))
}

function gapOf(
  own: Count,
  all: Count,
  { alpha, fewest }: { readonly alpha: number; readonly fewest: number },
): Reading<CohortGap> {
  const others = { hits: all.hits - own.hits, n: all.n - own.n }
  if (own.n === 0) return noData('No answer of this cohort was judged.')
  if (Math.min(own.n, others.n) < fewest)
    return notEvaluated(`${own.n} answers of this cohort and ${others.n} of the others: both need ${fewest}.`)
  const rate = betaBinomialBounds(own, alpha)
  const rest = betaBinomialBounds(others, alpha)
  const gap = { estimate: rate.estimate - rest.estimate, low: rate.low - rest.high, high: rate.high - rest.low }
  return ok({ rate, rest, gap, isGap: gap.low > 0 || gap.high < 0, ...own })
}
