import { RequestError } from '@plumbline/gateway'
import { createRateLimiter, type RateLimit } from './rate-limit.ts'

export interface FeedbackLimits {
  /** What one answer's token may send. */
  readonly token: RateLimit
  /** What one person may send through a client's key. */
  readonly actor: RateLimit
  /** What one key may send altogether. */
  readonly key: RateLimit
  /** Milliseconds that only grow. */
  readonly clock: () => number
}

const defaults: FeedbackLimits = {
  token: { perSecond: 0.1, burst: 20 },
  actor: { perSecond: 1, burst: 100 },
  key: { perSecond: 10_000, burst: 20_000 },
  clock: () => performance.now(),
}

export interface FeedbackLimiter {
  /** Counts one; throws a RequestError (429) when it is too much now. */
  take(kind: 'token' | 'actor' | 'key', name: string): void
}

export function createFeedbackLimiter(limits: Partial<FeedbackLimits>): FeedbackLimiter {
  const { clock, ...rates } = { ...defaults, ...limits }
  const { token, actor, key } = rates
  const limiters = {
    token: createRateLimiter(token, clock),
    actor: createRateLimiter(actor, clock),
    key: createRateLimiter(key, clock),
  }
  return {
    take: (kind, name) => {
      const seconds = limiters[kind].take(name)
      if (seconds === 0) return
      const wait = Math.min(3600, Math.ceil(seconds))
      const { burst, perSecond } = rates[kind]
      const message = `This ${kind} sends too much feedback, more than ${burst} at once and then one in ${1 / perSecond} s: try again in ${wait} s.`
      throw new RequestError(429, 'rate_limit_exceeded', message, { headers: { 'retry-after': String(wait) } })
    },
  }
}
