import { z } from 'zod'
import { share } from './monitoring.ts'

/** What came of judging an answer. `set_aside`: there was nothing in it to judge. `error`: no judgement came of it. */
export const evaluationOutcomeSchema = z.enum(['flagged', 'passed', 'set_aside', 'error'])

/** The same, and that there is none: `waiting` until the evaluator comes by, `not_evaluated` where it left this answer out. */
const evaluationStateSchema = z.enum([...evaluationOutcomeSchema.options, 'waiting', 'not_evaluated'])
export type EvaluationState = z.infer<typeof evaluationStateSchema>

/** What one version of an evaluator says of an answer. */
const evaluationSchema = z.object({
  evaluator: z.string(),
  version: z.string(),
  /** False for what judges no more: another version, or one that the configuration has lost. */
  is_current: z.boolean(),
  state: evaluationStateSchema,
  label: z.string().nullable(),
  category: z.string().nullable(),
  score: z.number().nullable(),
  /** The code of what went wrong. */
  error: z.string().nullable(),
  /** With which the answer was drawn; null with `at` where nothing was judged. */
  probability: share.nullable(),
  at: z.iso.datetime().nullable(),
})
export const evaluationsSchema = z.object({ record: z.uuid(), data: z.array(evaluationSchema) })
export type Evaluations = z.infer<typeof evaluationsSchema>
