/**
 * One evaluator's rate, watched from its first answer on: the first days give the baseline, then a detector takes every
 * batch. The state is plain JSON. Only the order of batches and the days that answers were seen on count: a clock that goes
 * back, or leaps, moves neither baseline nor alarms.
 */
import { PlumblineError } from '@plumbline/contracts'
import type { Count } from '@plumbline/evals'
import { z } from 'zod'
import { baseline } from './baseline.ts'
import { type Detection, detection, detectorStateSchema, observe, restart, startDetector } from './e-detector.ts'

const count = z.number().int().min(0)
const baselineSchema = z.object({ hits: count, n: count, estimate: z.number(), upper: z.number() })

/** More days than this are not told apart: the mean of a year's days is known by then. */
const MOST_DAYS = 400

export const watchStateSchema = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('learning'), hits: count, n: count, days: z.array(z.string()).max(MOST_DAYS) }),
  z.object({
    phase: z.literal('watching'),
    baseline: baselineSchema,
    observationsPerYear: z.number().gt(0),
    falseAlarmsPerYear: z.number().gt(0),
    detector: detectorStateSchema,
  }),
  z.object({ phase: z.literal('unusable'), reason: z.string(), baseline: baselineSchema }),
])
export type WatchState = Readonly<z.infer<typeof watchStateSchema>>

export interface WatchOptions {
  /** Of this monitor: several share a user's budget. */
  readonly falseAlarmsPerYear: number
  readonly smallestRise: number
  /** The baseline needs so many judged answers, and as many whole days with answers. */
  readonly baselineAnswers: number
  readonly baselineDays: number
}

/** Judged answers, an even sample, and the days that they are of. */
export interface WatchBatch extends Count {
  readonly days: readonly string[]
}

export interface WatchAlarm {
  readonly baseline: z.infer<typeof baselineSchema>
  readonly detection: Detection
}

const beginning: WatchState = { phase: 'learning', hits: 0, n: 0, days: [] }

/** The state after a batch, and the alarm that it set off. */
export function watch(
  state: WatchState = beginning,
  batch: WatchBatch,
  options: WatchOptions,
): { readonly state: WatchState; readonly alarm: WatchAlarm | undefined } {
  if (batch.n === 0 || state.phase === 'unusable') return { state, alarm: undefined }
  if (state.phase === 'learning') return { state: learn(state, batch, options), alarm: undefined }
  const { falseAlarmsPerYear } = options
  const threshold = state.observationsPerYear / falseAlarmsPerYear
  const detector = observe({ ...state.detector, threshold }, batch)
  const found = detection(detector)
  const isAlarm = found.status === 'ok' && found.isAlarm
  return {
    state: { ...state, falseAlarmsPerYear, detector: isAlarm ? restart(detector) : detector },
    alarm: isAlarm ? { baseline: state.baseline, detection: found } : undefined,
  }
}

type Learning = Extract<WatchState, { phase: 'learning' }>

function learn(state: Learning, batch: WatchBatch, options: WatchOptions): WatchState {
  const { baselineAnswers, baselineDays, falseAlarmsPerYear, smallestRise } = options
  const days = [...new Set([...state.days, ...batch.days])].slice(0, MOST_DAYS)
  const [hits, n] = [state.hits + batch.hits, state.n + batch.n]
  // The day that one more than the wanted begins shows that these are whole.
  if (n < baselineAnswers || days.length <= baselineDays) return { phase: 'learning', hits, n, days }
  const window = baseline({ hits, n })
  if (window.status !== 'ok') return { phase: 'learning', hits, n, days }
  const { estimate, upper } = window
  const normal = { hits, n, estimate, upper }
  // Over the whole days: the one just begun has few answers, and would make the traffic, and the threshold, too low.
  const observationsPerYear = (n / Math.max(1, days.length - 1)) * 365
  try {
    const detector = startDetector({ baseline: window, falseAlarmsPerYear, observationsPerYear, smallestRise })
    return { phase: 'watching', baseline: normal, observationsPerYear, falseAlarmsPerYear, detector }
  } catch (error) {
    if (!(error instanceof PlumblineError)) throw error
    return { phase: 'unusable', reason: `${error.message} ${error.hint ?? ''}`.trim(), baseline: normal }
  }
}
