import { z } from 'zod'
import { estimateSchema } from './align-report.ts'
import { calibrationSourceSchema, count, daySchema, readingStateSchema, share } from './monitoring.ts'

const measuredRateSchema = z.object({ value: share, low: share, high: share, hits: count, n: count })

/** What judges live answers here. */
export const evaluatorListSchema = z.object({
  /** The answers drawn by chance for `live`. */
  sample: z.object({
    drawn: count,
    /** Those that count: settled, as all that were drawn before. */
    settled: count,
    /** Of these, those not worth judging, and those of which a reviewer had seen what others say: left out. */
    discarded: count,
    seen: count,
    /** Those not settled; later ones count when the oldest is. */
    waiting: count,
    waiting_since: z.iso.datetime().nullable(),
  }),
  data: z.array(
    z.object({
      evaluator: z.string(),
      version: z.string(),
      summary: z.string(),
      /** Labels that count as flagged. */
      flags: z.array(z.string()),
      /** Over the last 30 days. */
      state: readingStateSchema,
      reason: z.string().nullable(),
      is_current: z.boolean(),
      is_calibrated: z.boolean(),
      corrected_by: calibrationSourceSchema.nullable(),
      /** How it was measured on the labelled texts that it came with; null where it was not. */
      calibration: z
        .object({
          dataset: z.string(),
          method: z.string(),
          date: z.string(),
          sensitivity: measuredRateSchema,
          specificity: measuredRateSchema,
          auc: estimateSchema.nullable(),
        })
        .nullable(),
      /** What reviewers decided of live answers, drawn by chance and shown to them without its verdict. */
      live: z.object({
        /** `too_few`: rates are not corrected by it yet. `no_question`: nothing says which labels it should flag. */
        state: z.enum(['in_use', 'too_few', 'no_question']),
        /** The labels, with a category behind a slash, of answers that it should flag. */
        labels: z.array(z.string()),
        /** Labelled answers with a verdict of this version, and those of them that it should flag. */
        n: count,
        flagged: count,
        /** How many evenly drawn labels these are worth: fewer where they were drawn at different rates. */
        effective: z.object({ flagged: count, others: count }),
        /** Effective labels of each kind from which it is used. */
        needs: count,
        sensitivity: measuredRateSchema.nullable(),
        specificity: measuredRateSchema.nullable(),
        /** Days of the first and the last of these answers; when the last label came. */
        from: daySchema.nullable(),
        to: daySchema.nullable(),
        settled_at: z.iso.datetime().nullable(),
      }),
      /** Learning its baseline, watching against it, or unable to; null before the first judged answer. */
      detector: z
        .object({
          state: z.enum(['learning', 'watching', 'unusable']),
          reason: z.string().nullable(),
          baseline: z.object({ estimate: share, upper: share, flagged: count, judged: count }).nullable(),
          /** Answers and days that the baseline has, and those that it needs. */
          learned: z
            .object({ judged: count, needs_judged: count, days: z.number(), needs_days: z.number() })
            .nullable(),
          false_alarms_per_year: z.number().nullable(),
        })
        .nullable(),
      judged: count,
      flagged: count,
      set_aside: count,
      errors: count,
      last_evaluated_day: daySchema.nullable(),
      last_error: z.object({ code: z.string(), record: z.uuid(), at: z.iso.datetime() }).nullable(),
    }),
  ),
})
export type EvaluatorList = z.infer<typeof evaluatorListSchema>
