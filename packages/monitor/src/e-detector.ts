/**
 * An alarm for a risen rate with a stated number of false alarms a year: the Shiryaev–Roberts e-detector (Shin, Ramdas &
 * Rinaldo 2023, arXiv 2203.03532, def. 2.2 and eq. 11; Shiryaev 1963, Roberts 1966), a mixture over alternatives.
 *
 *   R_k ← (R_k + n) · Π p_k^x (1 − p_k)^(1 − x) / (p₀^x (1 − p₀)^(1 − x)),   alarm when Σ w_k R_k ≥ A
 *
 * for a batch of n answers; every answer starts one more likelihood ratio, all of a batch at its beginning. While the rate
 * is at most p₀, ΣwR − (answers seen) is a supermartingale, so the mean number of answers to a false alarm is at least A,
 * with no assumption on batches. A = answers a year / false alarms a year. p₀ is the baseline's upper bound.
 *
 * Time does not enter, only the order of batches: missing hours and a clock that goes back change nothing.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type Count, checkedCount } from '@plumbline/evals'
import { z } from 'zod'
import type { Baseline } from './baseline.ts'
import { noData, ok, type Reading } from './reading.ts'

const rate = z.number().gt(0).lt(1)

/** What is kept between batches: plain numbers, so JSON keeps it. */
export const detectorStateSchema = z.object({
  version: z.literal(1),
  /** p₀. */
  upper: rate,
  /** A, in answers. */
  threshold: z.number().gt(1),
  alternatives: z
    .array(
      z.object({
        /** p_k. */
        rate,
        /** w_k; they sum to 1. */
        weight: z.number().gt(0).max(1),
        /** ln(1 + R_k): 0 at the start, and a number in JSON. */
        evidence: z.number().min(0),
      }),
    )
    .min(1)
    .max(64),
  /** Since the start or the last restart. */
  n: z.number().int().min(0),
  hits: z.number().int().min(0),
})
export type DetectorState = Readonly<z.infer<typeof detectorStateSchema>>
type Alternative = DetectorState['alternatives'][number]

interface DetectorOptions {
  readonly baseline: Pick<Baseline, 'estimate' | 'upper'>
  readonly falseAlarmsPerYear: number
  /** Judged answers a year. Where more come, false alarms come more often in proportion. */
  readonly observationsPerYear: number
  /** The smallest rise worth an alarm, over the baseline's estimate: 1.2 is 20 % more. */
  readonly smallestRise?: number
}

export function startDetector({
  baseline,
  falseAlarmsPerYear,
  observationsPerYear,
  smallestRise = 1.2,
}: DetectorOptions): DetectorState {
  const threshold = observationsPerYear / falseAlarmsPerYear
  if (!(falseAlarmsPerYear > 0 && observationsPerYear > 0 && threshold > 1 && Number.isFinite(threshold)))
    throw new PlumblineError(
      'INVALID_VALUE',
      `${falseAlarmsPerYear} false alarms and ${observationsPerYear} answers a year: both must be above 0, and there must be more answers than alarms.`,
    )
  if (!(smallestRise > 1))
    throw new PlumblineError('INVALID_VALUE', `smallest rise ${smallestRise}: it must be above 1; 1.2 is 20 % more.`)
  const { estimate, upper } = baseline
  if (!(estimate >= 0 && estimate <= upper && upper > 0 && upper < 0.9))
    throw new PlumblineError(
      'INVALID_VALUE',
      `baseline ${estimate} with upper bound ${upper}: no rise can be told from it.`,
      {
        hint: 'The bound must be below 0.9. Count the other outcome (answered instead of refused), or collect more.',
      },
    )
  const alternatives = alternativesAbove(upper, Math.max(smallestRise * estimate, upper * (1 + (smallestRise - 1) / 2)))
  return { version: 1, upper, threshold, alternatives, n: 0, hits: 0 }
}

