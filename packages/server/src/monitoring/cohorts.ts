import type { MonitoringOverview, ReadingState } from '@plumbline/contracts'
import { cohortGaps } from '@plumbline/monitor'
import { type CohortRow, restCohort } from '@plumbline/store'
import { banded } from './readings.ts'

type CohortGap = MonitoringOverview['cohorts'][number]

/** Callers may name as many as they like: the largest are compared, the rest is one more. */
const mostCohorts = 20

/** Each cohort beside the others of its attribute. `rows` are sums over the days, the largest first. */
export function cohortReadings(rows: readonly CohortRow[]): CohortGap[] {
  const groups = Map.groupBy(rows, ({ evaluator, version, attribute }) =>
    JSON.stringify([evaluator, version, attribute]),
  )
  return [...groups.values()].flatMap((group) => {
    const { evaluator, attribute } = group[0]
    return gapsOf(group).map((gap) => ({ evaluator, attribute, ...gap }))
  })
}

function gapsOf(group: readonly CohortRow[]): Omit<CohortGap, 'evaluator' | 'attribute'>[] {
  const isNamed = ({ cohort }: CohortRow) => cohort !== restCohort
  const largest = group.filter(isNamed).slice(0, mostCohorts)
  const shown = largest.map(({ cohort, flagged, judged }) => ({ cohort, hits: flagged, n: judged }))
  const rest = group.filter((row) => !largest.includes(row))
  const sum = (key: 'flagged' | 'judged') => rest.reduce((total, row) => total + row[key], 0)
  const all = rest.length === 0 ? shown : [...shown, { cohort: restCohort, hits: sum('flagged'), n: sum('judged') }]
  return cohortGaps(all).map(({ cohort, reading }, i) => {
    const counts = { cohort, judged: all[i].n, flagged: all[i].hits }
    if (reading.status === 'ok') {
      const { rate, rest: others, gap, isGap } = reading
      const bands = { rate: banded(rate), rest: banded(others), gap: banded(gap) }
      return { ...counts, state: 'measured', reason: null, ...bands, is_gap: isGap }
    }
    const state: ReadingState = reading.status === 'no data' ? 'no_data' : 'not_evaluated'
    return { ...counts, state, reason: reading.reason, rate: null, rest: null, gap: null, is_gap: null }
  })
}
