import type { AlignReport, Estimate } from '@plumbline/contracts'
import { html, type Markup } from './markup.ts'
import { duration, percent, percentRange, shortNumber, wholeNumber } from './numbers.ts'

const row = (name: string, value: Markup | string) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`

function graderCard({ grader }: AlignReport): Markup {
  if (grader === null)
    return html`<div class="card"><h3>Grader</h3><p>Not calibrated: its error is not known.</p></div>`
  const { name, version, positive, sensitivity, specificity, n, data_set, data_set_version } = grader
  const other = positive === 'refused' ? 'complied' : 'refused'
  const rate = (estimate: Estimate) => html`${percent(estimate.value)} <small>${percentRange(estimate)}</small>`
  return html`<div class="card"><h3>Grader and its error</h3><table class="pairs"><caption class="hidden">Grader</caption><tbody>${row('Grader', `${name} ${version}`)}${row(`Sensitivity (finds “${positive}”)`, rate(sensitivity))}${row(`Specificity (finds “${other}”)`, rate(specificity))}${row('Measured on', `${data_set} ${data_set_version}, n = ${wholeNumber(n)}`)}</tbody></table></div>`
}

function runCard({ durations, hardware, seeds }: AlignReport): Markup {
  const total = durations.reduce((sum, { seconds }) => sum + seconds, 0)
  const { cpu, cores, memory_gb, accelerator } = hardware
  const machine = `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'}, ${shortNumber(memory_gb)} GB${accelerator === null ? '' : `, ${accelerator}`}`
  return html`<div class="card"><h3>Time and machine</h3><table class="pairs"><caption class="hidden">Time and machine</caption><tbody>${durations.map(({ name, seconds }) => row(name, duration(seconds)))}${durations.length > 0 && row('Together', html`<b>${duration(total)}</b>`)}${row('Machine', machine)}${row('Seeds', seeds.join(', ') || 'none')}</tbody></table></div>`
}

function dataCard({ data }: AlignReport): Markup | undefined {
  if (data.length === 0) return undefined
  const rows = data.map(
    ({ role, name, n, sha256 }) =>
      html`<tr><th scope="row">${role} <small>${wholeNumber(n)} rows</small></th><td>${name}${sha256 !== null && html` <code class="hash">${sha256.slice(0, 12)}</code>`}</td></tr>`,
  )
  return html`<div class="card"><h3>Data</h3><table class="pairs"><caption class="hidden">Data sets and their number of rows</caption><tbody>${rows}</tbody></table></div>`
}

/** Grader, data, time, machine, commands, configuration: what it takes to believe the numbers and to make them again. */
export function setupSection(report: AlignReport): Markup {
  const { commands, config, environment } = report
  const environmentRows = Object.entries(environment).map(([name, value]) => row(name, value))
  const again = commands.map(
    ({ purpose, command }) => html`<p class="about">${purpose}</p><pre tabindex="0"><code>${command}</code></pre>`,
  )
  return html`<section id="setup" aria-labelledby="setup-h"><h2 id="setup-h">How it was made</h2><div class="cards">${graderCard(report)}${dataCard(report)}${runCard(report)}</div>${
    commands.length > 0 && html`<div class="card again"><h3>Make it again</h3>${again}</div>`
  }${config !== '' && html`<details class="card"><summary>Configuration</summary><pre tabindex="0"><code>${config}</code></pre></details>`}${
    environmentRows.length > 0 &&
    html`<details class="card"><summary>Environment</summary><table class="pairs"><caption class="hidden">Environment</caption><tbody>${environmentRows}</tbody></table></details>`
  }</section>`
}
