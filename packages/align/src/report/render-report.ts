import { createHash } from 'node:crypto'
import type { AlignReport } from '@plumbline/contracts'
import { categorySection } from './category-section.ts'
import { html, Markup } from './markup.ts'
import { duration } from './numbers.ts'
import { changesSection, summarySection } from './outcome-sections.ts'
import { samplesSection } from './samples-section.ts'
import { setupSection } from './setup-section.ts'
import { chartStyles, pageStyles } from './styles.ts'
import { curvesSection, rewardSection } from './training-sections.ts'
import { warningsOf } from './warnings.ts'

const styles = `${chartStyles}\n${pageStyles}`
// The page's own style sheet and nothing else: no script, no picture, no request.
const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(styles).digest('base64')}'; img-src data:; base-uri 'none'; form-action 'none'`

function warningBox(report: AlignReport): Markup | undefined {
  const warnings = warningsOf(report)
  if (warnings.length === 0) return undefined
  return html`<section class="warnings" aria-labelledby="warnings-h"><h2 id="warnings-h">Before you believe it</h2><ul>${warnings.map((text) => html`<li>${text}</li>`)}</ul></section>`
}

function pageHead({ title, model, created_at, seeds, durations }: AlignReport): Markup {
  const total = durations.reduce((sum, { seconds }) => sum + seconds, 0)
  const date = new Date(created_at).toISOString().slice(0, 16).replace('T', ' ')
  const facts = [
    model,
    `${date} UTC`,
    seeds.length > 0 && `${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}`,
    total > 0 && duration(total),
  ]
  return html`<header class="top"><p class="eyebrow">Plumbline · alignment report</p><h1>${title}</h1><p class="meta">${facts.filter(Boolean).map((fact) => html`<span>${fact}</span>`)}</p></header>`
}

/**
 * The report as one HTML file that needs nothing else: no network, no script. Text of models and users is escaped
 * wherever it stands. The report is one that `alignReportSchema` has parsed.
 */
export function renderReport(report: AlignReport): string {
  const sections = [
    { id: 'summary', name: 'In short', body: summarySection(report, warningBox(report)) },
    { id: 'changes', name: 'Changes', body: changesSection(report) },
    { id: 'categories', name: 'Categories', body: categorySection(report) },
    { id: 'answers', name: 'Answers', body: samplesSection(report) },
    { id: 'training', name: 'Training', body: curvesSection(report) },
    { id: 'reward', name: 'Reward model', body: rewardSection(report) },
    { id: 'setup', name: 'Setup', body: setupSection(report) },
  ].filter(({ body }) => body !== undefined)
  const links = sections.map(({ id, name }) => html`<a href="#${id}">${name}</a>`)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${report.title} – Plumbline</title>
<link rel="icon" href="data:,">
<style>${new Markup(styles)}</style>
</head>
<body>
<div class="page">
${pageHead(report)}
<nav aria-label="Sections">${links}</nav>
<main>
${sections.map(({ body }) => body)}
</main>
</div>
</body>
</html>
`.toString()
}
