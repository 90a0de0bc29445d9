import { categorySchema } from '@plumbline/contracts'
import type { Evaluation, Evaluator } from '@plumbline/evals'
import type { EvaluationRow } from '@plumbline/store'

/** One evaluator's word on one answer. */
export interface Judged extends Pick<EvaluationRow, 'outcome' | 'label' | 'category' | 'score' | 'error'> {
  /** It passes, and the score lies close to where it would not. */
  readonly isCloseCall: boolean
}

/** How close to the threshold a score is to be looked at by a person. */
const closeBy = 0.05

const nothing = { label: null, category: null, score: null, error: null, isCloseCall: false } as const

/** There is nothing that it could judge. */
export function setAside(label: string): Judged {
  return { ...nothing, outcome: 'set_aside', label }
}

/** A record that is no JSON of an interaction. */
export const notRead: Judged = { ...nothing, outcome: 'error', error: 'RECORD_UNREADABLE' }

/** What is known of such a record beside its judgements: nothing. */
export const noRecord = { guardHits: [], guardVoices: [], cohorts: [] } as const

export function judgedOf({ flags, passes, threshold }: Evaluator, evaluation: Evaluation): Judged {
  if ('error' in evaluation) {
    const { code } = evaluation.error
    return code === 'MISSING_FIELD' ? setAside('not_applicable') : { ...nothing, outcome: 'error', error: code }
  }
  const { label, score } = evaluation
  if (flags.includes(label)) {
    // A judge's word for it may be anything.
    const category = categorySchema.safeParse(evaluation.category?.toLowerCase()).data ?? null
    return { ...nothing, outcome: 'flagged', label, category, score }
  }
  if (!passes.includes(label)) return { ...setAside(label), score }
  const isCloseCall = threshold !== undefined && score >= threshold - closeBy
  return { ...nothing, outcome: 'passed', label, score, isCloseCall }
}
