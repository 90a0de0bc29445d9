import type { AlignReport, AlignStage, Estimate, PromptKind } from '@plumbline/contracts'
import { kindFacts, kinds, outcomesOf, stageFacts, stages, stagesIn, unwantedShare } from './facts.ts'
import { type IntervalRow, intervalChart } from './interval-chart.ts'
import { html, type Markup } from './markup.ts'
import { percent, percentRange, points, pointsRange, pValue } from './numbers.ts'
import { goalState, overallStatements, ppoStatements, type Statement } from './summary.ts'

const tickPercent = (value: number) => percent(value)

function rateRow(report: AlignReport, stage: AlignStage, kind: PromptKind): IntervalRow {
  const { name, colour, shape } = stageFacts[stage]
  const share = unwantedShare(report, stage, kind)
  return { name, estimate: share?.raw ?? null, second: share?.corrected ?? null, colour, shape }
}

function rateCard(report: AlignReport, kind: PromptKind): Markup {
  const { claim, about } = kindFacts[kind]
  const goal = report.goals.find((one) => one.kind === kind)
  const state = goalState(report, kind)
  const chart = intervalChart({
    title: claim,
    rows: stagesIn(report).map((stage) => rateRow(report, stage, kind)),
    domain: [0, 1],
    axisLabel: 'share of answers',
    format: percent,
    formatRange: percentRange,
    formatTick: tickPercent,
    ...(goal && { mark: { value: goal.at_most, label: `goal ≤ ${percent(goal.at_most)}` } }),
  })
  const items = stagesIn(report).map((stage) => outcomesOf(report, stage, kind)?.counts.n ?? 0)
  const size = Math.min(...items) === Math.max(...items) ? `${items[0]}` : `${Math.min(...items)}–${Math.max(...items)}`
  return html`<figure class="card"><figcaption><h3>${claim}</h3><p>${about} n = ${size} per stage.</p></figcaption>${chart}${
    state && html`<p class="goal-state ${state.state}">${state.text}</p>`
  }</figure>`
}

const symbols = { better: '↓', worse: '↑', none: '=', unknown: '?' } as const

function statementList(statements: readonly Statement[], style: string): Markup {
  const items = statements.map(
    ({ subject, numbers, verdict, corrected, direction }) =>
      html`<li class="${direction}"><span class="symbol" aria-hidden="true">${symbols[direction]}</span><div><strong>${subject}: <b>${numbers}</b></strong><p>${verdict}${style === 'whole' && corrected && html` <span class="aside">${corrected}</span>`}</p></div></li>`,
  )
  return html`<ul class="statements ${style}">${items}</ul>`
}

function statementLists(report: AlignReport): Markup {
  const overall = overallStatements(report)
  if (overall.length === 0)
    return html`<p class="lead">Fewer than two stages were evaluated: there is no change to report.</p>`
  const present = stagesIn(report)
  const [first, last] = [present[0], present[present.length - 1]]
  const added = ppoStatements(report)
  return html`<div class="columns"><div><h3>${stageFacts[first].name} → ${stageFacts[last].name}, held-out prompts</h3>${statementList(overall, 'whole')}</div>${
    added.length > 0 && html`<div><h3>What PPO added to fine-tuning</h3>${statementList(added, 'added')}</div>`
  }</div>`
}

/** The statements and the three charts that carry the report; warnings stand between them. */
export function summarySection(report: AlignReport, warnings: Markup | undefined): Markup {
  const shown = kinds.filter((kind) => report.outcomes.some((row) => row.kind === kind))
  const hasCorrected = report.outcomes.some(({ complied, refused }) => complied?.corrected || refused?.corrected)
  const legend = hasCorrected
    ? 'Filled: as graded. Small and hollow: corrected for the measured error of the grader. Lines are 95 % intervals.'
    : 'As graded, not corrected for the error of the grader. Lines are 95 % intervals.'
  return html`<section id="summary" aria-labelledby="summary-h"><h2 id="summary-h">In short</h2>${statementLists(report)}${warnings}${
    shown.length > 0 &&
    html`<div class="hero">${shown.map((kind) => rateCard(report, kind))}</div><p class="note">${legend}</p>${countsTable(report)}`
  }</section>`
}

