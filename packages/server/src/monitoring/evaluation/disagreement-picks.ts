import type { Evaluator } from '@plumbline/evals'
import type { ReviewRequest, Verdict } from '@plumbline/store'
import { evaluatorVoice, opposed } from '../../review/disagreement.ts'
import { peopleNeeded } from '../../stakes.ts'
import type { Evaluated } from './tally.ts'

/** Just above what one evaluator flags and nobody contradicts: a person's word settles more here. */
const priority = 52

/** Answers about which the named evaluators and guards say the opposite, one of this lane among them. */
export function disagreementPicks(
  evaluated: readonly Evaluated[],
  evaluators: readonly Evaluator[],
  { names, at }: { readonly names: readonly string[]; readonly at: string },
): (verdicts: readonly Verdict[]) => ReviewRequest[] {
  const records = new Map(evaluated.map((one) => [one.head.record, one]))
  const isOwn = ({ name }: { readonly name: string }) => evaluators.some((one) => one.name === name)
  return (verdicts) =>
    [...Map.groupBy(verdicts, ({ record }) => record)].flatMap(([record, own]): ReviewRequest[] => {
      const { head, judgement } = records.get(record)!
      const sides = opposed([...own.map(evaluatorVoice), ...judgement.guardVoices], names)
      if (sides === undefined || ![...sides.flagged, ...sides.passed].some(isOwn)) return []
      const category = sides.flagged.find((voice) => voice.category !== null)?.category ?? null
      const who = { people: peopleNeeded(category), gold: null }
      return [{ project: head.project, interaction: record, reason: 'disagreement', category, priority, ...who, at }]
    })
}
