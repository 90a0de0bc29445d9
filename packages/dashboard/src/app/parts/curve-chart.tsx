import { formatCount } from '../format.ts'
import { ChartFigure, Pieces, Scale } from './chart-figure.tsx'
import { type Drawn, linePieces, ticksAround } from './chart-scale.ts'

export interface CurvePoint extends Drawn {
  readonly step: number
}

export interface Curve {
  readonly name: string
  /** Drawn apart from the other one. */
  readonly isHeldOut: boolean
  readonly points: readonly CurvePoint[]
}

interface CurveChartProps {
  readonly title: string
  readonly unit: string
  /** One or two. */
  readonly curves: readonly Curve[]
  readonly format: (value: number) => string
}

const height = 190
const margin = { top: 10, right: 12, bottom: 24, left: 54 }
/** More would hide the line. */
const mostDots = 60

/** Numbers over the steps of a run. */
export function CurveChart({ title, unit, curves, format }: CurveChartProps) {
  return (
    <ChartFigure
      title={title}
      caption={<Latest unit={unit} curves={curves} format={format} />}
      draw={(width) => <Drawing {...{ title, curves, format, width }} />}
      table={() => <CurveTable curves={curves} format={format} />}
    />
  )
}

function Latest({ unit, curves, format }: Pick<CurveChartProps, 'unit' | 'curves' | 'format'>) {
  return (
    <>
      <span className="unit">{unit}</span>
      <span className="latest">
        {curves.map(({ name, isHeldOut, points }) => {
          const last = points.at(-1)
          return (
            <span key={name} data-held-out={isHeldOut || undefined}>
              {curves.length > 1 || isHeldOut ? `${name} ` : ''}
              <strong>{last === undefined ? 'none' : shown(last.value, format)}</strong>
            </span>
          )
        })}
      </span>
    </>
  )
}

const shown = (value: number | null, format: (value: number) => string) =>
  value === null ? 'not a finite number' : format(value)

function Drawing({ title, curves, format, width }: Omit<CurveChartProps, 'unit'> & { readonly width: number }) {
  const all = curves.flatMap(({ points }) => points)
  const values = all.flatMap(({ value, low, high }) => [value, low, high].filter((one) => one != null))
  const steps = all.map(({ step }) => step)
  const ticks = values.length === 0 ? [0, 1] : ticksAround(Math.min(...values), Math.max(...values))
  const [bottom, top] = [ticks[0], ticks[ticks.length - 1]]
  const [first, last] = [Math.min(...steps), Math.max(...steps)]
  const inner = width - margin.left - margin.right
  // A run with one step has it in the middle.
  const xOf = (step: number) => margin.left + (last > first ? (step - first) / (last - first) : 0.5) * inner
  const y = (value: number) =>
    margin.top + (1 - (value - bottom) / (top - bottom)) * (height - margin.top - margin.bottom)
  return (
    <svg width={width} height={height} role="img" aria-label={`${title}: see the table`}>
      <Scale ticks={ticks} y={y} from={margin.left} to={width - margin.right} format={format} />
      {placesBelow(first, last).map(({ step, anchor }) => (
        <text key={anchor} className="tick" x={xOf(step)} y={height - 6} textAnchor={anchor}>
          {anchor === 'start' ? `step ${formatCount(step)}` : formatCount(step)}
        </text>
      ))}
      {curves.map(({ name, isHeldOut, points }) => (
        <g key={name} data-held-out={isHeldOut || undefined}>
          <Pieces pieces={linePieces(points)} x={(index) => xOf(points[index].step)} y={y} />
          {points.length <= mostDots &&
            points.map(({ step, value }) =>
              value === null ? null : (
                <circle key={step} className="dot" cx={xOf(step)} cy={y(value)} r={2.5}>
                  <title>{`${name}, step ${formatCount(step)}: ${format(value)}`}</title>
                </circle>
              ),
            )}
        </g>
      ))}
    </svg>
  )
}

/** First, middle and last step. */
function placesBelow(first: number, last: number) {
  if (!(last > first)) return Number.isFinite(first) ? [{ step: first, anchor: 'start' as const }] : []
  const middle = Math.round((first + last) / 2)
  const between = middle > first && middle < last ? [{ step: middle, anchor: 'middle' as const }] : []
  return [{ step: first, anchor: 'start' as const }, ...between, { step: last, anchor: 'end' as const }]
}

function CurveTable({ curves, format }: Pick<CurveChartProps, 'curves' | 'format'>) {
  const byStep = curves.map(({ points }) => new Map(points.map((point) => [point.step, point])))
  const steps = [...new Set(byStep.flatMap((points) => [...points.keys()]))].sort((a, b) => a - b)
  const cell = (point: CurvePoint | undefined) => {
    if (point === undefined) return ''
    const range = point.low == null || point.high == null ? '' : ` (${format(point.low)} to ${format(point.high)})`
    return shown(point.value, format) + range
  }
  return (
    <>
      <thead>
        <tr>
          <th scope="col">Step</th>
          {curves.map(({ name }) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {steps.map((step) => (
          <tr key={step}>
            <th scope="row">{formatCount(step)}</th>
            {byStep.map((points, index) => (
              <td key={curves[index].name}>{cell(points.get(step))}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </>
  )
}
