import { type ReactNode, useId, useState } from 'react'
import { tickTexts } from './chart-scale.ts'
import { useWidth } from './use-width.ts'

interface ChartFigureProps {
  readonly title: string
  /** Beside the title. */
  readonly caption?: ReactNode
  readonly draw: (width: number) => ReactNode
  /** Rows and head of a table with everything that is drawn. */
  readonly table: () => ReactNode
}

/** A drawing as wide as there is room, and below it the same as a table. */
export function ChartFigure({ title, caption, draw, table }: ChartFigureProps) {
  const [ref, width] = useWidth<HTMLElement>()
  // A page of many curves has thousands of rows: they are made for those who want them.
  const [isOpen, setIsOpen] = useState(false)
  const titleId = useId()
  return (
    <figure className="chart" ref={ref} aria-labelledby={titleId}>
      <figcaption>
        <span id={titleId}>{title}</span> {caption}
      </figcaption>
      {width > 0 && draw(width)}
      <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
        <summary>As a table</summary>
        {isOpen && (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
          <section className="chart-table" tabIndex={0} aria-label={`${title}, table`}>
            <table>{table()}</table>
          </section>
        )}
      </details>
    </figure>
  )
}

interface ScaleProps {
  readonly ticks: readonly number[]
  readonly y: (value: number) => number
  readonly from: number
  readonly to: number
  readonly format: (value: number) => string
}

/** Lines across, with their values on the left. */
export function Scale({ ticks, y, from, to, format }: ScaleProps) {
  const texts = tickTexts(ticks, format)
  return ticks.map((tick, index) => (
    <g key={tick}>
      <line className="grid" x1={from} x2={to} y1={y(tick)} y2={y(tick)} />
      <text className="tick" x={from - 6} y={y(tick) + 4} textAnchor="end">
        {texts[index]}
      </text>
    </g>
  ))
}

type Place = readonly [index: number, value: number]

interface PiecesProps {
  readonly pieces: { readonly lines: readonly Place[][]; readonly bands: readonly Place[][] }
  readonly x: (index: number) => number
  readonly y: (value: number) => number
}

/** Bands and lines, each between two gaps. */
export function Pieces({ pieces: { lines, bands }, x, y }: PiecesProps) {
  const path = (places: readonly Place[]) =>
    places.map(([index, value], i) => `${i === 0 ? 'M' : 'L'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join('')
  return (
    <>
      {bands.map((band) => (
        <path key={band[0].join()} className="band" d={`${path(band)}Z`} />
      ))}
      {lines.map((line) => (
        <path key={line[0].join()} className="line" d={path(line)} />
      ))}
    </>
  )
}
