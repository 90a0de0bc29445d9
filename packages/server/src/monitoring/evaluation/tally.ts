import type { Evaluator } from '@plumbline/evals'
import type { CohortRow, EvaluationRow, MarkRow, RateRow, TrafficRow } from '@plumbline/store'
import type { Drawn } from './draw.ts'
import type { Judgement } from './thread.ts'

/** A drawn record with what came of it. */
export interface Evaluated extends Drawn {
  readonly judgement: Judgement
}

export interface Tally {
  readonly evaluations: readonly EvaluationRow[]
  readonly traffic: readonly TrafficRow[]
  readonly rates: readonly RateRow[]
  readonly cohorts: readonly CohortRow[]
  readonly marks: readonly MarkRow[]
}

type Counts = Record<string, number>

/** Adds rows up by their names. */
class Sums<Key extends object, Count extends Counts> {
  private readonly rows = new Map<string, Key & Count>()

  add(key: Key, count: Count): void {
    const name = JSON.stringify(Object.values(key))
    const row = this.rows.get(name)
    if (row === undefined) this.rows.set(name, { ...key, ...count })
    else for (const field of Object.keys(count)) (row as Counts)[field] += count[field]
  }

  all(): (Key & Count)[] {
    return [...this.rows.values()]
  }
}

/** What a batch adds to the sums. `drawn` are all of its records, `evaluated` those that were judged. */
export function tally(
  { name: lane, evaluators }: { readonly name: string; readonly evaluators: readonly Evaluator[] },
  drawn: readonly Drawn[],
  evaluated: readonly Evaluated[],
): Tally {
  const evaluations = evaluated.flatMap((one) => toRows(one, evaluators))
  const verdicts = new Set(evaluations.filter(hasVerdict).map(({ record }) => record))
  const traffic = new Sums<Pick<TrafficRow, 'project' | 'lane' | 'day' | 'probability'>, TrafficCounts>()
  for (const { head, probability, isDrawn } of drawn) {
    const { project, hasAnswer, record, isRedacted } = head
    if (isRedacted) continue
    traffic.add(
      { project, lane, day: dayOf(head.at), probability },
      {
        answers: Number(hasAnswer),
        failed: Number(!hasAnswer),
        sampled: Number(hasAnswer && isDrawn),
        evaluated: Number(verdicts.has(record)),
      },
    )
  }
  const rates = new Sums<RateKey, RateCounts>()
  for (const { project, evaluator, version, recordAt, probability, outcome } of evaluations)
    rates.add(
      { project, evaluator, version, day: dayOf(recordAt), probability, lane },
      {
        judged: Number(hasVerdict({ outcome })),
        flagged: Number(outcome === 'flagged'),
        setAside: Number(outcome === 'set_aside'),
        errors: Number(outcome === 'error'),
      },
    )
  return {
    evaluations,
    traffic: traffic.all(),
    rates: rates.all(),
    cohorts: cohortsOf(evaluated, evaluators),
    marks: lane === 'records' ? marksOf(drawn) : [],
  }
}

type TrafficCounts = Pick<TrafficRow, 'answers' | 'failed' | 'sampled' | 'evaluated'>
type RateKey = Pick<RateRow, 'project' | 'evaluator' | 'version' | 'day' | 'probability' | 'lane'>
type RateCounts = Pick<RateRow, 'judged' | 'flagged' | 'setAside' | 'errors'>

function toRows({ head, probability, judgement }: Evaluated, evaluators: readonly Evaluator[]): EvaluationRow[] {
  if (!head.hasAnswer) return []
  return judgement.judged.map(({ isCloseCall: _, ...verdict }, i) => ({
    ...verdict,
    project: head.project,
    record: head.record,
    recordAt: head.at,
    evaluator: evaluators[i].name,
    version: evaluators[i].version,
    probability,
  }))
}

function hasVerdict({ outcome }: Pick<EvaluationRow, 'outcome'>): boolean {
  return outcome === 'flagged' || outcome === 'passed'
}

/** The verdicts on answers of the even sample: those that guards speak of are drawn more often than others. */
export function* evenVerdicts(evaluated: readonly Evaluated[], evaluators: readonly Evaluator[]) {
  for (const { head, isEven, judgement } of evaluated) {
    if (!isEven || !head.hasAnswer) continue
    for (const [i, verdict] of judgement.judged.entries()) {
      if (!hasVerdict(verdict)) continue
      const { name: evaluator, version } = evaluators[i]
      yield { head, cohorts: judgement.cohorts, evaluator, version, isFlagged: verdict.outcome === 'flagged' }
    }
  }
}

/** Only the even sample: cohorts that guards speak of more often would look worse than they are. */
function cohortsOf(evaluated: readonly Evaluated[], evaluators: readonly Evaluator[]): CohortRow[] {
  const sums = new Sums<Omit<CohortRow, 'judged' | 'flagged'>, Pick<CohortRow, 'judged' | 'flagged'>>()
  for (const { head, cohorts, evaluator, version, isFlagged } of evenVerdicts(evaluated, evaluators)) {
    const key = { project: head.project, evaluator, version, day: dayOf(head.at) }
    for (const cohort of cohorts) sums.add({ ...key, ...cohort }, { judged: 1, flagged: Number(isFlagged) })
  }
  return sums.all()
}

function marksOf(drawn: readonly Drawn[]): MarkRow[] {
  const marks = new Map<string, MarkRow>()
  for (const { head } of drawn) {
    if (!head.hasAnswer) continue
    for (const kind of ['model', 'config'] as const) {
      const name = head[kind]
      if (name === null) continue
      const key = JSON.stringify([head.project, kind, name])
      const before = marks.get(key)
      if (before === undefined || head.at < before.at)
        marks.set(key, { project: head.project, kind, name, at: head.at })
    }
  }
  return [...marks.values()]
}

/** Of UTC, by when the record says it was. */
export function dayOf(at: string): string {
  return at.slice(0, 10)
}
