/** The setting of all alarm figures; nothing else of the detector is set. */
import { baseline, type DetectorState, startDetector } from '@plumbline/monitor'

export const RATE = 0.02
export const ANSWERS_A_DAY = 1000
export const DAYS_A_MONTH = 30
export const FALSE_ALARMS_A_YEAR = 4
const OBSERVATIONS_A_YEAR = 365 * ANSWERS_A_DAY
/** The reference window that a user has: one month, counted once. */
export const BASELINE_ANSWERS = DAYS_A_MONTH * ANSWERS_A_DAY

/** A detector with its baseline; `known`: the true rate, which makes the hardest quiet month there is. */
export function detectorFor(kind: 'known' | 'estimated', drawBaseline: () => number): DetectorState {
  const rates = { falseAlarmsPerYear: FALSE_ALARMS_A_YEAR, observationsPerYear: OBSERVATIONS_A_YEAR }
  if (kind === 'known') return startDetector({ baseline: { estimate: RATE, upper: RATE }, ...rates })
  const found = baseline({ hits: drawBaseline(), n: BASELINE_ANSWERS })
  if (found.status !== 'ok') throw new Error(`baseline: ${found.reason}`)
  return startDetector({ baseline: found, ...rates })
}

export const assumed = {
  rate: RATE,
  answers_a_day: ANSWERS_A_DAY,
  false_alarms_a_year: FALSE_ALARMS_A_YEAR,
  arl_answers: OBSERVATIONS_A_YEAR / FALSE_ALARMS_A_YEAR,
} as const
