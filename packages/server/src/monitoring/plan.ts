import { PlumblineError } from '@plumbline/contracts'
import type { Evaluator } from '@plumbline/evals'
import { createPoster } from '@plumbline/gateway/checked-post'
import type { WatchOptions } from '@plumbline/monitor'
import type { Channels } from './alarms/channels.ts'
import type { Sampling } from './evaluation/draw.ts'
import { checkNames, type EvaluatorSetup, evaluatorsOf } from './evaluation/evaluators-of.ts'
import { type MonitoringSettings, monitoringSettingsSchema } from './settings.ts'

/** Evaluators that go through the records together, each lane at its own pace. */
export interface Lane {
  readonly name: 'records' | 'judge'
  readonly setup: EvaluatorSetup
  readonly evaluators: readonly Evaluator[]
  readonly sampling: Sampling
  readonly concurrency: number
  /** A thread that gives no judgement for so long has hung. */
  readonly patienceMs: number
}

/** What asks live prompts again with another person in them. */
export interface CounterfactualPlan extends Pick<Lane, 'setup' | 'evaluators' | 'concurrency' | 'patienceMs'> {
  readonly url: string
  /** As records name the upstream. */
  readonly origin: string
  /** Whose prompts; undefined is all. */
  readonly projects: readonly string[] | undefined
  readonly model: string | undefined
  readonly key: string | undefined
  readonly isPrivate: boolean
  readonly sample: number
  readonly perMinute: number
  readonly perDay: number
  readonly maxTokens: number
  readonly timeoutMs: number
}

/** What is monitored and who is told: settings, checked, with the secrets that they name. */
export interface MonitoringPlan {
  readonly lanes: readonly Lane[]
  /** As they were read, for people to look at. */
  readonly settings: MonitoringSettings
  readonly watch: WatchOptions
  readonly errorBudget: number
  readonly review: MonitoringSettings['review']
  readonly hasDrift: boolean
  readonly counterfactual: CounterfactualPlan | undefined
  readonly channels: Channels
}

/** Whose judged answers the even sample for reviewers is drawn from: the first lane in which something judges. */
export function sampleLane({ lanes }: Pick<MonitoringPlan, 'lanes'>): Lane['name'] | undefined {
  return lanes.find(({ evaluators }) => evaluators.length > 0)?.name
}

/** Records of a batch that classifiers judge: a few milliseconds each. A judge takes seconds. */
const mostByClassifiers = 100
const mostByJudge = 20
const judgeConcurrency = 4
const classifierPatienceMs = 30_000

type Env = Readonly<Record<string, string | undefined>>

/** Reads what a configuration says of monitoring; undefined is all defaults. Throws what is wrong with it. */
export function readMonitoring(config: unknown, env: Env): MonitoringPlan {
  const settings = parse(config ?? {})
  checkNames('evaluators', settings.evaluators)
  const asked = Object.keys(settings.review.labels).filter((name) => name !== 'judge')
  checkNames('review.labels', asked)
  const { judge, alarms, facts, canaries, cohorts } = settings
  const empty = { facts: [], canaries: [], cohorts }
  const lanes = [
    lane(
      'records',
      { ...empty, names: settings.evaluators, facts, canaries },
      {
        sampling: { sample: settings.sample, sampleGuarded: settings.sample_guarded, most: mostByClassifiers },
        concurrency: 1,
        patienceMs: classifierPatienceMs,
      },
    ),
  ]
  if (judge !== undefined) {
    const { url, model, policy, private: isPrivate, sample, timeout } = judge
    const key = secretOf('judge.key_env', judge.key_env, env)
    const budgetMs = Math.round(timeout * 1000)
    const setup = { ...empty, names: [], judge: { url, model, policy, isPrivate, key, budgetMs } }
    const sampling = { sample, sampleGuarded: sample, most: mostByJudge }
    const patienceMs = budgetMs * 2 + classifierPatienceMs
    lanes.push(lane('judge', setup, { sampling, concurrency: judgeConcurrency, patienceMs }))
  }
  const monitors = lanes.reduce((sum, { evaluators }) => sum + evaluators.length, settings.drift ? 1 : 0)
  return {
    lanes,
    settings,
    watch: {
      falseAlarmsPerYear: alarms.false_alarms_per_year / Math.max(1, monitors),
      smallestRise: alarms.smallest_rise,
      baselineAnswers: alarms.baseline_answers,
      baselineDays: alarms.baseline_days,
    },
    errorBudget: settings.error_budget,
    review: settings.review,
    hasDrift: settings.drift,
    counterfactual: counterfactualOf(settings.counterfactual, env),
    channels: channelsOf(alarms, env),
  }
}

function parse(config: unknown): MonitoringSettings {
  const parsed = monitoringSettingsSchema.safeParse(config)
  if (parsed.success) return parsed.data
  const [{ path, message }] = parsed.error.issues
  throw new PlumblineError('MONITORING_CONFIG', `${path.join('.') || 'monitoring'}: ${message}.`, {
    hint: 'The settings are in packages/server/README.md.',
  })
}

function lane(
  name: Lane['name'],
  setup: EvaluatorSetup,
  rest: Pick<Lane, 'sampling' | 'concurrency' | 'patienceMs'>,
): Lane {
  return { name, setup, evaluators: evaluatorsOf(setup).list, ...rest }
}

function counterfactualOf(settings: MonitoringSettings['counterfactual'], env: Env): CounterfactualPlan | undefined {
  if (settings === undefined) return undefined
  const { model, projects, private: isPrivate, sample, evaluators: names, max_tokens, timeout } = settings
  const url = settings.url.replace(/\/+$/, '')
  // What is wrong with the address is told now.
  createPoster(url, { what: 'counterfactual.url', isPrivate })
  const setup = { names, facts: [], canaries: [], cohorts: [] }
  return {
    ...{ url, origin: new URL(url).origin, projects, model, isPrivate, sample },
    ...{ perMinute: settings.per_minute, perDay: settings.per_day },
    key: secretOf('counterfactual.key_env', settings.key_env, env),
    maxTokens: max_tokens,
    timeoutMs: Math.round(timeout * 1000),
    ...{ setup, evaluators: evaluatorsOf(setup).list, concurrency: 1, patienceMs: classifierPatienceMs },
  }
}

function channelsOf({ link, webhook, email }: MonitoringSettings['alarms'], env: Env): Channels {
  if (webhook !== undefined) {
    // What is wrong with the address is told now, not with the first alarm.
    createPoster(webhook.url, { what: 'alarms.webhook.url', isPrivate: webhook.private })
  }
  const secret = secretOf('alarms.webhook.secret_env', webhook?.secret_env, env)
  if (secret !== undefined && secret.length < 16)
    throw new PlumblineError(
      'MONITORING_CONFIG',
      `The secret in ${webhook?.secret_env} is shorter than 16 characters.`,
      {
        hint: 'openssl rand -hex 32 makes one.',
      },
    )
  return {
    link: link?.replace(/\/+$/, ''),
    webhook: webhook && { url: webhook.url, isPrivate: webhook.private, secret: secret! },
    email: email && { ...email, password: secretOf('alarms.email.password_env', email.password_env, env) },
  }
}

function secretOf(place: string, variable: string | undefined, env: Env): string | undefined {
  if (variable === undefined) return undefined
  const secret = env[variable]
  if (secret) return secret
  throw new PlumblineError('MONITORING_CONFIG', `${place}: the environment variable ${variable} is not set.`, {
    hint: 'Set it where plumb starts.',
  })
}
