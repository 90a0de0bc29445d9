import type { AlignReport } from '@plumbline/contracts'
import { html, type Markup } from './markup.ts'
import { metricCharts } from './metrics.ts'
import { percent, percentRange, shortNumber } from './numbers.ts'
import { reliabilityChart } from './reliability-chart.ts'

const groups = [
  { key: 'sft', title: 'Supervised fine-tuning', xLabel: 'optimizer step' },
  { key: 'reward', title: 'Reward model', xLabel: 'optimizer step' },
  { key: 'ppo', title: 'PPO', xLabel: 'PPO step' },
] as const

/** The curves of each trainer that has some. */
export function curvesSection({ curves }: AlignReport): Markup | undefined {
  const shown = groups.filter(({ key }) => curves[key].length > 0)
  if (shown.length === 0) return undefined
  const parts = shown.map(
    ({ key, title, xLabel }) => html`<h3 class="group">${title}</h3>${metricCharts(curves[key], xLabel)}`,
  )
  return html`<section id="training" aria-labelledby="training-h"><h2 id="training-h">Training</h2>${parts}</section>`
}

const fact = (name: string, value: string, note: string) =>
  html`<div class="fact"><dt>${name}</dt><dd><b>${value}</b><small>${note}</small></dd></div>`

/** How good the reward model is on pairs that it has not seen. */
export function rewardSection({ reward_model, label_agreement }: AlignReport): Markup | undefined {
  if (reward_model === null) return undefined
  const { n, accuracy, margin, ece, calibration } = reward_model
  const agreement =
    label_agreement &&
    fact(
      'Agreement of the labels',
      percent(label_agreement.agreement.value),
      `${percentRange(label_agreement.agreement)}; ${label_agreement.n} of the pairs that were read, labelled twice and blind${label_agreement.kappa === null ? '' : `, κ = ${shortNumber(label_agreement.kappa)}`}`,
    )
  const chart = reliabilityChart({
    title: 'Calibration of the reward model',
    bins: calibration,
    xLabel: 'predicted: chosen answer wins, σ(margin)',
    yLabel: 'observed share',
  })
  return html`<section id="reward" aria-labelledby="reward-h"><h2 id="reward-h">Reward model on held-out pairs</h2><div class="split"><dl class="facts card">${fact(
    'Accuracy',
    percent(accuracy.value),
    `${percentRange(accuracy)}, n = ${n} pairs; chance is 50 %`,
  )}${fact('Mean margin', shortNumber(margin.value), `${shortNumber(margin.low)} to ${shortNumber(margin.high)}; reward of chosen − rejected`)}${fact(
    'Calibration error (ECE)',
    percent(ece),
    'mean distance of predicted from observed',
  )}${agreement}</dl><figure class="card"><figcaption><h3>Calibration</h3><p>On the dashed line, predictions come true as often as they say. Bars: pairs in the bin.</p></figcaption>${chart}</figure></div></section>`
}
