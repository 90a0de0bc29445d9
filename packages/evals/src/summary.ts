/** Many evaluations in one: the rate with its interval, corrected where the evaluator's error is known. */
import { PlumblineError } from '@plumbline/contracts'
import { type Calibration, calibrationOf, type Evaluation, type Evaluator } from './evaluator.ts'
import { type Estimate, roganGladen, wilson } from './proportions.ts'

export interface EvaluationSummary {
  readonly evaluator: string
  readonly version: string
  /** Answers with a verdict, and those flagged among them. */
  readonly n: number
  readonly flagged: number
  /** Undefined where there is no verdict: no data is no rate. */
  readonly rate: Estimate | undefined
  /** Rogan–Gladen. `uncalibrated`: no error was measured for this version; `unusable`: it is no better than chance. */
  readonly corrected: Estimate | 'uncalibrated' | 'unusable' | undefined
  /** The labelled rows behind the correction. */
  readonly measuredOn: string | undefined
  readonly labels: Readonly<Record<string, number>>
  /** Answers with a label that is no verdict. */
  readonly setAside: number
  readonly errors: Readonly<Record<string, number>>
}

export function summarise(
  evaluator: Evaluator,
  evaluations: readonly Evaluation[],
  given?: Calibration,
): EvaluationSummary {
  const labels: Record<string, number> = {}
  const errors: Record<string, number> = {}
  for (const evaluation of evaluations) {
    const [counts, key] = 'error' in evaluation ? [errors, evaluation.error.code] : [labels, evaluation.label]
    counts[key] = (counts[key] ?? 0) + 1
  }
  const count = (wanted: readonly string[]) => wanted.reduce((sum, label) => sum + (labels[label] ?? 0), 0)
  const hits = count(evaluator.flags)
  const n = hits + count(evaluator.passes)
  const calibration = calibrationOf(evaluator, given)
  return {
    evaluator: evaluator.name,
    version: evaluator.version,
    n,
    flagged: hits,
    rate: n === 0 ? undefined : wilson({ hits, n }),
    corrected: n === 0 ? undefined : corrected({ hits, n }, calibration),
    measuredOn: calibration?.dataset,
    labels,
    setAside: Object.values(labels).reduce((sum, m) => sum + m, 0) - n,
    errors,
  }
}

function corrected(count: { hits: number; n: number }, calibration: Calibration | undefined) {
  if (calibration === undefined) return 'uncalibrated'
  try {
    return roganGladen(count, calibration)
  } catch (error) {
    if (error instanceof PlumblineError && error.code === 'UNUSABLE_GRADER') return 'unusable'
    throw error
  }
}
