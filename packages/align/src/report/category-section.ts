import type { AlignReport, AlignStage, PromptKind } from '@plumbline/contracts'
import { kindFacts, kinds, stageFacts, stages } from './facts.ts'
import { html, type Markup } from './markup.ts'
import { percent, percentRange } from './numbers.ts'

type Cell = AlignReport['categories'][number]

function cellOf(cell: Cell | undefined, stage: AlignStage): Markup {
  if (cell?.unwanted == null) return html`<td class="num">–</td>`
  const { value, low, high } = cell.unwanted
  const x = (share: number) => Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10
  const { colour } = stageFacts[stage]
  const bar = html`<svg class="mini" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="track" x="0" y="3" width="100" height="2"/><rect class="bar ${colour} faint" x="${x(low)}" y="1" width="${Math.max(0.5, x(high) - x(low))}" height="6"/><rect class="bar ${colour}" x="${Math.min(98, x(value))}" y="0" width="2" height="8"/></svg>`
  return html`<td class="num"><span class="rate">${percent(value)}</span> <small>${percentRange(cell.unwanted)}</small>${bar}</td>`
}

function kindTable(rows: readonly Cell[], kind: PromptKind, shown: readonly AlignStage[]): Markup {
  const groups = [...Map.groupBy(rows, ({ category }) => category)]
  const body = groups.map(([category, cells]) => {
    const n = Math.max(...cells.map(({ counts }) => counts.n))
    const find = (stage: AlignStage) => cells.find((cell) => cell.stage === stage)
    return html`<tr><th scope="row">${category.replaceAll('_', ' ')} <small>n = ${n}</small></th>${shown.map((stage) => cellOf(find(stage), stage))}</tr>`
  })
  const head = shown.map((stage) => html`<th scope="col" class="num">${stageFacts[stage].short}</th>`)
  return html`<div class="card"><table class="categories"><caption>${kindFacts[kind].claim}</caption><thead><tr><th scope="col">Category</th>${head}</tr></thead><tbody>${body}</tbody></table></div>`
}

/** The unwanted outcome by category, as graded. Nothing where there are no categories. */
export function categorySection({ categories }: AlignReport): Markup | undefined {
  if (categories.length === 0) return undefined
  const shown = stages.filter((stage) => categories.some((cell) => cell.stage === stage))
  const tables = kinds
    .map((kind) => ({ kind, rows: categories.filter((cell) => cell.kind === kind) }))
    .filter(({ rows }) => rows.length > 0)
    .map(({ kind, rows }) => kindTable(rows, kind, shown))
  return html`<section id="categories" aria-labelledby="categories-h"><h2 id="categories-h">By category</h2><p class="about">As graded, with 95 % intervals. Few prompts each: read them as hints where to look.</p><div class="tables">${tables}</div></section>`
}
