import type { ChartPoint } from './chart.tsx'

/** The next 1, 2 or 5 times a power of ten; something to draw against where all is zero. */
export function niceTop(largest: number): number {
  if (!(largest > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(largest))
  return power * ([1, 2, 5, 10].find((step) => step * power >= largest) ?? 10)
}

/** The bands of a few answers a day reach far: past four times the largest value they leave the drawing, not the table. */
export function topOf(points: readonly ChartPoint[]): number {
  const largest = Math.max(0, ...points.map(({ value }) => value ?? 0))
  const highest = Math.max(largest, ...points.map(({ high }) => high ?? 0))
  return niceTop(largest > 0 ? Math.min(highest, 4 * largest) : highest)
}

type Place = readonly [index: number, value: number]

/** Lines and bands break where there is no number: a gap is not drawn over. */
export function linePieces(points: readonly ChartPoint[]): { lines: Place[][]; bands: Place[][] } {
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
