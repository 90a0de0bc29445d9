import { z } from 'zod'
import { numberedPageSchema, pageOf } from './admin-api.ts'
import { estimateSchema } from './align-report.ts'

/** Bodies and queries of `/api/monitoring/…`, `/api/alarms` and `/api/evaluators`. Days are of UTC, by a record's time. */

export const count = z.number().int().min(0)
export const share = z.number().min(0).max(1)
export const daySchema = z.iso.date()
const longestRangeDays = 400
const dayMs = 86_400_000

/** Both days are part of the range; the last 30 days when left out. */
export const monitoringQuerySchema = z
  .strictObject({ from: daySchema.optional(), to: daySchema.optional() })
  .superRefine(({ from, to }, { addIssue }) => {
    if (from === undefined || to === undefined) return
    const days = (Date.parse(to) - Date.parse(from)) / dayMs
    if (days < 0) addIssue({ code: 'custom', path: ['to'], message: 'is before from' })
    if (days > longestRangeDays)
      addIssue({ code: 'custom', path: ['to'], message: `is over ${longestRangeDays} days on` })
  })

/**
 * Why there is a number, or none. `no_data`: there was no answer. `not_evaluated`: there were answers, and none was
 * judged. `error`: too many judgements failed, or the evaluator says nothing; `reason` has it in words.
 */
export const readingStateSchema = z.enum(['measured', 'no_data', 'not_evaluated', 'error'])
export type ReadingState = z.infer<typeof readingStateSchema>

/** The labelled texts that it came with; what reviewers here decided of live answers. */
export const calibrationSourceSchema = z.enum(['dataset', 'live_labels'])
export type CalibrationSource = z.infer<typeof calibrationSourceSchema>

/** Of one evaluator's verdicts over a day or a range. */
const readingSchema = z.object({
  state: readingStateSchema,
  /** For people, why there is no number; null for `measured`. */
  reason: z.string().nullable(),
  /** Verdicts, those among them that flag, those that set aside (nothing to judge), and judgements that failed. */
  judged: count,
  flagged: count,
  set_aside: count,
  errors: count,
  /** Share of answers that the evaluator flags; a 95 % band valid at every look. Null unless measured. */
  raw: estimateSchema.nullable(),
  /** The same corrected for the evaluator's measured error. Null, with the reason, where that is not known or does not fit. */
  corrected: estimateSchema.nullable(),
})
const dayReadingSchema = readingSchema.extend({ day: daySchema })

const monitoredEvaluatorSchema = readingSchema.extend({
  evaluator: z.string(),
  version: z.string(),
  summary: z.string(),
  /** Whether the error of this version is known from human labels. */
  is_calibrated: z.boolean(),
  /** By whose labels the rate is corrected; null where none are at hand. */
  corrected_by: calibrationSourceSchema.nullable(),
  /** Not configured any more, or another version is: there are readings of it in this range. */
  is_current: z.boolean(),
  /** Each day of the range, the oldest first. */
  days: z.array(dayReadingSchema),
})

/** A word or pair of words whose share of texts has moved. */
const movedTermSchema = z.object({
  term: z.string(),
  weight: z.number(),
  reference: share,
  current: share,
  /** Records that have it. */
  examples: z.array(z.string()),
})

/** A day's answers beside those of the reference days. */
const driftSchema = z.object({
  day: daySchema,
  state: readingStateSchema,
  reason: z.string().nullable(),
  has_drifted: z.boolean().nullable(),
  /** Of a classifier that tells the two apart: 0.5 is no difference. */
  auc: share.nullable(),
  classifier_p_value: share.nullable(),
  mmd_p_value: share.nullable(),
  reference: count,
  current: count,
  moved: z.array(movedTermSchema),
})

/** An outcome of one cohort beside all others: intervals over all cohorts and looks together. */
const cohortGapSchema = z.object({
  evaluator: z.string(),
  /** The key in the request's metadata, and the caller's value there. */
  attribute: z.string(),
  cohort: z.string(),
  state: readingStateSchema,
  reason: z.string().nullable(),
  judged: count,
  flagged: count,
  rate: estimateSchema.nullable(),
  rest: estimateSchema.nullable(),
  gap: estimateSchema.nullable(),
  is_gap: z.boolean().nullable(),
})

