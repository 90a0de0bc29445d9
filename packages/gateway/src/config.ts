import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import type { BestOfOptions } from './best-of.ts'
import type { PolicyOptions, RouteOptions } from './policies.ts'
import type { RewardModel } from './reward-model.ts'

const seconds = (fallback: number, text: string) => z.number().positive().max(86_400).default(fallback).describe(text)
const limit = (text: string) => z.number().int().min(1).max(1e9).optional().describe(text)

const upstreamSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w][\w.-]{0,62}$/, 'must be 1 to 63 letters, digits, "_", "-" and "."')
    .describe('what records and metrics call it'),
  url: z.string().min(1).describe('such as http://127.0.0.1:8000/v1'),
  key_env: z.string().min(1).optional().describe('the environment variable that holds its key'),
  weight: z.number().min(0).max(1e6).default(1).describe('its share of the requests; 0 takes it out'),
  models: z.array(z.string().min(1)).min(1).optional().describe('only these; all when left out'),
  fallback: z.boolean().default(false).describe('asked only when no other can answer, in the order of this list'),
  private: z.boolean().default(false).describe('its name may lead to private addresses'),
})

/** What a reload may change: keys of `plumb serve`. */
export const policyFields = {
  upstream: z
    .string()
    .min(1)
    .optional()
    .describe(
      'the OpenAI-compatible server to stand in front of, such as http://127.0.0.1:8000/v1; without any upstream, a model on this machine is served',
    ),
  upstream_private: z.boolean().default(false).describe('the name in --upstream may lead to private addresses'),
  upstreams: z
    .array(upstreamSchema)
    .max(100)
    .default([])
    .describe('several, each with name, url, key_env, weight, models, fallback, private; for the file of --config'),
  connect_timeout: seconds(5, 'seconds to connect to an upstream'),
  first_token_timeout: seconds(120, 'seconds to the first event of a streamed answer, for each attempt'),
  idle_timeout: seconds(60, 'seconds of silence in a stream, and of a client that does not read'),
  total_timeout: seconds(900, 'seconds for a whole answer, with all attempts'),
  max_body_bytes: z
    .number()
    .int()
    .min(1024)
    .max(32 * 2 ** 20)
    .default(16 * 2 ** 20)
    .describe('largest request body'),
  max_in_flight: z.number().int().min(1).max(10_000).default(512).describe('most answers at a time'),
  retries: z.number().int().min(0).max(10).default(2).describe('further attempts of a request that failed, at most'),
  retry_budget: z.number().min(0).max(1).default(0.1).describe('further attempts as a share of all requests'),
  retry_wait: seconds(0.25, 'seconds before an upstream is asked again: chance up to this, doubled each time'),
  retry_max_wait: seconds(5, 'longest such wait; an upstream that asks for a longer one is not asked again'),
  breaker_failure_rate: z
    .number()
    .gt(0)
    .max(1)
    .default(0.5)
    .describe('share of failed attempts at which an upstream is left alone'),
  breaker_window: seconds(30, 'seconds over which that share is taken'),
  breaker_min_attempts: z.number().int().min(1).max(1e6).default(20).describe('attempts below which it is not'),
  breaker_pause: seconds(10, 'seconds that an upstream is left alone before it is tried again'),
  limit_requests_per_minute: limit('requests a minute of each key that has no such limit of its own'),
  limit_concurrent: limit('answers at a time of each such key'),
  limit_tokens_per_minute: limit('tokens a minute of each such key, guessed first and corrected by the usage'),
  fallback_answer: z
    .string()
    .min(1)
    .max(10_000)
    .optional()
    .describe('text to answer with when no upstream does, instead of an error'),
  best_of: z
    .number()
    .int()
    .min(2)
    .max(16)
    .optional()
    .describe('answers that an upstream is asked for at each chat; the one that the reward model likes best is given'),
  best_of_timeout: seconds(10, 'seconds for the reward model to choose; then the first answer is given'),
}
const policySchema = z.object(policyFields)
type PolicyConfig = z.output<typeof policySchema>

