import { html, type Markup } from './markup.ts'
import { shortNumber } from './numbers.ts'
import { extent, isDrawable, linearScale, niceAxis, type Range, wholeAxis } from './scale.ts'
import type { ChartColour } from './styles.ts'

export interface LinePoint {
  readonly x: number
  /** Null or not finite: a gap in the line. */
  readonly y: number | null
  readonly low?: number
  readonly high?: number
}

export interface LineSeries {
  readonly name: string
  readonly colour: ChartColour
  readonly isDashed?: boolean
  /** Written at the end of the line; off for all but one of several equal lines. */
  readonly isLabelled?: boolean
  /** In ascending order of x. */
  readonly points: readonly LinePoint[]
}

export interface LineChartOptions {
  /** What the chart shows, for those who cannot see it. */
  readonly title: string
  readonly xLabel: string
  /** With its unit. */
  readonly yLabel: string
  readonly series: readonly LineSeries[]
  /** Values that the axis must include, as 0 for a count. */
  readonly include?: readonly number[]
  readonly formatValue?: (value: number) => string
  readonly formatTick?: ((tick: number) => string) | undefined
}

const width = 400
const height = 232
const top = 26
const bottom = 40
const letter = 6.6 // px of a letter at 12 px, about

/** Names of others' metrics may be of any length. */
const cut = (text: string, most: number) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`)

const round = (value: number) => Math.round(value * 10) / 10

/** Runs without a gap. */
function runsOf(points: readonly LinePoint[]): LinePoint[][] {
  const runs: LinePoint[][] = [[]]
  for (const point of points) {
    if (isDrawable(point.y)) runs[runs.length - 1].push(point)
    else if (runs[runs.length - 1].length > 0) runs.push([])
  }
  return runs.filter((run) => run.length > 0)
}

/** No more points than pixels can show: of each column the lowest and the highest stay, so that no spike is lost. */
export function thin(run: readonly LinePoint[], columns = 300): readonly LinePoint[] {
  if (run.length <= columns * 2) return run
  const [from, to] = [run[0].x, run[run.length - 1].x]
  const groups = Map.groupBy(run, ({ x }) => Math.floor(((x - from) / (to - from || 1)) * columns))
  return [...groups.values()].flatMap((group) => {
    const ordered = group.toSorted((a, b) => a.y! - b.y!)
    const ends = new Set([ordered[0], ordered[ordered.length - 1]])
    return group.filter((point) => ends.has(point))
  })
}

/** Keeps labels a line apart: moves them down, then the whole stack up if it leaves the chart. */
export function spread(places: readonly number[], gap: number, lowest: number): number[] {
  const order = places.map((place, index) => ({ place, index })).sort((a, b) => a.place - b.place)
  for (let i = 1; i < order.length; i++) order[i].place = Math.max(order[i].place, order[i - 1].place + gap)
  for (let i = order.length - 1, limit = lowest; i >= 0; i--, limit -= gap)
    order[i].place = Math.min(order[i].place, limit)
  const result = new Array<number>(places.length)
  for (const { place, index } of order) result[index] = place
  return result
}

type Scales = Readonly<{ x: (value: number) => number; y: (value: number) => number }>

function drawSeries({ colour, isDashed, points }: LineSeries, { x, y }: Scales): Markup[] {
  const dash = isDashed ? ' dashed' : ''
  return runsOf(points).map((run) => {
    const shown = thin(run)
    const banded = shown.filter(({ low, high }) => isDrawable(low) && isDrawable(high))
    const place = (px: number, py: number) => `${round(x(px))},${round(y(py))}`
    const edge = [...banded.map((p) => place(p.x, p.high!)), ...banded.toReversed().map((p) => place(p.x, p.low!))]
    const line = shown.map((p) => place(p.x, p.y!)).join(' ')
    return html`${banded.length > 1 && html`<polygon class="band ${colour}" points="${edge.join(' ')}"/>`}${
      // A few measurements are shown as such; a line through one point would be nothing at all.
      shown.length <= 12 &&
      shown.map((p) => html`<circle class="dot ${colour}" cx="${round(x(p.x))}" cy="${round(y(p.y!))}" r="2.6"/>`)
    }<polyline class="line ${colour}${dash}" points="${line}"/>`
  })
}

function endLabels(series: readonly LineSeries[], { x, y }: Scales, formatValue: (value: number) => string): Markup[] {
  const ends = series.flatMap(({ name, colour, points, isLabelled }) => {
    const last = points.findLast((point) => isDrawable(point.y))
    return last === undefined || isLabelled === false
      ? []
      : [{ name, colour, x: x(last.x), y: y(last.y!), value: formatValue(last.y!) }]
  })
  // Two lines of text each: name and value, or the value alone where there is one line.
  const hasNames = ends.length > 1
  const places = spread(
    ends.map((end) => end.y),
    hasNames ? 30 : 15,
    height - bottom - (hasNames ? 14 : 0),
  )
  return ends.map((end, index) => {
    const at = round(end.x + 7)
    const down = round(places[index] + 4)
    return html`<text class="label ${end.colour}" x="${at}" y="${down}">${
      hasNames
        ? html`${cut(end.name, 15)}<tspan x="${at}" dy="14" class="value">${end.value}</tspan>`
        : html`<tspan class="value">${end.value}</tspan>`
    }</text>`
  })
}

function describe({ title, series, formatValue = shortNumber }: LineChartOptions): string {
  const lines = series.map(({ name, points }) => {
    const drawn = points.filter((point) => isDrawable(point.y))
    if (drawn.length === 0) return `${name}: no values`
    const [first, last] = [drawn[0], drawn[drawn.length - 1]]
    const [low, high] = drawn.reduce(([l, h], { y }) => [Math.min(l, y!), Math.max(h, y!)], [first.y!, first.y!])
    return `${name}: ${formatValue(first.y!)} at first, ${formatValue(last.y!)} at last, between ${formatValue(low)} and ${formatValue(high)}`
  })
  return `${title}. ${lines.join('; ') || 'No values'}.`
}

/** Lines over a common axis, with bands, gaps, and names and last values at their ends. SVG; wants `chartStyles`. */
export function lineChart(options: LineChartOptions): Markup {
  const { xLabel, yLabel, series, include = [], formatValue = shortNumber } = options
  const drawn = series.flatMap(({ points }) => points.filter((point) => isDrawable(point.y)))
  const frame = html`<text class="axis-name" x="0" y="12">${cut(yLabel, 56)}</text>`
  const open = (body: readonly Markup[]) =>
    html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${describe(options)}">${frame}${body}</svg>`
  if (drawn.length === 0) return open([html`<text class="none" x="${width / 2}" y="${height / 2}">no values</text>`])

  const values = drawn.flatMap(({ y, low, high }) => [y, low, high].filter(isDrawable))
  const yAxis = niceAxis(extent([...values, ...include]), 4)
  const tickText = options.formatTick ?? yAxis.label
  const xAxis = wholeAxis(extent(drawn.map(({ x }) => x)), 5)
  const names = series.filter(({ isLabelled }) => isLabelled !== false)
  const last = ({ points }: LineSeries) => points.findLast((point) => isDrawable(point.y))?.y ?? 0
  const longest = Math.max(
    5,
    ...names.map((one) => Math.max(names.length > 1 ? one.name.length : 0, formatValue(last(one)).length + 1)),
  )
  const left = Math.max(...yAxis.ticks.map((tick) => tickText(tick).length)) * letter + 8
  const right = width - Math.min(longest * letter + 10, 110)
  const scales: Scales = {
    x: linearScale(xAxis.domain, [left + 4, right] satisfies Range),
    y: linearScale(yAxis.domain, [height - bottom, top]),
  }
  const rows = yAxis.ticks.map((tick) => {
    const at = round(scales.y(tick))
    return html`<line class="grid" x1="${round(left)}" x2="${right}" y1="${at}" y2="${at}"/><text class="tick end" x="${round(left - 5)}" y="${round(at + 4)}">${tickText(tick)}</text>`
  })
  const columns = xAxis.ticks.map((tick) => {
    const at = round(scales.x(tick))
    return html`<line class="mark" x1="${at}" x2="${at}" y1="${height - bottom}" y2="${height - bottom + 4}"/><text class="tick mid" x="${at}" y="${height - bottom + 17}">${xAxis.label(tick)}</text>`
  })
  const name = html`<text class="axis-name mid" x="${round((left + right) / 2)}" y="${height - 5}">${xLabel}</text>`
  return open([
    ...rows,
    ...columns,
    name,
    ...series.flatMap((one) => drawSeries(one, scales)),
    ...endLabels(series, scales, formatValue),
  ])
}
