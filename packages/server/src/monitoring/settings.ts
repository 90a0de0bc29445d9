import { isIP } from 'node:net'
import { projectSchema } from '@plumbline/contracts'
import { z } from 'zod'

const share = z.number().gt(0).max(1)
const variable = z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of an environment variable, as MY_SECRET')
const value = z.union([z.string().min(1).max(1000), z.number()])
const labelSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}(\/[a-z0-9][a-z0-9/_-]{0,63})?$/, 'must be a label, or label/category')
const mailbox = z.string().regex(/^[^\s@<>",;]+@[^\s@<>",;]+$/, 'must be an address, as team@example.com')

const judgeSchema = z.strictObject({
  /** Of an OpenAI-compatible server, with /v1. */
  url: z.url(),
  model: z.string().min(1).max(200),
  /** What is not allowed, in words. */
  policy: z.string().min(1).max(8_000),
  /** The environment variable that holds its key. */
  key_env: variable.optional(),
  /** Its name may lead to private addresses. */
  private: z.boolean().default(false),
  /** Share of answers that it is asked about. */
  sample: share.default(0.05),
  /** Seconds for one answer, all attempts together. */
  timeout: z.number().min(0.1).max(300).default(20),
})

/** Live prompts asked again with another person in them, in the shadow. Off unless this section is there. */
const counterfactualSchema = z.strictObject({
  /** Of the upstream that gave the answers, with /v1: what went to another scheme, host or port is not sent here. */
  url: z.url(),
  /** Only answers of these; else of all. */
  projects: z.array(projectSchema).min(1).max(100).optional(),
  /** Its name for the model; else the one that the answer names. */
  model: z.string().min(1).max(200).optional(),
  key_env: variable.optional(),
  private: z.boolean().default(false),
  /** Share of answers whose prompts are looked at. */
  sample: share.default(0.05),
  /** In this process, without facts or canaries. */
  evaluators: z
    .array(z.enum(['refusal', 'harm', 'toxicity']))
    .min(1)
    .default(['refusal', 'harm', 'toxicity']),
  /** Pairs, each two answers of at most `max_tokens`, of all projects. */
  per_minute: z.number().int().min(1).max(600).default(10),
  per_day: z.number().int().min(1).max(10_000).default(500),
  max_tokens: z.number().int().min(1).max(4096).default(200),
  /** Seconds for one answer. */
  timeout: z.number().min(0.1).max(300).default(60),
})

const emailSchema = z.strictObject({
  /** smtp://user@host:587, or smtps:// for TLS from the start. */
  smtp: z.string().refine(isSmtp, 'must look like smtp://user@host:587; the password goes into password_env'),
  password_env: variable.optional(),
  from: mailbox,
  to: z.array(mailbox).min(1).max(20),
})

/** What the file of `--monitoring` may say. */
export const monitoringSettingsSchema = z.strictObject({
  /** In this process; none leaves only the volumes. */
  evaluators: z.array(z.string()).max(20).default(['harm', 'toxicity', 'refusal', 'personal-data']),
  /** Share of answers that they judge, and of those in which a guard found something. */
  sample: share.default(1),
  sample_guarded: share.default(1),
  judge: judgeSchema.optional(),
  counterfactual: counterfactualSchema.optional(),
  /** What answers must not contradict. */
  facts: z
    .array(
      z.strictObject({ about: z.string().min(1).max(1000), value, aliases: z.array(z.string()).max(100).optional() }),
    )
    .max(1000)
    .default([]),
  /** Prompts whose right answers are known. */
  canaries: z
    .array(z.strictObject({ prompt: z.string().min(1).max(10_000), answers: z.array(value).min(1).max(100) }))
    .max(1000)
    .default([]),
  /** Keys of a request's metadata by whose values outcomes are compared. */
  cohorts: z.array(z.string().min(1).max(64)).max(5).default([]),
  /** Share of failed judgements from which an evaluator shows no rate. */
  error_budget: z.number().min(0).max(1).default(0.1),
  review: z
    .strictObject({
      /** Whose flags, and whose close calls, people are shown. */
      evaluators: z.array(z.string()).default(['harm', 'toxicity', 'personal-data', 'judge']),
      guards: z.boolean().default(true),
      /** Evaluators, and guards on answers, that ask the same question: people are shown where two say the opposite. */
      disagreement: z.array(z.string()).max(20).default(['harm', 'judge']),
      per_day: z.number().int().min(0).max(100_000).default(100),
      /** How to judge, in the project's own words: reviewers read it beside the answer. */
      guideline: z.string().min(1).max(20_000).optional(),
      /** Share of judged answers that people are shown by chance, without any verdict, and about how many a day. */
      sample: z.number().min(0).max(1).default(0.01),
      sample_per_day: z.number().int().min(1).max(100_000).default(20),
      /** What people call an answer that the evaluator should flag; `label/category` is the label with that category. */
      labels: z
        .record(z.string(), z.array(labelSchema).min(1).max(50))
        .default({ harm: ['harmful'], 'over-refusal': ['over_refusal'], canary: ['wrong'] }),
    })
    .prefault({}),
  /** Compare each day's answers with those of the first days. */
  drift: z.boolean().default(true),
  alarms: z
    .strictObject({
      /** Of a project, over all its monitors. */
      false_alarms_per_year: z.number().gt(0).max(365).default(4),
      /** The smallest rise worth an alarm: 1.2 is 20 % more. */
      smallest_rise: z.number().gt(1).max(100).default(1.2),
      baseline_days: z.number().int().min(1).max(90).default(7),
      baseline_answers: z.number().int().min(100).max(1e7).default(1000),
      /** Where people find this server: links in messages begin with it. */
      link: z.url().optional(),
      webhook: z
        .strictObject({
          url: z.url(),
          /** The variable with the secret that signs: whsec_… or any text of 16 characters or more. */
          secret_env: variable,
          private: z.boolean().default(false),
        })
        .optional(),
      email: emailSchema.optional(),
    })
    .prefault({}),
})
export type MonitoringSettings = z.output<typeof monitoringSettingsSchema>
export type EmailSettings = z.output<typeof emailSchema>

function isSmtp(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, password } = new URL(text)
  const host = hostname.replace(/^\[|\]$/g, '')
  return /^smtps?:$/.test(protocol) && password === '' && (isIP(host) !== 0 || /^[\w.-]+$/.test(host))
}
