import type { EvaluatorList } from '@plumbline/contracts'
import { type Calibration, calibrationOf } from '@plumbline/evals'
import { watchStateSchema } from '@plumbline/monitor'
import type { Store } from '@plumbline/store'
import { baselineOf } from './alarm-detail.ts'
import { liveFacts, liveLabelsOf, rateFacts } from './live-calibration.ts'
import { evaluatorReadings, type Range } from './overview.ts'
import type { MonitoringPlan } from './plan.ts'
import { banded } from './readings.ts'

type Listed = EvaluatorList['data'][number]

/** What judges here, how well it is known to, and how far its detector is. */
export async function listEvaluators(store: Store, plan: MonitoringPlan, range: Range): Promise<EvaluatorList> {
  const { monitoring } = store
  const [sums, detectors, labels] = await Promise.all([
    monitoring.sums(range),
    monitoring.detectors(range.project),
    store.review.sampleLabels(range.project),
  ])
  const readings = await evaluatorReadings(plan, { ...sums, labels }, [])
  const current = plan.lanes.flatMap(({ name: lane, evaluators }) => evaluators.map((one) => ({ ...one, lane })))
  const data: Listed[] = []
  for (const {
    evaluator,
    version,
    summary,
    state,
    reason,
    is_current,
    is_calibrated,
    corrected_by,
    judged,
    flagged,
    set_aside,
    errors,
  } of readings) {
    const known = current.find((one) => one.name === evaluator && one.version === version)
    const calibration = known && calibrationOf(known)
    const lane =
      known?.lane ?? sums.rates.find((row) => row.evaluator === evaluator && row.version === version)?.lane ?? ''
    const stored = detectors.find((one) => one.evaluator === evaluator && one.version === version)
    const key = { project: range.project, evaluator, version }
    const until = '9999-12-31T00:00:00Z'
    const [failed] = await monitoring.findEvaluations(key, { outcome: 'error', until, limit: 1 })
    data.push({
      ...{ evaluator, version, summary, state, reason, is_current, is_calibrated, corrected_by },
      ...{ judged, flagged, set_aside, errors },
      flags: [...(known?.flags ?? [])],
      calibration: calibration === undefined ? null : calibrationFacts(calibration),
      live: liveFacts(liveLabelsOf({ evaluator, version, lane }, labels, plan)),
      detector: stored === undefined ? null : detectorFacts(stored.state, plan),
      last_evaluated_day:
        sums.rates.findLast((row) => row.evaluator === evaluator && row.version === version)?.day ?? null,
      last_error: failed === undefined ? null : { code: String(failed.error), record: failed.record, at: failed.at },
    })
  }
  const { drawn, settled, discarded, seen, waiting, waitingSince } = labels
  return { sample: { drawn, settled, discarded, seen, waiting, waiting_since: waitingSince }, data }
}

function calibrationFacts({
  dataset,
  method,
  date,
  sensitivity,
  specificity,
  auc,
}: Calibration): Listed['calibration'] {
  return {
    dataset,
    method,
    date,
    sensitivity: rateFacts(sensitivity),
    specificity: rateFacts(specificity),
    auc: auc === undefined ? null : banded(auc),
  }
}

function detectorFacts(stored: unknown, { watch }: MonitoringPlan): Listed['detector'] {
  const state = watchStateSchema.safeParse(stored).data
  if (state === undefined) return null
  const nothing = { reason: null, baseline: null, learned: null, false_alarms_per_year: null }
  if (state.phase === 'learning') {
    const { n, days } = state
    const learned = {
      judged: n,
      needs_judged: watch.baselineAnswers,
      // The last day is not whole yet.
      days: Math.max(0, days.length - 1),
      needs_days: watch.baselineDays,
    }
    return { ...nothing, state: 'learning', learned }
  }
  const baseline = baselineOf(state.baseline)
  if (state.phase === 'unusable') return { ...nothing, state: 'unusable', reason: state.reason, baseline }
  return { ...nothing, state: 'watching', baseline, false_alarms_per_year: state.falseAlarmsPerYear }
}
