import type { Estimate } from '@plumbline/contracts'
import { html, type Markup } from './markup.ts'
import { linearScale, niceAxis, type Range } from './scale.ts'
import type { ChartColour } from './styles.ts'

export type Shape = 'circle' | 'square' | 'diamond'

export interface IntervalRow {
  readonly name: string
  /** Null: nothing was measured. */
  readonly estimate: Estimate | null
  /** The same thing measured another way, drawn hollow below. */
  readonly second?: Estimate | null
  readonly colour: ChartColour
  readonly shape: Shape
}

export interface IntervalChartOptions {
  /** What the chart shows, for those who cannot see it. */
  readonly title: string
  readonly rows: readonly IntervalRow[]
  readonly domain: Range
  readonly axisLabel: string
  readonly format: (value: number) => string
  readonly formatRange: (estimate: Estimate) => string
  readonly formatTick: (value: number) => string
  /** A value to compare with: a goal, no change. */
  readonly mark?: { readonly value: number; readonly label: string }
}

const width = 360
const rowHeight = 50
const inset = 14
const foot = 38

const round = (value: number) => Math.round(value * 10) / 10

function point(shape: Shape, x: number, y: number, size: number, colour: string): Markup {
  if (shape === 'circle') return html`<circle class="${colour}" cx="${x}" cy="${y}" r="${size}"/>`
  const half = shape === 'square' ? size * 0.9 : size * 1.25
  const corners =
    shape === 'square'
      ? [
          [-1, -1],
          [1, -1],
          [1, 1],
          [-1, 1],
        ]
      : [
          [0, -1],
          [1, 0],
          [0, 1],
          [-1, 0],
        ]
  return html`<polygon class="${colour}" points="${corners.map(([dx, dy]) => `${round(x + dx * half)},${round(y + dy * half)}`).join(' ')}"/>`
}

function drawRow(row: IntervalRow, top: number, options: IntervalChartOptions): Markup {
  const [low, high] = options.domain
  const scale = linearScale(options.domain, [inset, width - inset])
  // What lies outside is drawn at the edge: the numbers beside it say where it is.
  const x = (value: number) => round(scale(Math.min(high, Math.max(low, value))))
  const y = top + 29
  const { estimate, second, colour, shape } = row
  const name = html`<text class="name ${colour}" x="${inset}" y="${top + 14}">${row.name}</text>`
  if (estimate === null)
    return html`${name}<text class="tick end" x="${width - inset}" y="${top + 14}">not measured</text>`
  const text = html`<text class="end" x="${width - inset}" y="${top + 14}"><tspan class="big ${colour}">${options.format(estimate.value)}</tspan><tspan class="range" dx="6">${options.formatRange(estimate)}</tspan></text>`
  const interval = html`<line class="whisker ${colour}" x1="${x(estimate.low)}" x2="${x(estimate.high)}" y1="${y}" y2="${y}"/>${point(shape, x(estimate.value), y, 5.5, `solid ${colour}`)}`
  const other =
    second &&
    html`<line class="thin ${colour}" x1="${x(second.low)}" x2="${x(second.high)}" y1="${y + 10}" y2="${y + 10}"/>${point(shape, x(second.value), y + 10, 3, `hollow ${colour}`)}`
  return html`${name}${text}${interval}${other}`
}

function describe({ title, rows, format, formatRange, mark }: IntervalChartOptions): string {
  const facts = rows.map(({ name, estimate }) =>
    estimate === null
      ? `${name}: not measured`
      : `${name}: ${format(estimate.value)}, 95 % interval ${formatRange(estimate)}`,
  )
  return `${title}. ${facts.join('; ') || 'No rows'}.${mark === undefined ? '' : ` ${mark.label}.`}`
}

/** Dots with their 95 % intervals, one row each, over one axis; names and numbers in the rows. SVG; wants `chartStyles`. */
export function intervalChart(options: IntervalChartOptions): Markup {
  const { rows, domain, axisLabel, formatTick, mark } = options
  const head = mark === undefined ? 0 : 18
  const floor = head + rows.length * rowHeight
  const scale = linearScale(domain, [inset, width - inset])
  const axis = niceAxis(domain, 5)
  const ticks = axis.ticks.filter((tick) => tick >= domain[0] - 1e-9 && tick <= domain[1] + 1e-9)
  const grid = ticks.map((tick) => {
    const x = round(scale(tick))
    return html`<line class="grid" x1="${x}" x2="${x}" y1="${head}" y2="${floor}"/><text class="tick mid" x="${x}" y="${floor + 15}">${formatTick(tick)}</text>`
  })
  const body = rows.map((row, index) => drawRow(row, head + index * rowHeight, options))
  return html`<svg class="chart" viewBox="0 0 ${width} ${floor + foot}" role="img" aria-label="${describe(options)}">${grid}${mark && drawMark(mark, scale, floor)}${body}<text class="axis-name mid" x="${width / 2}" y="${floor + 32}">${axisLabel}</text></svg>`
}

function drawMark(
  { value, label }: { value: number; label: string },
  scale: (value: number) => number,
  floor: number,
): Markup {
  const x = round(scale(value))
  const anchor = x < width * 0.25 ? 'start' : x > width * 0.75 ? 'end' : 'mid'
  return html`<line class="goal" x1="${x}" x2="${x}" y1="14" y2="${floor}"/><text class="goal-name ${anchor}" x="${x}" y="10">${label}</text>`
}
