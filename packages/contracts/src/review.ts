import { z } from 'zod'
import { categorySchema, feedbackSchema, feedbackTextSchema, interactionIdSchema } from './feedback.ts'
import { interactionSchema } from './interaction.ts'

/** Why a person is to look at an answer. */
export const reviewReasonSchema = z.enum([
  'flag',
  'guard',
  /** An evaluator flags it. */
  'evaluator',
  /** Two evaluators, or two people, say the opposite. */
  'disagreement',
  /** An evaluator's score lies close to where it begins to flag. */
  'uncertainty',
  'random',
  'high_stakes',
])
export type ReviewReason = z.infer<typeof reviewReasonSchema>

/** What a reviewer calls an answer; `discard`: not worth judging. */
const reviewLabelSchema = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'a label is 1 to 64 of a-z, 0-9, "_" and "-"')

/** Body of `POST /api/review/items`. */
export const newReviewItemSchema = z.strictObject({
  interaction: interactionIdSchema,
  reason: reviewReasonSchema,
  /** Higher comes first. */
  priority: z.number().int().min(0).max(1000).default(50),
  category: categorySchema.optional(),
  /** People who are to judge it, each without seeing the others. */
  reviewers: z.number().int().min(1).max(10).default(1),
  /** The known label: the item measures its reviewers. They cannot tell it from others. */
  gold: reviewLabelSchema.optional(),
})
export type NewReviewItem = z.infer<typeof newReviewItemSchema>
export const reviewItemAddedSchema = z.object({ interaction: z.string(), queued: z.literal(true) })

/** Body of `POST /api/review/sample`. */
export const reviewSampleSchema = z.strictObject({ count: z.number().int().min(1).max(1000) })
export const reviewSampledSchema = z.object({ queued: z.number().int().min(0) })

/** What a reviewer has written. */
export const reviewDraftSchema = z.strictObject({
  label: reviewLabelSchema.optional(),
  category: categorySchema.optional(),
  comment: feedbackTextSchema.optional(),
  /** A better answer. */
  correction: feedbackTextSchema.optional(),
})
export type ReviewDraft = z.infer<typeof reviewDraftSchema>
const lease = z.uuid()
export const reviewDraftBodySchema = z.strictObject({ lease, draft: reviewDraftSchema })
export const reviewSubmitBodySchema = reviewDraftSchema.extend({ lease, label: reviewLabelSchema })
export const reviewLeaseBodySchema = z.strictObject({ lease })

/** What an evaluator, or a guard on the answer, says of it. */
const voiceSchema = z.object({
  source: z.enum(['evaluator', 'guard']),
  name: z.string(),
  version: z.string(),
  label: z.string().nullable(),
  category: z.string().nullable(),
  score: z.number().nullable(),
})

/** Who says the opposite of whom, as far as it is still so: people may have changed their minds. */
const disagreementSchema = z.object({
  /** Of each name of a score (null for plain thumbs), how many people's latest rating lies above and below zero. */
  ratings: z.array(z.object({ category: z.string().nullable(), above: z.number(), below: z.number() })),
  flagged: z.array(voiceSchema),
  passed: z.array(voiceSchema),
})
export type Disagreement = z.infer<typeof disagreementSchema>

/** An item in a reviewer's hands. */
const reviewLeaseSchema = z.object({
  item: z.uuid(),
  lease,
  leased_until: z.iso.datetime(),
  reasons: z.array(reviewReasonSchema),
  category: z.string().nullable(),
  priority: z.number().int(),
  /** The reviewers disagree: this one decides. Only then their answers are shown. */
  is_adjudication: z.boolean(),
  opinions: z.array(reviewDraftSchema),
  /** What this reviewer had written when an earlier lease ended. */
  draft: reviewDraftSchema.nullable(),
  feedback: z.array(feedbackSchema),
  /** Null unless it is here for a disagreement: what others think of an answer sways whoever is to judge it. */
  disagreement: disagreementSchema.nullable(),
  interaction: interactionSchema,
})
export type ReviewItem = z.infer<typeof reviewLeaseSchema>
export const reviewNextSchema = z.object({ item: reviewLeaseSchema.nullable() })
export const reviewKeptSchema = z.object({ leased_until: z.iso.datetime() })
export const reviewSubmittedSchema = z.object({ state: z.enum(['open', 'disputed', 'done']) })
export const reviewSkippedSchema = z.object({ skipped: z.literal(true) })

/** What a reviewer goes by. */
export const reviewGuidelineSchema = z.object({
  /** In the project's own words; null where the monitoring file says nothing. */
  guideline: z.string().nullable(),
  /** Categories that need two people, with those below them. */
  high_stakes: z.array(z.string()),
})
export type ReviewGuideline = z.infer<typeof reviewGuidelineSchema>

export const reviewStatsSchema = z.object({
  items: z.object({ open: z.number(), waiting: z.number(), disputed: z.number(), done: z.number() }),
  /** Krippendorff's alpha of independent labels; null without two labels of one item. */
  agreement: z.object({ alpha: z.number().nullable(), items: z.number(), labels: z.number() }),
  reviewers: z.array(
    z.object({
      /** The id of their key. */
      reviewer: z.string(),
      submitted: z.number(),
      skipped: z.number(),
      /** From lease to answer. */
      median_lead_ms: z.number().nullable(),
      gold: z.object({ right: z.number(), of: z.number() }),
    }),
  ),
})
export type ReviewStats = z.infer<typeof reviewStatsSchema>
