import type { Estimate, ReadingState } from '@plumbline/contracts'
import type { GraderError, Estimate as Interval } from '@plumbline/evals'
import { type RateStratum, stratifiedRate } from '@plumbline/monitor'
import type { RateRow, TrafficRow } from '@plumbline/store'

/** What an evaluator's verdicts over some days say: the numbers, or why there are none. */
export interface DayReading {
  readonly state: ReadingState
  readonly reason: string | null
  readonly judged: number
  readonly flagged: number
  readonly set_aside: number
  readonly errors: number
  readonly raw: Estimate | null
  readonly corrected: Estimate | null
}

interface ReadOptions {
  readonly calibration: GraderError | undefined
  /** Share of failed judgements from which there is no rate. */
  readonly errorBudget: number
}

/** `rates` are of one version of one evaluator; `traffic` is its lane's, of days that it was at work. */
export function readingOf(
  rates: readonly RateRow[],
  traffic: readonly TrafficRow[],
  { calibration, errorBudget }: ReadOptions,
): DayReading {
  const sum = (read: (row: RateRow) => number) => rates.reduce((total, row) => total + read(row), 0)
  const counts = {
    judged: sum(({ judged }) => judged),
    flagged: sum(({ flagged }) => flagged),
    set_aside: sum(({ setAside }) => setAside),
    errors: sum(({ errors }) => errors),
  }
  const none = (state: ReadingState, reason: string): DayReading => ({
    ...counts,
    state,
    reason,
    raw: null,
    corrected: null,
  })
  const answers = traffic.reduce((total, row) => total + row.answers, 0)
  if (answers === 0) return none('no_data', 'There was no answer.')
  const tried = counts.judged + counts.errors
  if (counts.errors > 0 && counts.errors / tried > errorBudget)
    return none('error', `${counts.errors} of ${tried} judgements failed; the budget is ${percent(errorBudget)}.`)
  if (counts.judged === 0)
    return none(
      'not_evaluated',
      counts.set_aside > 0
        ? `All ${counts.set_aside} answers that were drawn had nothing that it can judge.`
        : `None of ${answers} answers was judged.`,
    )
  const reading = stratifiedRate(strataOf(rates, traffic), calibration)
  if (reading.status !== 'ok') return none('error', reading.reason)
  const { raw, corrected, reason } = reading
  return {
    ...counts,
    state: 'measured',
    reason,
    raw: banded(raw),
    corrected: corrected ? banded(corrected) : null,
  }
}

/** Answers with one probability of being drawn, whichever day they are of, in the order in which they first came. */
function strataOf(rates: readonly RateRow[], traffic: readonly TrafficRow[]): RateStratum[] {
  const strata = new Map<number, { answers: number; n: number; hits: number }>()
  const at = (probability: number) => {
    const one = strata.get(probability) ?? { answers: 0, n: 0, hits: 0 }
    strata.set(probability, one)
    return one
  }
  for (const { probability, answers } of traffic) at(probability).answers += answers
  for (const { probability, judged, flagged } of rates) {
    const one = at(probability)
    one.n += judged
    one.hits += flagged
  }
  // One without answers keeps its place.
  return [...strata.values()].map((one) => (one.answers > 0 ? one : { answers: 0, n: 0, hits: 0 }))
}

export function banded({ estimate, low, high }: Interval): Estimate {
  return { value: estimate, low, high }
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`
}
