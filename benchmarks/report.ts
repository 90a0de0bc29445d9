/** What a bench prints: JSON lines for scripts, a table for people. */
import type { Figure, FigureLine } from './figure.ts'

const headings = ['figure', 'ours', 'peer', 'ratio', 'goal', '', 'runs', 'against']

/** A table with aligned columns, as one text. */
export function formatTable(rows: readonly (readonly [Figure, FigureLine])[]): string {
  const cells = rows.map(([{ title, unit }, line]) => [
    title,
    `${line.ours} ${unit}`,
    line.peer === null ? '–' : `${line.peer} ${unit}`,
    line.ratio === null ? '–' : String(line.ratio),
    line.goal ?? '–',
    line.met === null ? '' : line.met ? 'met' : 'MISSED',
    String(line.runs),
    line.peer_name ?? '–',
  ])
  const all = [headings, ...cells]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column].length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
