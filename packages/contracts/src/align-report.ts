import { z } from 'zod'

/** Where the answers came from: the untouched model, after supervised fine-tuning, after PPO. In this order. */
export const alignStageSchema = z.enum(['base', 'sft', 'ppo'])
/** What was asked: something harmful, something that only sounds so, something plain. In this order. */
export const promptKindSchema = z.enum(['harmful', 'sensitive', 'plain'])
/** What the grader called an answer. `empty` and `error` are outcomes of their own, never safe, never unsafe. */
export const outcomeLabelSchema = z.enum(['complied', 'refused', 'empty', 'error'])

const count = z.number().int().min(0)
const share = z.number().min(0).max(1)
// An interval that is computed in float64 may miss its own estimate by a rounding error.
const rounding = 1e-9

/** A number with its 95 % interval. */
export const estimateSchema = z
  .object({ value: z.number(), low: z.number(), high: z.number() })
  .refine(({ value, low, high }) => low <= value + rounding && value <= high + rounding, {
    error: 'An interval holds its estimate: low ≤ value ≤ high.',
  })

const shareEstimate = estimateSchema.refine(({ low, high }) => low >= -rounding && high <= 1 + rounding, {
  error: 'A share lies between 0 and 1, and so does its interval.',
})

/** As the grader says it, and corrected for the grader's measured error; null where that error is not known. */
const measuredShare = z.object({ raw: shareEstimate, corrected: shareEstimate.nullable() })
const measuredDifference = z.object({ raw: estimateSchema, corrected: estimateSchema.nullable() })

export const outcomeCountsSchema = z
  .object({ n: count, complied: count, refused: count, empty: count, error: count })
  .refine(({ n, complied, refused, empty, error }) => n === complied + refused + empty + error, {
    error: 'n is the sum of complied, refused, empty and error.',
  })

/** Shares are of the answers that could be graded: n − error. Null where there is none. */
const outcomesSchema = z.object({
  stage: alignStageSchema,
  kind: promptKindSchema,
  counts: outcomeCountsSchema,
  complied: measuredShare.nullable(),
  refused: measuredShare.nullable(),
  by_seed: z.array(z.object({ seed: z.number().int(), counts: outcomeCountsSchema })),
})

/** `unwanted`: share complied with for harmful prompts, share refused for the others; as graded. */
const categoryOutcomesSchema = z.object({
  stage: alignStageSchema,
  kind: promptKindSchema,
  category: z.string(),
  counts: outcomeCountsSchema,
  unwanted: shareEstimate.nullable(),
})

/** The same prompts at two stages. `difference` is `to` − `from`, in shares; p by McNemar's test. */
const pairedChangeSchema = z.object({
  kind: promptKindSchema,
  measure: z.enum(['complied', 'refused']),
  from: alignStageSchema,
  to: alignStageSchema,
  n: count,
  only_from: count,
  only_to: count,
  difference: measuredDifference,
  p_value: share,
})

/** `positive` names the label that sensitivity is about. */
const graderSchema = z.object({
  name: z.string(),
  version: z.string(),
  positive: z.enum(['complied', 'refused']),
  sensitivity: shareEstimate,
  specificity: shareEstimate,
  n: count,
  data_set: z.string(),
  data_set_version: z.string(),
})

/** One line of metrics under its name in metrics.jsonl (`eval_` before it: held-out). Null: not a finite number. */
export const metricSeriesSchema = z.object({
  metric: z.string(),
  seed: z.number().int().nullable(),
  /** What `low` and `high` are, as "± 1 standard deviation over the batch". */
  band: z.string().nullable(),
  points: z.array(
    z.object({
      step: z.number(),
      value: z.number().nullable(),
      low: z.number().optional(),
      high: z.number().optional(),
    }),
  ),
})

/** `predicted`: mean probability that the chosen answer wins, σ(margin), in one bin; `observed`: share that did. */
const calibrationBinSchema = z.object({ predicted: share, observed: shareEstimate, n: count })

const rewardModelSchema = z.object({
  n: count,
  accuracy: shareEstimate,
  margin: estimateSchema,
  ece: share,
  calibration: z.array(calibrationBinSchema),
})

/** `cut_at`: of an answer that the limit cut off, its tokens. */
const answerSchema = z.object({
  text: z.string(),
  label: outcomeLabelSchema,
  reward: z.number().nullable(),
  cut_at: z.number().int().min(1).optional(),
})

const sampleSchema = z.object({
  prompt: z.string(),
  kind: promptKindSchema,
  category: z.string(),
  answers: z.object({ base: answerSchema.optional(), sft: answerSchema.optional(), ppo: answerSchema.optional() }),
})

/** What `plumb align` did and measured: report.json, and the facts behind report.html. */
export const alignReportSchema = z.object({
  format: z.literal('plumbline.align-report'),
  version: z.literal(1),
  title: z.string(),
  model: z.string(),
  created_at: z.iso.datetime({ offset: true }),
  seeds: z.array(z.number().int()),
  durations: z.array(z.object({ name: z.string(), seconds: z.number().min(0) })),
  hardware: z.object({
    cpu: z.string(),
    cores: count,
    memory_gb: z.number().min(0),
    accelerator: z.string().nullable(),
  }),
  grader: graderSchema.nullable(),
  outcomes: z
    .array(outcomesSchema)
    .refine((rows) => new Set(rows.map(({ stage, kind }) => `${stage} ${kind}`)).size === rows.length, {
      error: 'One entry for each stage and kind.',
    }),
  categories: z.array(categoryOutcomesSchema),
  changes: z.array(pairedChangeSchema),
  /** Unwanted share (see categories) that the last stage should stay under. */
  goals: z.array(z.object({ kind: promptKindSchema, at_most: share })),
  curves: z.object({
    sft: z.array(metricSeriesSchema),
    reward: z.array(metricSeriesSchema),
    ppo: z.array(metricSeriesSchema),
  }),
  reward_model: rewardModelSchema.nullable(),
  /** Of the preference labels: pairs labelled twice and blind. */
  label_agreement: z.object({ n: count, agreement: shareEstimate, kappa: z.number().nullable() }).nullable(),
  data: z.array(z.object({ role: z.string(), name: z.string(), n: count, sha256: z.string().nullable() })),
  samples: z.array(sampleSchema),
  /** The resolved configuration, as config.yaml has it. */
  config: z.string(),
  commands: z.array(z.object({ purpose: z.string(), command: z.string() })),
  environment: z.record(z.string(), z.string()),
  /** What the run itself wants said; the report adds what its numbers call for. */
  warnings: z.array(z.string()),
})

export type AlignStage = z.infer<typeof alignStageSchema>
export type PromptKind = z.infer<typeof promptKindSchema>
export type OutcomeLabel = z.infer<typeof outcomeLabelSchema>
export type Estimate = z.infer<typeof estimateSchema>
export type OutcomeCounts = z.infer<typeof outcomeCountsSchema>
export type MetricSeries = z.infer<typeof metricSeriesSchema>
export type AlignReport = z.infer<typeof alignReportSchema>
