import type { CalibrationSource, EvaluatorList } from '@plumbline/contracts'
import type { Calibration, GraderError, MeasuredRate } from '@plumbline/evals'
import { ENOUGH_LABELS, type LiveCalibration, liveCalibration } from '@plumbline/monitor'
import type { LabelledVerdicts, SampleLabels } from '@plumbline/store'
import { type MonitoringPlan, sampleLane } from './plan.ts'
import { banded } from './readings.ts'

/** One version of an evaluator, and the lane that it judges in. */
export interface LaneEvaluator {
  readonly evaluator: string
  readonly version: string
  readonly lane: string
}

/** What reviewers' decisions on live answers say of one version of an evaluator. */
export interface LiveLabels extends LiveCalibration {
  /** Undefined where nothing says which labels it should flag. */
  readonly question: readonly string[] | undefined
  readonly verdicts: readonly LabelledVerdicts[]
}

export function liveLabelsOf(
  { evaluator, version, lane }: LaneEvaluator,
  { verdicts: all }: SampleLabels,
  { review, lanes }: Pick<MonitoringPlan, 'review' | 'lanes'>,
): LiveLabels {
  const question = Object.hasOwn(review.labels, evaluator) ? review.labels[evaluator] : undefined
  const verdicts =
    question === undefined ? [] : all.filter((one) => one.evaluator === evaluator && one.version === version)
  const labelled = verdicts.map(({ label, category, isFlagged, answers, probability, drawnWith }) => ({
    isFlagged: question!.some((one) => covers(one, category === null ? label : `${label}/${category}`)),
    isHit: isFlagged,
    answers,
    // The sample is drawn among what one lane judged; another one draws on its own.
    probability: lane === sampleLane({ lanes }) ? probability : probability * drawnWith,
  }))
  return { ...liveCalibration(labelled), question, verdicts }
}

/** A label covers its categories, and a category those below it: `harmful/hate` also `harmful/hate/threatening`. */
function covers(asked: string, said: string): boolean {
  return said === asked || said.startsWith(`${asked}/`)
}

/** Labels of live answers go before those of a data set, once there are enough: the answers are these. */
export function correctionBy(
  shipped: Calibration | undefined,
  { error }: Pick<LiveCalibration, 'error'>,
): { readonly error: GraderError; readonly by: CalibrationSource } | undefined {
  if (error !== undefined) return { error, by: 'live_labels' }
  return shipped && { error: shipped, by: 'dataset' }
}

export function liveFacts(live: LiveLabels): EvaluatorList['data'][number]['live'] {
  const { question, verdicts, n, flagged, effective, sensitivity, specificity, error } = live
  const last = (read: (one: LabelledVerdicts) => string) => verdicts.map(read).sort().at(-1) ?? null
  return {
    state: question === undefined ? 'no_question' : error === undefined ? 'too_few' : 'in_use',
    labels: [...(question ?? [])],
    ...{ n, flagged, effective, needs: ENOUGH_LABELS },
    sensitivity: sensitivity === undefined ? null : rateFacts(sensitivity),
    specificity: specificity === undefined ? null : rateFacts(specificity),
    from: verdicts.map(({ from }) => from).sort()[0] ?? null,
    to: last(({ to }) => to),
    settled_at: last(({ settledAt }) => settledAt),
  }
}

export function rateFacts({ hits, n, ...interval }: MeasuredRate) {
  return { ...banded(interval), hits, n }
}
