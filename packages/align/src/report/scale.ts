/** A range of values, low end first. */
export type Range = readonly [low: number, high: number]

/** Maps values of `domain` to `range`, in a straight line. */
export function linearScale([from, to]: Range, [start, end]: Range): (value: number) => number {
  const unit = (end - start) / (to - from)
  return (value) => start + (value - from) * unit
}

// Larger values lose the precision that ticks need; a loss that grew so far has diverged anyway.
const largest = 1e100
// Smaller ones have no digits left to divide into ticks.
const smallest = 1e-100

/** Whether a chart can place the value; what it cannot is a gap. */
export const isDrawable = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Math.abs(value) <= largest

/** The range of the values, made wider where they are all equal or none is there. */
export function extent(values: Iterable<number>): Range {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  if (low > high) return [0, 1]
  const room = Math.max(Math.abs(low), Math.abs(high))
  if (room > smallest && high - low > room * 1e-9) return [low, high]
  return room <= smallest ? [0, 1] : [low - room / 2, high + room / 2]
}

function niceStep(span: number, count: number): number {
  const rough = span / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 5, 10].find((nice) => nice * power >= rough * 0.999) ?? 10
  return factor * power
}

export interface Axis {
  /** The range that is drawn: ends on ticks. */
  readonly domain: Range
  readonly ticks: readonly number[]
  readonly label: (tick: number) => string
}

/** About `count` round values (1, 2 or 5 times a power of ten) around the range, and the range up to them. */
export function niceAxis([low, high]: Range, count: number): Axis {
  const step = niceStep(high - low, count)
  const first = Math.floor(low / step + 1e-6)
  const last = Math.ceil(high / step - 1e-6)
  const ticks = Array.from({ length: Math.min(last - first, 50) + 1 }, (_, index) => (first + index) * step)
  return { domain: [ticks[0], ticks[ticks.length - 1]], ticks, label: tickLabel(step) }
}

/** Whole numbers only: steps and counts have no halves. */
export function wholeAxis([low, high]: Range, count: number): Axis {
  const step = Math.max(1, niceStep(Math.max(high - low, 1), count))
  const first = Math.ceil(low / step - 1e-6)
  const last = Math.floor(high / step + 1e-6)
  const ticks = Array.from(
    { length: Math.max(0, Math.min(last - first, 50) + 1) },
    (_, index) => (first + index) * step,
  )
  return { domain: [low, high], ticks, label: tickLabel(step) }
}

function tickLabel(step: number): (tick: number) => string {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  return (tick) => {
    // −0 and the dust of floating point are 0.
    const value = Math.abs(tick) < step * 1e-6 ? 0 : tick
    const size = Math.abs(value)
    if (digits > 4 || size >= 1e6)
      return value === 0 ? '0' : value.toExponential(1).replace('e+', 'e').replace('-', '\u2212')
    return value
      .toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
      .replace('-', '\u2212')
  }
}
