import type { ReviewRequest } from '@plumbline/store'
import { placeOf } from './draw.ts'
import type { Evaluated } from './tally.ts'

/** Below what people flag (70), above what guards and evaluators find: without these nobody knows what their finds are worth. */
const priority = 65

interface SampleOptions {
  /** Share of the even sample, and about how many a day at most. */
  readonly sample: number
  readonly perDay: number
  readonly at: string
}

/**
 * Judged answers that people are shown by chance, given how many are drawn in a day. The probability is settled before
 * anything of an answer is looked at, and kept.
 */
export function samplePicks(
  evaluated: readonly Evaluated[],
  { sample, perDay, at }: SampleOptions,
): (drawnADay: ReadonlyMap<string, number>) => ReviewRequest[] {
  return (drawnADay) =>
    evaluated.flatMap(({ head: { project, record, hasAnswer }, isEven, evenProbability }): ReviewRequest[] => {
      if (!isEven || !hasAnswer) return []
      const share = shareOf(sample, (drawnADay.get(project) ?? 0) / perDay)
      if (placeOf('review', record) >= share) return []
      const who = { category: null, priority, people: 1, gold: null, probability: evenProbability * share }
      return [{ project, interaction: record, reason: 'random', ...who, at }]
    })
}

/** By halves, so that there are few probabilities. */
function shareOf(sample: number, mostForOne: number): number {
  let share = sample
  while (share * mostForOne > 1) share /= 2
  return share
}
