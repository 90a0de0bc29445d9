import type { Evaluator } from '@plumbline/evals'
import type { ReviewRequest } from '@plumbline/store'
import { peopleNeeded } from '../../stakes.ts'
import type { MonitoringSettings } from '../settings.ts'
import type { Evaluated } from './tally.ts'

/** Higher comes first; a person's flag has 70. */
const priorities = { blocked: 60, guard: 55, evaluator: 50, uncertainty: 30 } as const

/** Which of the judged records people are to look at, and why. */
export function reviewPicks(
  evaluated: readonly Evaluated[],
  evaluators: readonly Evaluator[],
  { review, isFirstLane, at }: { review: MonitoringSettings['review']; isFirstLane: boolean; at: string },
): ReviewRequest[] {
  return evaluated.flatMap(({ head: { project, record }, judgement }) => {
    const pick = (reason: ReviewRequest['reason'], priority: number, category: string | null): ReviewRequest => ({
      project,
      interaction: record,
      reason,
      category,
      priority,
      people: peopleNeeded(category),
      gold: null,
      at,
    })
    const [worst] = judgement.guardHits.toSorted(
      (a, b) => Number(b.outcome === 'blocked') - Number(a.outcome === 'blocked'),
    )
    const hit =
      worst === undefined || !review.guards || !isFirstLane
        ? []
        : [pick('guard', worst.outcome === 'blocked' ? priorities.blocked : priorities.guard, null)]
    const verdicts = judgement.judged.flatMap(({ outcome, category, isCloseCall }, i) => {
      if (!review.evaluators.includes(evaluators[i].name)) return []
      if (outcome === 'flagged') return [pick('evaluator', priorities.evaluator, category)]
      return isCloseCall ? [pick('uncertainty', priorities.uncertainty, null)] : []
    })
    return [...hit, ...verdicts]
  })
}