/** A model on this machine, where the configuration names no upstream. */
export interface LocalUpstream {
  readonly url: string
  readonly apiKey: string
}

type Env = Readonly<Record<string, string | undefined>>

/** The configuration as the gateway takes it, keys looked up. Throws what is wrong with it. */
export function policiesOf(config: PolicyConfig, env: Env, local?: LocalUpstream): PolicyOptions {
  const ms = (value: number) => Math.round(value * 1000)
  return {
    upstreams: routesOf(config, env, local),
    connectTimeoutMs: ms(config.connect_timeout),
    firstTokenMs: ms(config.first_token_timeout),
    idleMs: ms(config.idle_timeout),
    totalMs: ms(config.total_timeout),
    maxBodyBytes: config.max_body_bytes,
    maxInFlight: config.max_in_flight,
    breaker: {
      failureRate: config.breaker_failure_rate,
      windowMs: ms(config.breaker_window),
      minAttempts: config.breaker_min_attempts,
      pauseMs: ms(config.breaker_pause),
    },
    retries: {
      max: config.retries,
      budget: config.retry_budget,
      baseMs: ms(config.retry_wait),
      maxWaitMs: ms(config.retry_max_wait),
    },
    keyLimits: {
      requests_per_minute: config.limit_requests_per_minute,
      concurrent: config.limit_concurrent,
      tokens_per_minute: config.limit_tokens_per_minute,
    },
    fallbackAnswer: config.fallback_answer,
  }
}

/** How several answers are chosen from; undefined where one is asked for. Throws when nothing could choose. */
export function bestOfOf(
  { best_of: candidates, best_of_timeout }: PolicyConfig,
  rewardModel: RewardModel | undefined,
): BestOfOptions | undefined {
  if (candidates === undefined) return undefined
  if (rewardModel !== undefined) return { candidates, timeoutMs: Math.round(best_of_timeout * 1000), rewardModel }
  throw new PlumblineError('USAGE_BEST_OF', '--best-of needs a reward model, which chooses.', {
    hint: 'Give --reward-model with a folder as plumb reward writes it, or leave --best-of out.',
  })
}

function routesOf(config: PolicyConfig, env: Env, local: LocalUpstream | undefined): RouteOptions[] {
  const { upstream, upstreams, upstream_private: isPrivate } = config
  if (upstream !== undefined) {
    if (upstreams.length > 0) throw wrong('There is an upstream and a list of upstreams.', 'Keep one of the two.')
    const apiKey = env.PLUMBLINE_UPSTREAM_KEY || undefined
    return [{ name: 'upstream', url: upstream, apiKey, isPrivate, weight: 1, isFallback: false }]
  }
  if (upstreams.length === 0) {
    if (local !== undefined) return [{ name: 'local', ...local, isPrivate: true, weight: 1, isFallback: false }]
    throw new PlumblineError('USAGE_MISSING', 'A gateway needs --upstream, or upstreams in the file of --config.', {
      hint: 'For example --upstream http://127.0.0.1:8000/v1',
    })
  }
  const names = upstreams.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) throw wrong(`Two upstreams are called "${twice}".`, 'Give each a name of its own.')
  if (upstreams.every(({ weight }) => weight === 0)) throw wrong('Every upstream has weight 0.', 'One must have more.')
  return upstreams.map(({ name, url, key_env: variable, weight, models, fallback, private: isPrivate }) => {
    const apiKey = variable === undefined ? undefined : env[variable]
    if (variable !== undefined && !apiKey) {
      throw wrong(
        `The key of upstream "${name}" should be in ${variable}, which is not set.`,
        'Set the variable where plumb starts, or leave key_env out.',
      )
    }
    return { name, url, apiKey, isPrivate, weight, models, isFallback: fallback }
  })
}

function wrong(message: string, hint: string): PlumblineError {
  return new PlumblineError('USAGE_UPSTREAMS', message, { hint })
}
