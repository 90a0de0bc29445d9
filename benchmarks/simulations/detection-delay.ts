/**
 * How long a rise by 20 % stays unseen, against two bounds on Lorden's worst-case delay at the same mean time A to a false
 * alarm, with the two true rates p and q = 1.2 p:
 *
 *   Lorden 1971 (Ann. Math. Statist. 42:1897–1908): ln A / KL(q ‖ p), to which the least delay tends as A grows
 *   Moustakides 1986 (Ann. Statist. 14:1379–1387): the delay of Page's CUSUM between p and q, which none beats at any A
 *
 * The change comes while the detector is fresh, which is the worst moment for Shiryaev–Roberts: it has no evidence yet.
 */
import { createRandom } from '@plumbline/engine'
import { detection, klBernoulli, observe } from '@plumbline/monitor'
import { ANSWERS_A_DAY, assumed, BASELINE_ANSWERS, detectorFor, RATE } from './alarm-setting.ts'
import { binomialSampler } from './binomial.ts'
import { leastDelay } from './cusum.ts'
import type { SimulatedFigure, SimulationOptions } from './simulation.ts'

const RISEN = 1.2 * RATE
/** A run is ended there and counts with this delay. */
const LONGEST_DAYS = 3650

const lorden = Math.log(assumed.arl_answers) / klBernoulli(RISEN, RATE)
const goal = { text: '≤ 1.3', isMet: (value: number) => value <= 1.3 }

export const detectionDelays: readonly SimulatedFigure[] = [
  {
    name: 'delay_over_lorden_known_baseline',
    title: 'mean delay over ln(A)/KL, 2 % to 2.4 %, true rate as baseline',
    goal,
    run: (options) => meanDelay('known', options),
  },
  {
    name: 'delay_over_lorden_estimated_baseline',
    title: 'mean delay over ln(A)/KL, 2 % to 2.4 %, baseline from 30 days',
    goal,
    run: (options) => meanDelay('estimated', options),
  },
]

function meanDelay(kind: 'known' | 'estimated', { runs, seed }: SimulationOptions) {
  const random = createRandom(seed).fork(`delay ${kind}`)
  const draw = binomialSampler(ANSWERS_A_DAY, RISEN)
  const drawBaseline = binomialSampler(BASELINE_ANSWERS, RATE)
  const days = Array.from({ length: runs }, () => {
    let state = detectorFor(kind, () => drawBaseline(random))
    for (let day = 1; day < LONGEST_DAYS; day++) {
      state = observe(state, { hits: draw(random), n: ANSWERS_A_DAY })
      const found = detection(state)
      if (found.status === 'ok' && found.isAlarm) return day
    }
    return LONGEST_DAYS
  }).sort((a, b) => a - b)
  const mean = days.reduce((sum, day) => sum + day, 0) / runs
  const spread = Math.sqrt(days.reduce((sum, day) => sum + (day - mean) ** 2, 0) / runs)
  const value = (mean * ANSWERS_A_DAY) / lorden
  const least = leastDelay({ rate: RATE, risen: RISEN, arl: assumed.arl_answers })
  const rounded = (x: number) => Number(x.toPrecision(3))
  const details = {
    bound: 'ln(ARL)/KL(Bernoulli(0.024) || Bernoulli(0.02))',
    bound_days: rounded(lorden / ANSWERS_A_DAY),
    mean_days: rounded(mean),
    median_days: days[runs >> 1],
    p95_days: days[Math.floor(runs * 0.95)],
    not_found: days.filter((day) => day === LONGEST_DAYS).length,
    standard_error: rounded((value * spread) / (mean * Math.sqrt(runs))),
    least_delay_days: rounded(least / ANSWERS_A_DAY),
    over_least_delay: rounded((mean * ANSWERS_A_DAY) / least),
    risen_to: RISEN,
    ...assumed,
  }
  return { value, details }
}
