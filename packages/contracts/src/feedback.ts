import { z } from 'zod'
import { numberedPageSchema, pageOf } from './admin-api.ts'

/** What people say of an answer. */
export const feedbackKindSchema = z.enum(['rating', 'flag', 'correction', 'preference', 'comment'])
export type FeedbackKind = z.infer<typeof feedbackKindSchema>

/** Who says it: somebody who was given the answer, somebody whose work it is to judge, a program. */
export const actorKindSchema = z.enum(['end_user', 'moderator', 'system'])
export type ActorKind = z.infer<typeof actorKindSchema>

/** The id of an answer, or our own id of its record. */
export const interactionIdSchema = z.string().min(1).max(512)
export const categorySchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9/_-]{0,63}$/, 'a category is 1 to 64 of a-z, 0-9, "/", "_" and "-"')
/** What people write, an answer among it. */
export const feedbackTextSchema = z.string().min(1).max(64_000)

/** What each kind cannot do without. */
const needed: Readonly<Record<FeedbackKind, readonly ('rating' | 'category' | 'text' | 'chosen' | 'rejected')[]>> = {
  rating: ['rating'],
  flag: ['category'],
  correction: ['text'],
  preference: ['chosen', 'rejected'],
  comment: ['text'],
}

/** One piece of feedback as it is sent. */
export const newFeedbackSchema = z
  .strictObject({
    /** The answer that it is about; a token names it too. */
    interaction: interactionIdSchema.optional(),
    /** The same as `interaction`. */
    id: interactionIdSchema.optional(),
    /** From the answer's header x-plumbline-feedback: stands in for a key. */
    token: z.string().min(1).max(1024).optional(),
    kind: feedbackKindSchema,
    /** More is better; thumbs are 1 and -1. */
    rating: z.number().min(-1e6).max(1e6).optional(),
    category: categorySchema.optional(),
    /** A comment, the reason of a flag, or what a correction puts in the answer's place. */
    text: feedbackTextSchema.optional(),
    chosen: feedbackTextSchema.optional(),
    rejected: feedbackTextSchema.optional(),
    /** A second one with this key, of the same actor, is the first one edited. */
    idempotency_key: z.string().min(1).max(200).optional(),
    actor: z.strictObject({ kind: actorKindSchema.optional(), id: z.string().min(1).max(512).optional() }).optional(),
    /** Whether the actor lets it be trained on. */
    consent: z.boolean().optional(),
  })
  .superRefine((sent, { addIssue }) => {
    const missing = needed[sent.kind].find((name) => sent[name] === undefined)
    if (missing !== undefined) {
      addIssue({ code: 'custom', path: [missing], message: `is needed for a ${sent.kind}` })
    }
    if (sent.kind === 'preference' && sent.chosen !== undefined && sent.chosen === sent.rejected) {
      addIssue({ code: 'custom', path: ['rejected'], message: 'is the same as chosen' })
    }
    if (sent.interaction !== undefined && sent.id !== undefined && sent.interaction !== sent.id) {
      addIssue({ code: 'custom', path: ['id'], message: 'is another one than interaction' })
    }
  })
export type NewFeedback = z.infer<typeof newFeedbackSchema>

export const maxFeedbackBatch = 100
/** Body of `POST /v1/feedback`: one, or all of them or none. */
export const feedbackBodySchema = z.union([newFeedbackSchema, z.array(newFeedbackSchema).min(1).max(maxFeedbackBatch)])

const acceptedSchema = z.object({ id: z.uuid(), interaction: z.string(), status: z.literal('accepted') })
export const feedbackAcceptedSchema = z.union([acceptedSchema, z.object({ data: z.array(acceptedSchema) })])

/** As it is kept. */
export const feedbackSchema = z.object({
  id: z.uuid(),
  interaction: z.string(),
  kind: feedbackKindSchema,
  category: z.string().nullable(),
  rating: z.number().nullable(),
  text: z.string().nullable(),
  chosen: z.string().nullable(),
  rejected: z.string().nullable(),
  actor_kind: actorKindSchema,
  /** A hash, as the "subjects" of records. */
  actor: z.string(),
  consent: z.boolean().nullable(),
  /** When it was said first, and last. */
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
})
export type Feedback = z.infer<typeof feedbackSchema>
export const feedbackQuerySchema = numberedPageSchema.extend({ interaction: interactionIdSchema.optional() })
export const feedbackPageSchema = pageOf(feedbackSchema)
export type FeedbackPage = z.infer<typeof feedbackPageSchema>

/** Langfuse's score, as its clients send it to `POST /api/public/scores`. */
export const langfuseScoreSchema = z.object({
  id: z.string().min(1).max(200).nullish(),
  traceId: interactionIdSchema,
  observationId: interactionIdSchema.nullish(),
  name: z.string().min(1).max(200),
  value: z.union([z.number().min(-1e6).max(1e6), z.boolean(), feedbackTextSchema]),
  dataType: z.enum(['NUMERIC', 'BOOLEAN', 'CATEGORICAL', 'TEXT', 'CORRECTION']).nullish(),
  comment: feedbackTextSchema.nullish(),
})
export type LangfuseScore = z.infer<typeof langfuseScoreSchema>