/**
 * Half-way to the smallest rise, as the bound may be too high or too low, the rise itself, then excesses that double.
 * w_k ∝ 1/KL(p_k ‖ p₀): a mixture delays alternative k by about −ln w_k / KL_k answers, and these weights make the sum
 * of the delays least.
 */
function alternativesAbove(upper: number, target: number): Alternative[] {
  const rates: number[] = []
  for (let excess = (target - upper) / 2; upper + excess < (1 + upper) / 2; excess *= 2) rates.push(upper + excess)
  if (rates.length === 0) rates.push((1 + upper) / 2)
  const inverses = rates.map((p) => 1 / klBernoulli(p, upper))
  const total = inverses.reduce((sum, inverse) => sum + inverse, 0)
  return rates.map((p, k) => ({ rate: p, weight: inverses[k] / total, evidence: 0 }))
}

/** KL(Bernoulli(p) ‖ Bernoulli(q)) in nats. */
export function klBernoulli(p: number, q: number): number {
  return p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q))
}

/** The state after a batch of any size; one without answers changes nothing. */
export function observe(state: DetectorState, batch: Count): DetectorState {
  if (batch.n === 0 && batch.hits === 0) return state
  const { hits, n } = checkedCount(batch)
  const alternatives = state.alternatives.map((alternative) => {
    const { rate: p, evidence } = alternative
    const ratio = hits * Math.log(p / state.upper) + (n - hits) * (Math.log1p(-p) - Math.log1p(-state.upper))
    // ln(R + n), from ln(1 + R), without overflow.
    const grown = evidence + Math.log1p((n - 1) * Math.exp(-evidence)) + ratio
    return { ...alternative, evidence: grown > 0 ? grown + Math.log1p(Math.exp(-grown)) : Math.log1p(Math.exp(grown)) }
  })
  return { ...state, alternatives, n: state.n + n, hits: state.hits + hits }
}

export interface Detection {
  readonly isAlarm: boolean
  /** ln Σ w_k R_k, and what it must reach. −∞ is given as the smallest number. */
  readonly evidence: number
  readonly needed: number
  /** The alternative that speaks loudest. */
  readonly likeliestRate: number
  readonly n: number
  readonly hits: number
}

/** Where the detector stands. After an alarm the caller goes on with `restart`. */
export function detection(state: DetectorState): Reading<Detection> {
  const { alternatives, threshold, n, hits } = state
  if (n === 0) return noData('No answer was judged since the detector began.')
  const logs = alternatives.map(({ weight, evidence }) => Math.log(weight) + logMinusOne(evidence))
  const loudest = logs.reduce((best, value, k) => (value > logs[best] ? k : best), 0)
  const sum = logs.reduce((total, value) => total + Math.exp(value - logs[loudest]), 0)
  const evidence = Math.max(-Number.MAX_VALUE, logs[loudest] + (sum > 0 ? Math.log(sum) : 0))
  const needed = Math.log(threshold)
  return ok({ isAlarm: evidence >= needed, evidence, needed, likeliestRate: alternatives[loudest].rate, n, hits })
}

/** ln(e^x − 1), x ≥ 0. */
function logMinusOne(x: number): number {
  return x > 30 ? x : Math.log(Math.expm1(x))
}

/** As new, against the same baseline. */
export function restart(state: DetectorState): DetectorState {
  return { ...state, alternatives: state.alternatives.map((one) => ({ ...one, evidence: 0 })), n: 0, hits: 0 }
}

/** A stored state, checked. Throws BAD_STATE. */
export function parseDetector(stored: unknown): DetectorState {
  const { data, error } = detectorStateSchema.safeParse(stored)
  if (data) return data
  throw new PlumblineError('BAD_STATE', `detector: ${error.issues[0].path.join('.')}: ${error.issues[0].message}`, {
    hint: 'Start it anew from its baseline.',
    cause: error,
  })
}
