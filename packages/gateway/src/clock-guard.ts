/** Less than this between two looks is a clock that is kept right. */
const toleranceMs = 3_600_000
/** Time to notice, and to set the clock right. */
const pauseMs = 86_400_000

interface ClockGuardWorld {
  /** Milliseconds since 1970, by a clock that people and machines set. */
  readonly now: () => number
  /** Milliseconds that never go back. */
  readonly clock: () => number
  readonly warn: (text: string) => void
}

/**
 * Tells whether what is old by the clock may be deleted. A clock that was set forward by mistake makes everything old: it
 * is not believed for a day; the day begins anew when it jumps by another day. A machine that slept looks the same, and
 * waits a day too.
 */
export function createClockGuard({ now, clock, warn }: ClockGuardWorld): () => boolean {
  let offset = now() - clock()
  let doubt: { readonly since: number; readonly ahead: number } | undefined
  return () => {
    const ahead = now() - clock() - offset
    if (ahead > toleranceMs) {
      if (doubt === undefined || ahead - doubt.ahead > pauseMs) {
        doubt = { since: clock(), ahead }
        const hours = Math.round(ahead / toleranceMs)
        warn(
          `The clock was set forward by ${hours} hours. Nothing is deleted by its age for a day; if the clock is wrong, set it right before then.`,
        )
      }
      if (clock() - doubt.since < pauseMs) return false
    }
    doubt = undefined
    offset += ahead
    return true
  }
}