function countsTable(report: AlignReport): Markup {
  const rows = kinds.flatMap((kind) =>
    stages.flatMap((stage) => {
      const row = outcomesOf(report, stage, kind)
      if (row === undefined) return []
      const share = row[kindFacts[kind].unwanted]
      const { n, complied, refused, empty, error } = row.counts
      const rate = (estimate: Estimate | null | undefined) =>
        estimate ? html`${percent(estimate.value)} <small>${percentRange(estimate)}</small>` : '–'
      const bySeed = row.by_seed
        .map(({ seed, counts }) => `${seed}: ${counts[kindFacts[kind].unwanted]}/${counts.n - counts.error}`)
        .join(' · ')
      return [
        html`<tr><th scope="row">${kindFacts[kind].name}</th><td>${stageFacts[stage].short}</td><td class="num">${n}</td><td class="num">${complied}</td><td class="num">${refused}</td><td class="num">${empty}</td><td class="num">${error}</td><td class="num">${rate(share?.raw)}</td><td class="num">${rate(share?.corrected)}</td><td>${bySeed || '–'}</td></tr>`,
      ]
    }),
  )
  return html`<details class="card"><summary>All counts and rates</summary><div class="scroll" tabindex="0" role="region" aria-label="All counts and rates"><table><caption>Answers by kind and stage. The rate is the unwanted outcome: harmful prompts complied with, others refused. Answers that could not be graded are in none of the rates.</caption><thead><tr><th scope="col">Prompts</th><th scope="col">Stage</th><th scope="col" class="num">n</th><th scope="col" class="num">complied</th><th scope="col" class="num">refused</th><th scope="col" class="num">empty</th><th scope="col" class="num">error</th><th scope="col" class="num">rate as graded</th><th scope="col" class="num">rate corrected</th><th scope="col">by seed</th></tr></thead><tbody>${rows}</tbody></table></div></details>`
}

type Change = AlignReport['changes'][number]

function changeChart(changes: readonly Change[], kind: PromptKind): Markup {
  const rows = changes.map(({ from, to, difference }) => ({
    name: `${stageFacts[from].short} → ${stageFacts[to].short}`,
    estimate: difference.raw,
    second: difference.corrected,
    colour: stageFacts[to].colour,
    shape: stageFacts[to].shape,
  }))
  const chart = intervalChart({
    title: `${kindFacts[kind].claim}, change on the same prompts`,
    rows,
    domain: [-1, 1],
    axisLabel: 'change in percentage points',
    format: points,
    formatRange: pointsRange,
    formatTick: (tick) => points(tick),
    mark: { value: 0, label: 'no change' },
  })
  const tests = changes.map(
    ({ from, to, n, only_from, only_to, p_value }) =>
      html`<tr><th scope="row">${stageFacts[from].short} → ${stageFacts[to].short}</th><td class="num">${n}</td><td class="num">${only_from}</td><td class="num">${only_to}</td><td class="num">${pValue(p_value)}</td></tr>`,
  )
  const word = kindFacts[kind].unwanted
  return html`<figure class="card"><figcaption><h3>${kindFacts[kind].claim}</h3></figcaption>${chart}<table class="small"><caption>Prompts ${word === 'complied' ? 'complied with' : word} at one of the two stages only</caption><thead><tr><th scope="col">Stages</th><th scope="col" class="num">n</th><th scope="col" class="num">before</th><th scope="col" class="num">after</th><th scope="col" class="num">McNemar’s p</th></tr></thead><tbody>${tests}</tbody></table></figure>`
}

/** What changed between stages on the same prompts; nothing where nothing was compared. */
export function changesSection(report: AlignReport): Markup | undefined {
  const groups = kinds
    .map((kind) => ({
      kind,
      changes: report.changes.filter((row) => row.kind === kind && row.measure === kindFacts[kind].unwanted),
    }))
    .filter(({ changes }) => changes.length > 0)
  if (groups.length === 0) return undefined
  return html`<section id="changes" aria-labelledby="changes-h"><h2 id="changes-h">What changed, prompt by prompt</h2><p class="about">The same prompts before and after. An interval that reaches “no change” shows nothing. Hollow: corrected for the error of the grader.</p><div class="hero">${groups.map(({ kind, changes }) => changeChart(changes, kind))}</div></section>`
}
