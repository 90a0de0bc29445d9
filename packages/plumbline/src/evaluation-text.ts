/** What `plumb evaluate` tells a person. */
import type { Calibration, CalibrationRun, EvaluationSummary, Evaluator } from '@plumbline/evals'

interface Range {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

export function summaryLines({
  evaluator,
  version,
  n,
  flagged,
  rate,
  corrected,
  measuredOn,
  labels,
  setAside,
  errors,
}: EvaluationSummary): string[] {
  const failed = Object.entries(errors)
  return [
    `${evaluator} ${version}`,
    rate === undefined
      ? 'no answer has a verdict: there is no rate'
      : `flagged    ${percent(rate)}: ${flagged} of ${n}`,
    ...(corrected === undefined ? [] : [`corrected  ${correctedText(corrected, measuredOn)}`]),
    `labels     ${listed(Object.entries(labels)) || 'none'}`,
    ...(setAside === 0 ? [] : [`set aside  ${setAside}`]),
    ...(failed.length === 0 ? [] : [`errors     ${listed(failed)}`]),
  ]
}

function correctedText(corrected: Exclude<EvaluationSummary['corrected'], undefined>, measuredOn = ''): string {
  if (corrected === 'uncalibrated') return 'uncalibrated: its error was not measured, so the share above may be far off'
  if (corrected === 'unusable') return 'not possible: on its labels this evaluator is no better than chance'
  return `${percent(corrected)}, for its error on ${measuredOn}`
}

export function calibrationLines({ calibration, errors, setAside }: CalibrationRun): string[] {
  return [
    `${calibration.evaluator} ${calibration.version} on ${calibration.dataset}`,
    ...errorLines(calibration),
    ...(setAside === 0 ? [] : [`set aside    ${setAside}`]),
    ...(errors === 0 ? [] : [`errors       ${errors}`]),
  ]
}

export function evaluatorLines(
  { name, summary, version, needs }: Evaluator,
  calibration: Calibration | undefined,
): string[] {
  const wants = needs === undefined ? '' : ` (needs ${needs.join(', ')})`
  return [
    `${name}: ${summary}${wants}`,
    `  version      ${version}`,
    ...(calibration === undefined ? ['  uncalibrated'] : errorLines(calibration).map((line) => `  ${line}`)),
  ]
}

function errorLines({ sensitivity, specificity, auc, method }: Calibration): string[] {
  return [
    `sensitivity  ${percent(sensitivity)}: ${sensitivity.hits} of ${sensitivity.n}`,
    `specificity  ${percent(specificity)}: ${specificity.hits} of ${specificity.n}`,
    ...(auc === undefined
      ? []
      : [`AUC          ${auc.estimate.toFixed(3)} (${auc.low.toFixed(3)}–${auc.high.toFixed(3)})`]),
    `method       ${method}`,
  ]
}

function percent({ estimate, low, high }: Range): string {
  const one = (share: number) => (share * 100).toFixed(1)
  return `${one(estimate)} % (${one(low)}–${one(high)})`
}

function listed(entries: readonly (readonly [string, number])[]): string {
  return entries.map(([name, count]) => `${name} ${count}`).join(', ')
}
