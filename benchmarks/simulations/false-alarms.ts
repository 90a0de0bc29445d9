/**
 * False alarms in quiet months over what the user allowed. The months of one deployment follow each other and the detector
 * goes on after each alarm, so evidence left over from one month counts in the next.
 */
import { createRandom } from '@plumbline/engine'
import { type DetectorState, detection, observe, restart } from '@plumbline/monitor'
import {
  ANSWERS_A_DAY,
  assumed,
  BASELINE_ANSWERS,
  DAYS_A_MONTH,
  detectorFor,
  FALSE_ALARMS_A_YEAR,
  RATE,
} from './alarm-setting.ts'
import { binomialSampler } from './binomial.ts'
import type { SimulatedFigure, SimulationOptions } from './simulation.ts'

/** With a baseline of its own each; the rest of the months are spread over them. */
const MONTHS_A_DEPLOYMENT = 10

const goal = { text: '≤ 1.0', isMet: (value: number) => value <= 1 }

export const falseAlarms: readonly SimulatedFigure[] = [
  {
    name: 'false_alarms_known_baseline',
    title: 'false alarms over nominal, true rate as baseline, looked at daily',
    goal,
    run: (options) => quietMonths(options, { kind: 'known', looksADay: 1 }),
  },
  {
    name: 'false_alarms_frequent_looks',
    title: 'false alarms over nominal, true rate as baseline, looked at every 40 answers',
    goal,
    run: (options) => quietMonths(options, { kind: 'known', looksADay: 25 }),
  },
  {
    name: 'false_alarms_estimated_baseline',
    title: 'false alarms over nominal, baseline from 30 days, looked at daily',
    goal,
    run: (options) => quietMonths(options, { kind: 'estimated', looksADay: 1 }),
  },
]

function quietMonths(
  { runs: months, seed }: SimulationOptions,
  { kind, looksADay }: { readonly kind: 'known' | 'estimated'; readonly looksADay: number },
) {
  const random = createRandom(seed).fork(`quiet ${kind} ${looksADay}`)
  const n = ANSWERS_A_DAY / looksADay
  const draw = binomialSampler(n, RATE)
  const drawBaseline = binomialSampler(BASELINE_ANSWERS, RATE)
  const looks = DAYS_A_MONTH * looksADay
  let alarms = 0
  let state: DetectorState | undefined
  for (let month = 0; month < months; month++) {
    if (state === undefined || (kind === 'estimated' && month % MONTHS_A_DEPLOYMENT === 0))
      state = detectorFor(kind, () => drawBaseline(random))
    for (let look = 0; look < looks; look++) {
      state = observe(state, { hits: draw(random), n })
      const found = detection(state)
      if (found.status !== 'ok' || !found.isAlarm) continue
      alarms++
      state = restart(state)
    }
  }
  const allowed = (months * DAYS_A_MONTH * FALSE_ALARMS_A_YEAR) / 365
  const details = { alarms, allowed, standard_error: Number((Math.sqrt(alarms) / allowed).toFixed(3)), ...assumed }
  return { value: alarms / allowed, details }
}
