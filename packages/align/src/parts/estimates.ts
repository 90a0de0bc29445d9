import type { Estimate } from '@plumbline/contracts'
import type { Estimate as Rate } from '@plumbline/evals'

/** An estimate as reports have it; its interval holds it. */
export function estimateOf({ estimate: value, low, high }: Rate): Estimate {
  return { value, low: Math.min(low, value), high: Math.max(high, value) }
}

/** The same of a share, from 0 to 1. */
export function shareOf(rate: Rate): Estimate {
  const { value, low, high } = estimateOf(rate)
  const clip = (x: number) => Math.min(1, Math.max(0, x))
  return { value: clip(value), low: clip(low), high: clip(high) }
}
