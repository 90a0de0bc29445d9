import type { RecordHead, Store } from '@plumbline/store'
import { jobsFor } from '../alarms/channels.ts'
import { type Lane, type MonitoringPlan, sampleLane } from '../plan.ts'
import { deciderOf } from './decide.ts'
import { disagreementPicks } from './disagreement-picks.ts'
import { draw } from './draw.ts'
import { reviewPicks } from './review-picks.ts'
import { samplePicks } from './review-sample.ts'
import type { EvaluationRunner } from './runner.ts'
import { type Evaluated, tally } from './tally.ts'
import type { Judgement } from './thread.ts'

/** Records that are looked at together at most; of most of them only the head. */
const mostRecords = 1_000
/** When more wait, batches are as large as they can be, and fewer of each are judged. */
const longBacklog = 2_000
const chunkRecords = 25
const chunkBytes = 4 * 2 ** 20

export interface PassParts {
  readonly store: Store
  readonly plan: MonitoringPlan
  readonly runner: EvaluationRunner
  readonly now: () => number
}

/** Looks at the next records of a lane. Gives whether there are more. What was begun and not ended leaves no trace. */
export async function pass(lane: Lane, { store, plan, runner, now }: PassParts, signal: AbortSignal): Promise<boolean> {
  const { monitoring } = store
  const { sample, most } = lane.sampling
  const isLate = (await monitoring.pending(lane.name)) > longBacklog
  // So many that all who are drawn can be judged.
  const size = isLate ? mostRecords : Math.min(mostRecords, Math.floor(most / sample))
  const taken = await monitoring.take(lane.name, size)
  if (taken === undefined) return false
  const drawn = draw(taken.heads, lane.name, lane.sampling)
  const wanted = drawn.filter(({ isDrawn }) => isDrawn)
  const judgements = new Map<string, Judgement>()
  for (const chunk of chunks(wanted.map(({ head }) => head))) {
    const bodies = await monitoring.readBodies(chunk)
    const found = await runner.evaluate(
      bodies.map(({ body }) => body),
      signal,
    )
    for (const [i, { record }] of bodies.entries()) judgements.set(record, found[i])
  }
  const evaluated = wanted.flatMap((one): Evaluated[] => {
    const judgement = judgements.get(one.head.record)
    return judgement === undefined ? [] : [{ ...one, judgement }]
  })
  const at = new Date(now()).toISOString()
  const { keys, decide } = deciderOf(evaluated, lane.evaluators, plan.watch)
  const isFirstLane = lane.name === 'records'
  const { sample: share, sample_per_day, per_day } = plan.review
  await monitoring.settle(taken, {
    ...tally(lane, drawn, evaluated),
    review: reviewPicks(evaluated, lane.evaluators, { review: plan.review, isFirstLane, at }),
    reviewMore: disagreementPicks(evaluated, lane.evaluators, { names: plan.review.disagreement, at }),
    reviewSample:
      lane.name === sampleLane(plan) ? samplePicks(evaluated, { sample: share, perDay: sample_per_day, at }) : () => [],
    reviewsPerDay: per_day,
    detectors: keys,
    decide,
    notify: jobsFor(plan.channels),
    at,
  })
  return taken.hasMore
}

/** Few enough at a time, and not too large together. */
export function chunks(heads: readonly RecordHead[]): string[][] {
  const list: string[][] = []
  let bytes = 0
  for (const { record, bytes: own } of heads) {
    const last = list.at(-1)
    if (last === undefined || last.length === chunkRecords || bytes + own > chunkBytes) {
      list.push([record])
      bytes = own
    } else {
      last.push(record)
      bytes += own
    }
  }
  return list
}
