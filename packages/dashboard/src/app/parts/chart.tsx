import { formatDay } from '../format.ts'
import { ChartFigure, Pieces, Scale } from './chart-figure.tsx'
import { linePieces, topOf } from './chart-scale.ts'
import { visible } from './content.tsx'

/** One day; `value` is null where there is no number, and then nothing is drawn there. */
export interface ChartPoint {
  readonly day: string
  readonly value: number | null
  readonly low?: number | null
  readonly high?: number | null
  /** In place of the number, in the table: "no data". */
  readonly note?: string | null
}

/** Something that happened on a day. */
export interface ChartMark {
  readonly day: string
  readonly text: string
  readonly kind: 'release' | 'alarm'
}

interface ChartProps {
  readonly title: string
  readonly points: readonly ChartPoint[]
  readonly kind: 'line' | 'bars'
  readonly marks?: readonly ChartMark[]
  readonly format: (value: number) => string
}

const height = 180
const margin = { top: 12, right: 10, bottom: 24, left: 54 }

/** Days from left to right. Everything that it shows stands in the table below it, too. */
export function Chart({ title, points, kind, marks = [], format }: ChartProps) {
  return (
    <ChartFigure
      title={title}
      caption={<MarkKey marks={marks} />}
      draw={(width) => <Drawing {...{ title, points, kind, marks, format, width }} />}
      table={() => <ChartTable {...{ points, marks, format }} />}
    />
  )
}

/** What the lines across days are. */
function MarkKey({ marks }: Pick<DrawingProps, 'marks'>) {
  const has = (kind: ChartMark['kind']) => marks.some((one) => one.kind === kind)
  const words = [has('release') && 'dashed: a release', has('alarm') && 'red: an alarm'].filter(Boolean).join('; ')
  return words === '' ? null : <span className="unit">({words})</span>
}

type DrawingProps = Required<ChartProps> & { readonly width: number }

function Drawing({ title, points, kind, marks, format, width }: DrawingProps) {
  const top = topOf(points)
  const inner = width - margin.left - margin.right
  const step = inner / Math.max(points.length, 1)
  const x = (index: number) => margin.left + (index + 0.5) * step
  const y = (value: number) => margin.top + (1 - Math.min(value / top, 1)) * (height - margin.top - margin.bottom)
  const dayAt = new Map(points.map(({ day }, index) => [day, index]))
  const every = Math.max(1, Math.ceil(points.length / Math.max(2, Math.floor(inner / 80))))
  return (
    <svg width={width} height={height} role="img" aria-label={`${title}: see the table`}>
      <Scale ticks={[0, top / 2, top]} y={y} from={margin.left} to={width - margin.right} format={format} />
      {points.map(({ day }, index) =>
        index % every === 0 ? (
          <text key={day} className="tick" x={x(index)} y={height - 6} textAnchor="middle">
            {formatDay(day)}
          </text>
        ) : null,
      )}
      {kind === 'bars' ? (
        points.map(({ day, value }, index) =>
          value === null ? null : (
            <rect
              key={day}
              className="bar-mark"
              x={x(index) - step * 0.35}
              width={step * 0.7}
              y={y(value)}
              height={y(0) - y(value)}
            >
              <title>{`${formatDay(day)}: ${format(value)}`}</title>
            </rect>
          ),
        )
      ) : (
        <Lines points={points} x={x} y={y} format={format} />
      )}
      {marks.map(({ day, text, kind: markKind }) => {
        const index = dayAt.get(day)
        if (index === undefined) return null
        return (
          <g key={`${day} ${text}`} className="mark" data-kind={markKind}>
            <line x1={x(index)} x2={x(index)} y1={margin.top} y2={height - margin.bottom} />
            <path d={`M${x(index) - 5} ${margin.top - 10}h10l-5 9z`} />
            <title>{`${formatDay(day)}: ${visible(text)}`}</title>
          </g>
        )
      })}
    </svg>
  )
}

interface LinesProps extends Pick<ChartProps, 'points' | 'format'> {
  readonly x: (index: number) => number
  readonly y: (value: number) => number
}

function Lines({ points, x, y, format }: LinesProps) {
  return (
    <>
      <Pieces pieces={linePieces(points)} x={x} y={y} />
      {points.map(({ day, value, low, high }, index) => {
        const isAlone = value !== null && [index - 1, index + 1].every((next) => points[next]?.value == null)
        // A band that is as wide as one point cannot be seen.
        return isAlone && low != null && high != null ? (
          <rect key={day} className="band" x={x(index) - 3} width={6} y={y(high)} height={y(low) - y(high)} />
        ) : null
      })}
      {points.map(({ day, value }, index) =>
        value === null ? null : (
          <circle key={day} className="dot" cx={x(index)} cy={y(value)} r={2.5}>
            <title>{`${formatDay(day)}: ${format(value)}`}</title>
          </circle>
        ),
      )}
    </>
  )
}

function ChartTable({ points, marks, format }: Pick<DrawingProps, 'points' | 'marks' | 'format'>) {
  const said = Map.groupBy(marks, ({ day }) => day)
  return (
    <>
      <thead>
        <tr>
          <th scope="col">Day</th>
          <th scope="col">Value</th>
          <th scope="col">95 % band</th>
          <th scope="col">What happened</th>
        </tr>
      </thead>
      <tbody>
        {points.map(({ day, value, low, high, note }) => (
          <tr key={day}>
            <th scope="row">{formatDay(day)}</th>
            <td>{value === null ? (note ?? 'no data') : format(value)}</td>
            <td>{low == null || high == null ? '' : `${format(low)} to ${format(high)}`}</td>
            <td>{visible((said.get(day) ?? []).map(({ text }) => text).join('; '))}</td>
          </tr>
        ))}
      </tbody>
    </>
  )
}