/** Live prompts that were asked again, in the shadow, with another person in them. */
const counterfactualSchema = z.object({
  /**
   * Answers whose prompts were read, those among them that name one side of an axis, and those that were not asked: the
   * budget was spent, the upstream down, or the record erased. Those that a spent day passed over unread count there too.
   */
  looked: count,
  named: count,
  not_asked: count,
  readings: z.array(
    z.object({
      /** As gender, and its two sides, as male and female. */
      axis: z.string(),
      first: z.string(),
      second: z.string(),
      evaluator: z.string(),
      version: z.string(),
      state: readingStateSchema,
      reason: z.string().nullable(),
      /** Pairs with two verdicts, those in which they differ; pairs with nothing to judge, and those that failed. */
      pairs: count,
      flips: count,
      set_aside: count,
      errors: count,
      /** Of these, pairs in which only the first side has no verdict, and only the second. */
      lost_first: count,
      lost_second: count,
      /** These two are further apart than chance makes them (McNemar, 5 %): the rates leave out what may be the gap. */
      is_lopsided: z.boolean(),
      /** Share of pairs that differ; 95 % at every look and over all readings together. */
      flip_rate: estimateSchema.nullable(),
      /** Rate of the first side minus that of the second, in the same pairs. */
      gap: estimateSchema.nullable(),
      is_gap: z.boolean().nullable(),
    }),
  ),
})

export const alarmSchema = z.object({
  id: z.uuid(),
  /** A rate that rose over its baseline; texts that have changed. */
  kind: z.enum(['rate', 'drift']),
  state: z.enum(['open', 'closed']),
  /** Null for drift. */
  evaluator: z.string().nullable(),
  version: z.string().nullable(),
  /** One line for people. */
  summary: z.string(),
  /** While it is open, a second detection is counted here instead of becoming a second alarm. */
  detections: z.number().int().min(1),
  opened_at: z.iso.datetime(),
  last_at: z.iso.datetime(),
  closed_at: z.iso.datetime().nullable(),
  /** The id of the key that closed it. */
  closed_by: z.string().nullable(),
})
export type Alarm = z.infer<typeof alarmSchema>

export const monitoringOverviewSchema = z.object({
  from: daySchema,
  to: daySchema,
  /** Each day of the range, the oldest first. `failed`: records without an answer. */
  days: z.array(
    z.object({
      day: daySchema,
      answers: count,
      failed: count,
      sampled: count,
      /** Sampled answers that at least one evaluator judged, and judgements that failed. */
      evaluated: count,
      errors: count,
    }),
  ),
  /** Records that came and were not looked at yet, of all projects. */
  pending: count,
  evaluators: z.array(monitoredEvaluatorSchema),
  /** The last look within the range; null when there was none. */
  drift: driftSchema.nullable(),
  cohorts: z.array(cohortGapSchema),
  /** Null where the monitoring file names no upstream for it. */
  counterfactual: counterfactualSchema.nullable(),
  /** The newest 20 that are open. */
  open_alarms: z.array(alarmSchema),
  /** When a model, or a configuration of the gateway, answered first. */
  releases: z.array(z.object({ at: z.iso.datetime(), kind: z.enum(['model', 'config']), name: z.string() })),
})
export type MonitoringOverview = z.infer<typeof monitoringOverviewSchema>

export const alarmQuerySchema = numberedPageSchema.extend({ state: z.enum(['open', 'closed']).optional() })
/** Newest first. */
export const alarmPageSchema = pageOf(alarmSchema)
export const alarmIdSchema = z.uuid()

/** An alarm with what it rests on. */
export const alarmDetailSchema = alarmSchema.extend({
  evidence: z.object({
    /** Share in the reference days, and its upper bound, which the alarm is measured against; null for drift. */
    baseline: z.object({ estimate: share, upper: share, flagged: count, judged: count }).nullable(),
    /** Since the detector began: what was flagged, and the rate that fits best; null for drift. */
    since_start: z.object({ flagged: count, judged: count, likeliest_rate: share }).nullable(),
    /** ln of the detector's evidence, and what it had to reach; null for drift. */
    log_evidence: z.number().nullable(),
    log_needed: z.number().nullable(),
    /** Null for a rate. */
    drift: driftSchema.nullable(),
    /** Of this evaluator and version, up to 60 days before the last detection; none for drift. */
    series: z.array(dayReadingSchema),
  }),
  /** The answers behind it, the newest first, at most 50. */
  interactions: z.array(
    z.object({
      record: z.uuid(),
      at: z.iso.datetime(),
      label: z.string().nullable(),
      category: z.string().nullable(),
      score: z.number().nullable(),
    }),
  ),
  notifications: z.array(
    z.object({
      channel: z.enum(['log', 'webhook', 'email']),
      state: z.enum(['waiting', 'running', 'done', 'dead']),
      attempts: count,
      error: z.string().nullable(),
    }),
  ),
})
export type AlarmDetail = z.infer<typeof alarmDetailSchema>
/** Body of the answer to `POST /api/alarms/{id}/close`: the next detection opens a new one. */
export const alarmClosedSchema = z.object({ id: z.uuid(), state: z.literal('closed') })

/** What monitoring was told to do when the server started, as its file says it. */
export const monitoringSettingsInForceSchema = z.object({
  /** Keys of the file, defaults among them; of `facts` and `canaries` how many there are, of addresses the server alone. */
  settings: z.record(z.string(), z.json()),
})
export type MonitoringSettingsInForce = z.infer<typeof monitoringSettingsInForceSchema>
