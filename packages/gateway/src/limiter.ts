import type { KeyLimits } from '@plumbline/contracts'
import { RequestError } from './openai-error.ts'

/** A key as the limiter needs it. `limits` are its own, over those of the configuration; null lifts one. */
export interface LimitedKey {
  readonly id: string
  readonly limits: KeyLimits
}

/** What one request may use, from its admission to its end. */
export interface Permit {
  /** Takes what the request will use by a guess. Throws a RequestError (429) when that is too much now. */
  reserveTokens(estimate: number): void
  /** For OpenAI's clients: how much is left. */
  headers(): Record<string, string>
  /** The request is over and used this much. */
  end(usedTokens: number): void
}

export interface Limiter {
  /** Throws a RequestError (429) when the key has too many requests. */
  admit(key: LimitedKey, defaults: KeyLimits): Permit
  /** Keys in memory. */
  readonly size: number
}

/** What a key has left of its minute: full at the start, refilled steadily, below zero after a guess too low. */
interface Bucket {
  level: number
  at: number
  readonly limit: number
}

interface Entry {
  requests: Bucket | undefined
  tokens: Bucket | undefined
  concurrent: number
}

const minuteMs = 60_000
/** Keys that are forgotten at the earliest: one whose buckets are full again needs no memory. */
const sweepFrom = 1_000

export type LimitName = 'requests' | 'tokens' | 'concurrent'

export function createLimiter(clock: () => number, onLimited: (limit: LimitName) => void): Limiter {
  const entries = new Map<string, Entry>()
  let sweepAt = sweepFrom

  const entryOf = (id: string): Entry => {
    const found = entries.get(id)
    if (found !== undefined) return found
    if (entries.size >= sweepAt) {
      const now = clock()
      for (const [other, entry] of entries) if (isIdle(entry, now)) entries.delete(other)
      sweepAt = Math.max(sweepFrom, 2 * entries.size)
    }
    const entry = { requests: undefined, tokens: undefined, concurrent: 0 }
    entries.set(id, entry)
    return entry
  }

  /** The bucket as it is now. One that was never used, or whose limit is new, is full. */
  const refill = (entry: Entry, name: 'requests' | 'tokens', limit: number): Bucket => {
    const now = clock()
    const before = entry[name] ?? { level: limit, at: now, limit }
    const bucket = { level: Math.min(limit, levelAt(before, now)), at: now, limit }
    entry[name] = bucket
    return bucket
  }

  const refuse = (limit: LimitName, message: string, waitMs: number, headers: Record<string, string>): never => {
    onLimited(limit)
    throw new RequestError(429, 'rate_limit_exceeded', message, {
      type: limit === 'tokens' ? 'tokens' : 'requests',
      headers: {
        'retry-after': String(Math.ceil(waitMs / 1000)),
        'retry-after-ms': String(Math.ceil(waitMs)),
        ...headers,
      },
    })
  }

  return {
    get size() {
      return entries.size
    },
    admit: ({ id, limits: own }, defaults) => {
      const limits = { ...defaults, ...own }
      const entry = entryOf(id)
      const headers = () => ({
        ...describe('requests', limits.requests_per_minute, (limit) => refill(entry, 'requests', limit).level),
        ...describe('tokens', limits.tokens_per_minute, (limit) => refill(entry, 'tokens', limit).level),
      })
      const wait = (limit: number, missing: number) => Math.max(1, (missing * minuteMs) / limit)

      const { concurrent, requests_per_minute: perMinute, tokens_per_minute: tokensPerMinute } = limits
      if (concurrent != null && entry.concurrent >= concurrent) {
        refuse(
          'concurrent',
          `This key has as many answers under way as it may (${concurrent}): wait for one to end.`,
          1_000,
          headers(),
        )
      }
      if (perMinute != null) {
        const bucket = refill(entry, 'requests', perMinute)
        if (bucket.level < 1) {
          refuse(
            'requests',
            `This key may ask ${perMinute} times a minute.`,
            wait(perMinute, 1 - bucket.level),
            headers(),
          )
        }
        bucket.level -= 1
      }
      entry.concurrent++
      let reserved = 0
      return {
        reserveTokens: (estimate) => {
          if (tokensPerMinute == null) return
          const bucket = refill(entry, 'tokens', tokensPerMinute)
          // More than a whole minute's can only go while nothing else has used the minute.
          const needed = Math.min(estimate, tokensPerMinute)
          if (bucket.level < needed) {
            const message = `This key may use ${tokensPerMinute} tokens a minute; this request needs about ${estimate}.`
            refuse('tokens', message, wait(tokensPerMinute, needed - bucket.level), headers())
          }
          reserved = estimate
          bucket.level -= reserved
        },
        headers,
        end: (usedTokens) => {
          entry.concurrent--
          if (entry.tokens !== undefined) entry.tokens.level += reserved - usedTokens
        },
      }
    },
  }
}

function levelAt({ level, at, limit }: Bucket, now: number): number {
  return level + ((now - at) * limit) / minuteMs
}

/** What a new entry would be like. */
function isIdle({ concurrent, requests, tokens }: Entry, now: number): boolean {
  const isFull = (bucket: Bucket | undefined) => bucket === undefined || levelAt(bucket, now) >= bucket.limit
  return concurrent === 0 && isFull(requests) && isFull(tokens)
}

function describe(
  name: 'requests' | 'tokens',
  limit: number | null | undefined,
  levelOf: (limit: number) => number,
): Record<string, string> {
  if (limit == null) return {}
  const level = levelOf(limit)
  return {
    [`x-ratelimit-limit-${name}`]: String(limit),
    [`x-ratelimit-remaining-${name}`]: String(Math.max(0, Math.floor(level))),
    [`x-ratelimit-reset-${name}`]: `${Math.ceil(((limit - level) * minuteMs) / limit)}ms`,
  }
}
