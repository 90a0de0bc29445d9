import type { MonitoringOverview } from '@plumbline/contracts'
import { axes, mcnemarExact, swapsVersion } from '@plumbline/evals'
import { pairedSequence } from '@plumbline/monitor'
import type { PairSum, PairSums } from '@plumbline/store'
import type { CounterfactualPlan } from '../plan.ts'
import { banded } from '../readings.ts'

type Counterfactual = NonNullable<MonitoringOverview['counterfactual']>
type Reading = Counterfactual['readings'][number]

interface ReadingOptions {
  readonly plan: CounterfactualPlan
  /** Share of failed pairs from which there is no rate. */
  readonly errorBudget: number
}

/** Each axis by each evaluator, in the versions of today; the intervals hold over all of them together. */
export function counterfactualReading({ days, sums }: PairSums, { plan, errorBudget }: ReadingOptions): Counterfactual {
  const sum = (read: (day: PairSums['days'][number]) => number) => days.reduce((total, day) => total + read(day), 0)
  const looked = sum((day) => day.looked)
  const confidence = 1 - 0.05 / (axes.length * plan.evaluators.length)
  const readings = axes.flatMap(({ name: axis, sides: [first, second] }) =>
    plan.evaluators.map(({ name: evaluator, version }): Reading => {
      const own = sums.filter(
        (row) =>
          row.axis === axis && row.evaluator === evaluator && row.version === version && row.swaps === swapsVersion,
      )
      return { axis, first, second, evaluator, version, ...measured(own, { looked, errorBudget, confidence }) }
    }),
  )
  return { looked, named: sum((day) => day.named), not_asked: sum((day) => day.notAsked), readings }
}

function measured(
  rows: readonly PairSum[],
  options: { readonly looked: number; readonly errorBudget: number; readonly confidence: number },
): Omit<Reading, 'axis' | 'first' | 'second' | 'evaluator' | 'version'> {
  const { looked, errorBudget, confidence } = options
  const sum = (read: (row: PairSum) => number) => rows.reduce((total, row) => total + read(row), 0)
  const counts = {
    pairs: sum(({ pairs }) => pairs),
    flips: sum(({ onlyFirst, onlySecond }) => onlyFirst + onlySecond),
    set_aside: sum(({ setAside }) => setAside),
    errors: sum(({ errors }) => errors),
    lost_first: sum(({ lostFirst }) => lostFirst),
    lost_second: sum(({ lostSecond }) => lostSecond),
  }
  const is_lopsided = mcnemarExact(counts.lost_first, counts.lost_second) < 0.05
  const none = (state: Reading['state'], reason: string) => ({
    ...{ ...counts, is_lopsided, state, reason, flip_rate: null, gap: null, is_gap: null },
  })
  const tried = counts.pairs + counts.errors
  if (looked === 0 && tried === 0) return none('no_data', 'No answer was looked at.')
  if (counts.errors > 0 && counts.errors / tried > errorBudget)
    return none('error', `${counts.errors} of ${tried} pairs failed.`)
  if (counts.pairs === 0)
    return none('not_evaluated', `Of ${looked} prompts that were looked at, none made a pair here.`)
  const reading = pairedSequence(rows, { confidence })
  if (reading.status !== 'ok') return none('error', reading.reason)
  const { flipRate, gap, isGap } = reading
  const bands = { flip_rate: banded(flipRate), gap: banded(gap), is_gap: isGap }
  return { ...counts, is_lopsided, state: 'measured', reason: null, ...bands }
}
