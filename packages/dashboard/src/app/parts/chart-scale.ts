/** What is drawn at one place; null where there is no number. */
export interface Drawn {
  readonly value: number | null
  readonly low?: number | null
  readonly high?: number | null
}

/** The next 1, 2 or 5 times a power of ten, or of other steps; something to draw against where all is zero. */
export function niceTop(largest: number, steps: readonly number[] = [1, 2, 5]): number {
  if (!(largest > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(largest))
  return power * (steps.find((step) => step * power >= largest) ?? 10)
}

/** Their halves are round, too. */
const halved = [1, 2, 3, 4, 5, 6, 8]

/** The bands of a few answers a day reach far: past four times the largest value they leave the drawing, not the table. */
export function topOf(points: readonly Drawn[]): number {
  const largest = Math.max(0, ...points.map(({ value }) => value ?? 0))
  const highest = Math.max(largest, ...points.map(({ high }) => high ?? 0))
  return niceTop(largest > 0 ? Math.min(highest, 4 * largest) : highest, halved)
}

/** Three to six round values around a range, the outer ones outside of it or at its ends. */
export function ticksAround(low: number, high: number): number[] {
  const size = Math.max(Math.abs(low), Math.abs(high))
  // What is smaller has no digits left to divide.
  const isTiny = size < 1e-100
  if (isTiny || high - low <= size * 1e-9) {
    const room = isTiny ? 0.5 : size / 2
    return ticksAround(low - room, high + room)
  }
  const step = niceTop((high - low) / 4)
  const first = Math.floor(low / step + 1e-9)
  const last = Math.ceil(high / step - 1e-9)
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
}

/** What stands beside ticks; as many digits as tell one from the next. */
export function tickTexts(ticks: readonly number[], format: (value: number) => string): string[] {
  const texts = ticks.map(format)
  if (new Set(texts).size === ticks.length) return texts
  const digits = Math.ceil(-Math.log10(ticks[1] - ticks[0]) - 1e-9)
  return ticks.map((tick) => tick.toFixed(Math.min(Math.max(digits, 0), 100)))
}

type Place = readonly [index: number, value: number]

/** Lines and bands break where there is no number: a gap is not drawn over. */
export function linePieces(points: readonly Drawn[]): { lines: Place[][]; bands: Place[][] } {
  const pieces: number[][] = []
  for (const [index, { value }] of points.entries()) {
    if (value === null) continue
    const last = pieces.at(-1)
    if (last?.at(-1) === index - 1) last.push(index)
    else pieces.push([index])
  }
  const lines = pieces.map((piece) => piece.map((index): Place => [index, points[index].value as number]))
  const banded = pieces.filter((piece) =>
    piece.every((index) => points[index].low != null && points[index].high != null),
  )
  const bands = banded.map((piece) => [
    ...piece.map((index): Place => [index, points[index].high as number]),
    ...piece.toReversed().map((index): Place => [index, points[index].low as number]),
  ])
  return { lines, bands }
}
