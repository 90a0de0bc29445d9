/** Allows `perSecond` in the long run and `burst` at once, each name apart. */
export interface RateLimit {
  readonly perSecond: number
  readonly burst: number
}

export interface RateLimiter {
  /** Seconds to wait; 0 when it is allowed, and counted. */
  take(name: string): number
  /** Names in memory. */
  readonly size: number
}

interface Bucket {
  level: number
  at: number
}

/** Token buckets. The names used longest ago are forgotten first, so memory is bounded whoever asks. */
export function createRateLimiter({ perSecond, burst }: RateLimit, now: () => number, maxNames = 50_000): RateLimiter {
  const buckets = new Map<string, Bucket>()
  return {
    take: (name) => {
      const at = now()
      const bucket = buckets.get(name) ?? { level: burst, at }
      // A clock that goes back refills nothing.
      const elapsed = Math.max(0, at - bucket.at)
      bucket.level = Math.min(burst, bucket.level + (elapsed / 1000) * perSecond)
      bucket.at = at
      buckets.delete(name)
      buckets.set(name, bucket)
      if (buckets.size > maxNames) buckets.delete(buckets.keys().next().value!)
      if (bucket.level < 1) return (1 - bucket.level) / perSecond
      bucket.level--
      return 0
    },
    get size() {
      return buckets.size
    },
  }
}
