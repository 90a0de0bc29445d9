import type { MetricSeries } from '@plumbline/contracts'

/** One metric over the steps, in bounded memory however long the run is. */
export interface ThinnedCurve {
  /** Null: not a finite number. */
  add(step: number, value: number | null): void
  points(): MetricSeries['points']
  /** How many values are one point. */
  readonly stride: number
}

interface Bucket {
  readonly step: number
  readonly count: number
  readonly sum: number
  readonly low: number
  readonly high: number
  readonly hasGap: boolean
}

/**
 * At most `most` points: past that, two neighbours become one, with their mean, lowest and highest. A value that is no
 * number stays to be seen: its point has none.
 */
export function createThinnedCurve(most: number): ThinnedCurve {
  let stride = 1
  let buckets: Bucket[] = []
  return {
    add(step, value) {
      const one = { step, count: 1, sum: value ?? 0, low: value ?? Infinity, high: value ?? -Infinity }
      const last = buckets.at(-1)
      const bucket = { ...one, hasGap: value === null }
      if (last !== undefined && last.count < stride) buckets[buckets.length - 1] = merged(last, bucket)
      else buckets.push(bucket)
      if (buckets.length <= most) return
      buckets = Array.from({ length: Math.ceil(buckets.length / 2) }, (_, i) =>
        2 * i + 1 < buckets.length ? merged(buckets[2 * i], buckets[2 * i + 1]) : buckets[2 * i],
      )
      stride *= 2
    },
    points: () => buckets.map((bucket) => pointOf(bucket, stride)),
    get stride() {
      return stride
    },
  }
}

function merged(a: Bucket, b: Bucket): Bucket {
  return {
    step: b.step,
    count: a.count + b.count,
    sum: a.sum + b.sum,
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
    hasGap: a.hasGap || b.hasGap,
  }
}

function pointOf({ step, sum, count, low, high, hasGap }: Bucket, stride: number) {
  const mean = sum / count
  if (hasGap || !Number.isFinite(mean)) return { step, value: null }
  const value = Math.min(Math.max(mean, low), high)
  return stride === 1
    ? { step, value: short(value) }
    : { step, value: short(value), low: short(low), high: short(high) }
}

/** As many digits as a drawing can show. */
const short = (value: number) => Number(value.toPrecision(7))
