import type { Estimate } from '@plumbline/contracts'
import { html, type Markup } from './markup.ts'
import { percent, percentRange, wholeNumber } from './numbers.ts'
import { linearScale, type Range } from './scale.ts'

export interface ReliabilityBin {
  /** Mean predicted probability in the bin. */
  readonly predicted: number
  /** Share that came true. */
  readonly observed: Estimate
  readonly n: number
}

export interface ReliabilityChartOptions {
  readonly title: string
  readonly bins: readonly ReliabilityBin[]
  readonly xLabel: string
  readonly yLabel: string
}

const width = 360
const plot = { left: 46, right: 346, top: 26, bottom: 276 } as const
const bars = { top: 300, bottom: 344 } as const
const height = 392

const round = (value: number) => Math.round(value * 10) / 10

function axes(domain: Range, x: (value: number) => number, y: (value: number) => number): Markup[] {
  const xStep = (domain[1] - domain[0]) / 5
  const columns = Array.from({ length: 6 }, (_, index) => domain[0] + index * xStep)
  const rows = [0, 0.25, 0.5, 0.75, 1]
  return [
    ...rows.map(
      (value) =>
        html`<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${round(y(value))}" y2="${round(y(value))}"/><text class="tick end" x="${plot.left - 6}" y="${round(y(value) + 4)}">${percent(value)}</text>`,
    ),
    ...columns.map(
      (value) =>
        html`<line class="grid" x1="${round(x(value))}" x2="${round(x(value))}" y1="${plot.top}" y2="${plot.bottom}"/><text class="tick mid" x="${round(x(value))}" y="${bars.bottom + 17}">${percent(value)}</text>`,
    ),
  ]
}

function drawBin(
  { predicted, observed, n }: ReliabilityBin,
  x: (v: number) => number,
  y: (v: number) => number,
  most: number,
): Markup {
  const at = round(x(predicted))
  const bar = round(((bars.bottom - bars.top) * n) / most)
  const fact = `predicted ${percent(predicted)}, observed ${percent(observed.value)} (${percentRange(observed)}), ${wholeNumber(n)} pairs`
  return html`<g><title>${fact}</title><line class="whisker c4" x1="${at}" x2="${at}" y1="${round(y(observed.low))}" y2="${round(y(observed.high))}"/><circle class="solid c4" cx="${at}" cy="${round(y(observed.value))}" r="5"/><rect class="bar c4" x="${round(at - 9)}" y="${round(bars.bottom - bar)}" width="18" height="${bar}"/><text class="tick mid" x="${at}" y="${round(bars.bottom - bar - 4)}">${wholeNumber(n)}</text></g>`
}

function describe({ title, bins }: ReliabilityChartOptions): string {
  const facts = bins.map(
    ({ predicted, observed, n }) => `${percent(predicted)} predicted, ${percent(observed.value)} observed of ${n}`,
  )
  return `${title}. ${facts.join('; ') || 'No bins'}.`
}

/** Predicted probability against what came true, with 95 % intervals, and how many there were. SVG; wants `chartStyles`. */
export function reliabilityChart(options: ReliabilityChartOptions): Markup {
  const bins = options.bins.filter(({ n }) => n > 0)
  // Pairs put the likelier side first: then nothing lies under one half.
  const domain: Range = bins.every(({ predicted }) => predicted >= 0.5) ? [0.5, 1] : [0, 1]
  const x = linearScale(domain, [plot.left, plot.right])
  const y = linearScale([0, 1], [plot.bottom, plot.top])
  const most = Math.max(1, ...bins.map(({ n }) => n))
  const ideal = html`<line class="goal" x1="${round(x(domain[0]))}" y1="${round(y(domain[0]))}" x2="${round(x(1))}" y2="${round(y(1))}"/>`
  const body =
    bins.length === 0
      ? html`<text class="none" x="${width / 2}" y="150">no values</text>`
      : bins.map((bin) => drawBin(bin, x, y, most))
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${describe(options)}"><text class="axis-name" x="0" y="12">${options.yLabel}</text>${axes(domain, x, y)}${ideal}${body}<text class="axis-name mid" x="${(plot.left + plot.right) / 2}" y="${height - 6}">${options.xLabel}</text></svg>`
}
