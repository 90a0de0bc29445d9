import { z } from 'zod'
import { limitOf, pageOf } from './admin-api.ts'
import { alignReportSchema, estimateSchema, metricSeriesSchema } from './align-report.ts'

/** Files of a training run's folder, as far as others read them, and bodies and queries of `/api/runs`. */

const count = z.number().int().min(0)

/** run.json. A run that says `running` while no living process holds its lock was killed. */
export const runRecordSchema = z.object({
  plumbline: z.string(),
  command: z.string(),
  status: z.enum(['running', 'finished', 'interrupted', 'failed']),
  started: z.iso.datetime(),
  updated: z.iso.datetime(),
  host: z.string(),
  /** Step of the newest checkpoint; null before the first. */
  step: count.nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  config: z.record(z.string(), z.json()),
  /** Rows, models and chat templates that it started from, by the flag that names them. */
  inputs: z.record(z.string(), z.object({ path: z.string(), sha256: z.string(), rows: count.optional() })).default({}),
})
export type RunRecordFile = z.infer<typeof runRecordSchema>

/** evaluation.json of a reward model, without the single rewards. */
export const rewardEvaluationSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('pairs'),
    n: count,
    loss: z.number(),
    accuracy: estimateSchema,
    margin: z.object({ value: z.number(), low: z.number().nullable(), high: z.number().nullable() }),
    mean_reward: z.number(),
    ece: z.number(),
    brier_score: z.number(),
    temperature: z.number().nullable(),
  }),
  z.object({
    kind: z.literal('scores'),
    n: count,
    loss: z.number(),
    mse: z.number(),
    pearson: z.number().nullable(),
    spearmanr: z.number().nullable(),
    mean_reward: z.number(),
  }),
])

export const runIdSchema = z.string().regex(/^[0-9a-f]{16}$/, 'a run’s id has 16 hexadecimal digits')
export const runQuerySchema = z.strictObject({
  limit: limitOf({ most: 200, usual: 50 }),
  after: z
    .string()
    .regex(/^\d{1,16}-[0-9a-f]{16}$/, 'after is the "next" of the page before')
    .optional(),
})

/** `killed`: it says `running`, and nobody touches its lock any more. `unreadable`: `error` says what is wrong with run.json. */
export const runStatusSchema = z.enum(['running', 'finished', 'interrupted', 'failed', 'killed', 'unreadable'])
export type RunStatus = z.infer<typeof runStatusSchema>

const runSchema = z.object({
  id: runIdSchema,
  /** Its folder, from the one that is searched; "." is that folder itself. */
  name: z.string(),
  /** `sft`, `reward`, `ppo`; null where run.json cannot be read. */
  command: z.string().nullable(),
  status: runStatusSchema,
  /** Of the last line of its metrics; null before the first. */
  step: z.number().nullable(),
  epoch: z.number().nullable(),
  started_at: z.iso.datetime().nullable(),
  /** When it last wrote something. */
  updated_at: z.iso.datetime().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})
export type Run = z.infer<typeof runSchema>

/** Newest first. */
export const runPageSchema = pageOf(runSchema).extend({
  /** `none`: the server was given no folder; `unreadable`: `reason` says why. */
  folder: z.enum(['none', 'read', 'unreadable']),
  reason: z.string().nullable(),
  /** What a person should know of these runs, as that they are the demo's. */
  note: z.string().nullable(),
})
export type RunPage = z.infer<typeof runPageSchema>

export const runDetailSchema = runSchema.extend({
  plumbline: z.string().nullable(),
  host: z.string().nullable(),
  checkpoint_step: count.nullable(),
  config: runRecordSchema.shape.config,
  inputs: z.array(z.object({ name: z.string(), path: z.string(), sha256: z.string(), rows: count.nullable() })),
  /** By TRL's names, `eval_` before those of held-out rows. Many lines are drawn as one point: their mean, lowest, highest. */
  curves: z.array(metricSeriesSchema),
  /** The newest answers that it sampled. */
  samples: z.array(
    z.object({
      step: z.number().nullable(),
      prompt: z.string(),
      completion: z.string(),
      score: z.number().nullable(),
      kl: z.number().nullable(),
      finish_reason: z.string().nullable(),
      side: z.enum(['chosen', 'rejected']).nullable(),
      target: z.number().nullable(),
    }),
  ),
  evaluation: rewardEvaluationSchema.nullable(),
  /** The run of `plumb align` that it is a part of. */
  job: z
    .object({
      name: z.string(),
      runs: z.array(runSchema.pick({ id: true, name: true, command: true, status: true })),
      durations: alignReportSchema.shape.durations,
      /** From its report.json; empty before it has one. */
      outcomes: z.array(alignReportSchema.shape.outcomes.element),
    })
    .nullable(),
  note: z.string().nullable(),
  /** What is there and not shown, or not as it should be; for people. */
  remarks: z.array(z.string()),
})
export type RunDetail = z.infer<typeof runDetailSchema>
