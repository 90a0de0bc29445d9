import { z } from 'zod'
import { numberedPageSchema, pageOf, timeSchema } from './admin-api.ts'
import { evaluationOutcomeSchema } from './evaluation.ts'
import { feedbackKindSchema } from './feedback.ts'
import { interactionSchema, terminationSchema } from './interaction.ts'

/** Query and answer of `GET /api/interactions`. */
export const interactionQuerySchema = numberedPageSchema.extend({
  since: timeSchema.optional(),
  until: timeSchema.optional(),
  model: z.string().min(1).max(512).optional(),
  termination: terminationSchema.optional(),
  /** The id of the key that asked. */
  key: z.string().min(1).max(100).optional(),
  /** A person, by the name that the caller gave. */
  subject: z.string().min(1).max(512).optional(),
  /** Characters in the record. */
  text: z.string().min(2).max(200).optional(),
  /** An evaluator, whichever version, that came to some verdict, or to `verdict`. */
  evaluator: z.string().min(1).max(100).optional(),
  /** Of that evaluator, else of any. `not_evaluated`: it has not judged the answer, or none has. */
  verdict: z.enum([...evaluationOutcomeSchema.options, 'not_evaluated']).optional(),
  /** Of the verdict; hate covers hate/threatening. Nothing beside `not_evaluated`. */
  category: z.string().min(1).max(100).optional(),
  /** Somebody, or a program, said something of this kind of it. */
  feedback: feedbackKindSchema.optional(),
})

/** A record, and which evaluators flag it as what. */
const listedInteractionSchema = interactionSchema.extend({
  flagged_by: z.array(
    z.object({ evaluator: z.string(), label: z.string().nullable(), category: z.string().nullable() }),
  ),
})
export type ListedInteraction = z.infer<typeof listedInteractionSchema>
export const interactionPageSchema = pageOf(listedInteractionSchema)
export type InteractionPage = z.infer<typeof interactionPageSchema>
