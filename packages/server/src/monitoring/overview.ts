import { setImmediate as breathe } from 'node:timers/promises'
import type { MonitoringOverview } from '@plumbline/contracts'
import { calibrationOf, type Evaluator } from '@plumbline/evals'
import type { MonitorSums, RateRow, SampleLabels, Store, TrafficRow } from '@plumbline/store'
import { cohortReadings } from './cohorts.ts'
import { counterfactualReading } from './counterfactual/reading.ts'
import { driftReading } from './drift/reading.ts'
import { correctionBy, liveLabelsOf } from './live-calibration.ts'
import type { MonitoringPlan } from './plan.ts'
import { readingOf } from './readings.ts'

const dayMs = 86_400_000
const shownAlarms = 20

export interface Range {
  readonly project: string
  readonly from: string
  readonly to: string
}

/** Everything that the first page shows, from the sums alone. */
export async function readOverview(store: Store, plan: MonitoringPlan, range: Range): Promise<MonitoringOverview> {
  const { monitoring } = store
  const { counterfactual, errorBudget } = plan
  const [sums, labels, pending, alarms, pairs] = await Promise.all([
    monitoring.sums(range),
    store.review.sampleLabels(range.project),
    monitoring.pending('records'),
    monitoring.listAlarms(range.project, { limit: shownAlarms, state: 'open' }),
    counterfactual && monitoring.pairs(range),
  ])
  const days = daysOf(range)
  return {
    from: range.from,
    to: range.to,
    days: days.map((day) => volumesOf(day, sums)),
    pending,
    evaluators: await evaluatorReadings(plan, { ...sums, labels }, days),
    drift: sums.drift === undefined ? null : driftReading(sums.drift),
    cohorts: cohortReadings(sums.cohorts),
    counterfactual:
      pairs === undefined || counterfactual === undefined
        ? null
        : counterfactualReading(pairs, { plan: counterfactual, errorBudget }),
    open_alarms: [...alarms.data],
    releases: sums.marks.map(({ at, kind, name }) => ({ at, kind, name })),
  }
}

export function daysOf({ from, to }: Pick<Range, 'from' | 'to'>): string[] {
  const count = Math.round((Date.parse(to) - Date.parse(from)) / dayMs) + 1
  return Array.from({ length: count }, (_, i) => new Date(Date.parse(from) + i * dayMs).toISOString().slice(0, 10))
}

function volumesOf(day: string, { traffic, rates }: MonitorSums): MonitoringOverview['days'][number] {
  const own = traffic.filter((row) => row.day === day && row.lane === 'records')
  const sum = (read: (row: TrafficRow) => number) => own.reduce((total, row) => total + read(row), 0)
  return {
    day,
    answers: sum(({ answers }) => answers),
    failed: sum(({ failed }) => failed),
    sampled: sum(({ sampled }) => sampled),
    evaluated: sum(({ evaluated }) => evaluated),
    errors: rates.filter((row) => row.day === day).reduce((total, { errors }) => total + errors, 0),
  }
}

/** Those that are configured, and other versions that have readings in these days; of these the ones that are asked for. */
export async function evaluatorReadings(
  plan: MonitoringPlan,
  sums: Pick<MonitorSums, 'rates' | 'traffic'> & { readonly labels: SampleLabels },
  days: readonly string[],
  isAsked: (one: Pick<RateRow, 'evaluator' | 'version'>) => boolean = () => true,
): Promise<MonitoringOverview['evaluators']> {
  const current = plan.lanes.flatMap(({ name, evaluators }) =>
    evaluators.map((evaluator) => ({ lane: name, evaluator })),
  )
  const nameOf = ({ evaluator, version }: Pick<RateRow, 'evaluator' | 'version'>) => `${evaluator} ${version}`
  const known = new Set(current.map(({ evaluator: { name, version } }) => `${name} ${version}`))
  const others = [...Map.groupBy(sums.rates, nameOf)].filter(([name]) => !known.has(name)).map(([, [row]]) => row)
  const listed = [
    ...current.map(({ lane, evaluator }) => ({ lane, ...factsOf(evaluator), isCurrent: true })),
    ...others.map(({ lane, evaluator, version }) => ({
      lane,
      ...factsOf({ name: evaluator, version }),
      isCurrent: false,
    })),
  ]
  const readings: MonitoringOverview['evaluators'] = []
  for (const { lane, isCurrent, evaluator, version, summary, calibration } of listed.filter(isAsked)) {
    const rates = sums.rates.filter((row) => row.evaluator === evaluator && row.version === version)
    const worked = new Set(rates.map(({ day }) => day))
    const laneTraffic = sums.traffic.filter((row) => row.lane === lane)
    // Answers of days before it came, or after it went, say nothing of it. One that has no day at all has all of them.
    const traffic = worked.size === 0 ? laneTraffic : laneTraffic.filter(({ day }) => worked.has(day))
    const correction = correctionBy(calibration, liveLabelsOf({ evaluator, version, lane }, sums.labels, plan))
    const options = { calibration: correction?.error, errorBudget: plan.errorBudget }
    const byDay: MonitoringOverview['evaluators'][number]['days'] = []
    for (const day of days) {
      // A reading takes about a millisecond: the gateway's requests go in between.
      await breathe()
      const on = (row: { readonly day: string }) => row.day === day
      byDay.push({ day, ...readingOf(rates.filter(on), laneTraffic.filter(on), options) })
    }
    readings.push({
      evaluator,
      version,
      summary,
      is_calibrated: correction !== undefined,
      corrected_by: correction?.by ?? null,
      is_current: isCurrent,
      ...readingOf(rates, traffic, options),
      days: byDay,
    })
  }
  return readings
}

function factsOf(evaluator: Pick<Evaluator, 'name' | 'version'> & Partial<Evaluator>) {
  const { name, version, summary = 'not configured here any more' } = evaluator
  const calibration = 'calibration' in evaluator ? calibrationOf(evaluator as Evaluator) : undefined
  return { evaluator: name, version, summary, calibration }
}
