import fc from 'fast-check'
import { expect, test } from 'vitest'
import { intervalChart } from './interval-chart.ts'
import { type LinePoint, lineChart, spread, thin } from './line-chart.ts'
import { metricCharts } from './metrics.ts'
import { percent, percentRange } from './numbers.ts'
import { reliabilityChart } from './reliability-chart.ts'
import { extent, linearScale, niceAxis, wholeAxis } from './scale.ts'

const anyValue = fc.oneof(fc.double(), fc.constant(null), fc.double({ min: -10, max: 10 }))
const line = (points: readonly LinePoint[]) =>
  lineChart({
    title: 'Loss',
    xLabel: 'step',
    yLabel: 'nats',
    series: [{ name: 'train', colour: 'c4', points }],
  }).toString()

/** Numbers in the attributes that place things. */
function places(svg: string): number[] {
  const attributes = [...svg.matchAll(/ (?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|points)="([^"]*)"/g)]
  return attributes.flatMap(([, text]) => text.split(/[ ,]/).filter(Boolean).map(Number))
}

test('whatever the values are, every place in a line chart is a finite number', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ x: fc.integer(), y: anyValue }), { maxLength: 30 }), (points) => {
      const svg = line(points.toSorted((a, b) => a.x - b.x))
      expect(places(svg).filter((place) => !Number.isFinite(place))).toEqual([])
      expect(svg).not.toMatch(/NaN|Infinity|undefined/)
    }),
  )
})

test('a gap splits the line, one point is a dot, none is said to be none', () => {
  const withGap = line([1, 2, null, 4, Number.NaN, 6].map((y, x) => ({ x, y })))
  expect(withGap.match(/<polyline/g)).toHaveLength(3)
  expect(line([{ x: 3, y: 0.5 }])).toMatch(/<circle class="dot c4"/)
  expect(line([])).toContain('no values')
  expect(line([{ x: 0, y: null }])).toContain('train: no values')
})

test('a long last value leaves room for itself', () => {
  const ends = (y: number) =>
    Number(/<line class="grid"[^>]* x2="([^"]+)"/.exec(line([0, y].map((y, x) => ({ x, y }))))?.[1])
  expect(ends(-0.000141)).toBeLessThan(ends(1))
})

test('metrics that have a title come first, those with a bare name are folded', () => {
  const series = ['eps', 'loss', 'eval_loss'].map((metric) => ({
    metric,
    seed: null,
    band: null,
    points: [{ step: 1, value: 1 }],
  }))
  const [open, folded] = metricCharts(series, 'step').toString().split('<details')
  expect(open).toContain('<h4>Loss</h4>')
  expect(open).not.toContain('eps')
  expect(folded).toMatch(/Further metrics \(1\)<.*<h4>eps<\/h4>/)
  expect(metricCharts(series.slice(0, 1), 'step').toString()).not.toContain('<details')
})

test('thinning keeps the lowest and the highest, and the order', () => {
  const values = fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 400 })
  fc.assert(
    fc.property(values, (ys) => {
      const run = ys.map((y, x) => ({ x, y }))
      const kept = thin(run, 10)
      const low = Math.min(...ys)
      const high = Math.max(...ys)
      expect(kept.some(({ y }) => y === low) && kept.some(({ y }) => y === high)).toBe(true)
      expect(kept.length).toBeLessThanOrEqual(Math.max(20, 22))
      expect(kept.map(({ x }) => x)).toEqual(kept.map(({ x }) => x).toSorted((a, b) => a - b))
    }),
  )
})

test('labels end up a line apart and inside', () => {
  const values = fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(values, (wanted) => {
      const sorted = spread(wanted, 20, 200).toSorted((a, b) => a - b)
      expect(sorted[sorted.length - 1]).toBeLessThanOrEqual(200)
      for (let i = 1; i < sorted.length; i++) expect(sorted[i] - sorted[i - 1]).toBeGreaterThanOrEqual(20 - 1e-9)
    }),
  )
})

test('an axis holds its values, with few, even, round ticks', () => {
  const ends = fc.double({ min: -1e6, max: 1e6, noNaN: true })
  fc.assert(
    fc.property(ends, ends, (a, b) => {
      const range = extent([a, b])
      const { domain, ticks } = niceAxis(range, 4)
      const slack = (range[1] - range[0]) * 1e-5
      expect(domain[0]).toBeLessThanOrEqual(range[0] + slack)
      expect(domain[1]).toBeGreaterThanOrEqual(range[1] - slack)
      expect(ticks.length).toBeGreaterThan(1)
      expect(ticks.length).toBeLessThan(9)
    }),
  )
  const axis = niceAxis([0, 1], 5)
  expect(axis.ticks.map(axis.label)).toEqual(['0.0', '0.2', '0.4', '0.6', '0.8', '1.0'])
  expect(wholeAxis([0, 3], 5).ticks).toEqual([0, 1, 2, 3])
  expect(linearScale([0, 10], [100, 200])(4)).toBe(140)
})

test('intervals stand where their numbers say, outside ones at the edge', () => {
  const chart = (low: number, value: number, high: number) =>
    intervalChart({
      title: 'Refused',
      rows: [{ name: 'PPO', estimate: { low, value, high }, colour: 'c3', shape: 'circle' }],
      domain: [0, 1],
      axisLabel: 'share',
      format: percent,
      formatRange: percentRange,
      formatTick: percent,
    }).toString()
  // 14 px at 0, 346 px at 1.
  expect(chart(0.25, 0.5, 0.75)).toMatch(/class="whisker c3" x1="97" x2="263"/)
  expect(chart(0.25, 0.5, 0.75)).toMatch(/cx="180"/)
  expect(chart(-3, 0.5, 9)).toMatch(/class="whisker c3" x1="14" x2="346"/)
})

test('what was not measured is said so', () => {
  const rows = [{ name: 'PPO', estimate: null, colour: 'c3', shape: 'circle' }] as const
  const options = {
    title: 'Refused',
    domain: [0, 1],
    axisLabel: 'share',
    format: percent,
    formatRange: percentRange,
    formatTick: percent,
  } as const
  expect(intervalChart({ ...options, rows }).toString()).toContain('PPO: not measured')
  expect(intervalChart({ ...options, rows: [] }).toString()).toContain('No rows')
})

test('bins without pairs are left out; the axis starts at one half where nothing is under it', () => {
  const bin = (predicted: number, n: number) => ({ predicted, observed: { value: 0.6, low: 0.4, high: 0.8 }, n })
  const draw = (bins: ReturnType<typeof bin>[]) =>
    reliabilityChart({ title: 'Calibration', bins, xLabel: 'x', yLabel: 'y' }).toString()
  expect(draw([bin(0.2, 0), bin(0.6, 4), bin(0.9, 8)]).match(/<circle/g)).toHaveLength(2)
  expect(draw([bin(0.6, 4)])).not.toContain('>10\u202f%<')
  expect(draw([bin(0.2, 4)])).toContain('>20\u202f%<')
  expect(draw([])).toContain('no values')
})
