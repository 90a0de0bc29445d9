import type { MetricSeries } from '@plumbline/contracts'
import { type LineSeries, lineChart } from './line-chart.ts'
import { html, type Markup } from './markup.ts'
import { percent, shortNumber } from './numbers.ts'
import type { ChartColour } from './styles.ts'

interface MetricFacts {
  readonly title: string
  readonly unit: string
  readonly format?: (value: number) => string
  readonly include?: readonly number[]
  /** What to look for. */
  readonly about?: string
}

/** TRL's names, without `eval_`. A metric that is not here is drawn under its own name. */
const metricFacts: Readonly<Record<string, MetricFacts>> = {
  loss: { title: 'Loss', unit: 'nats' },
  mean_token_accuracy: { title: 'Token accuracy', unit: 'share of tokens', format: percent },
  accuracy: {
    title: 'Accuracy',
    unit: 'share of pairs',
    format: percent,
    include: [0.5, 1],
    about: 'One half is chance.',
  },
  margin: { title: 'Margin', unit: 'reward of chosen − rejected', include: [0] },
  'objective/scores': { title: 'Score of the reward model', unit: 'mean per answer', about: 'What PPO pushes up.' },
  'objective/rlhf_reward': { title: 'Reward after the KL penalty', unit: 'mean per answer' },
  'objective/kl': {
    title: 'KL to the reference',
    unit: 'nats per answer',
    include: [0],
    about: 'How far the model moved.',
  },
  'objective/entropy': {
    title: 'Entropy',
    unit: 'nats per answer',
    include: [0],
    about: 'Near zero: one answer for all.',
  },
  'objective/kl_coef': { title: 'KL coefficient', unit: 'weight of the penalty', include: [0] },
  kl_coef: { title: 'KL coefficient', unit: 'weight of the penalty', include: [0] },
  'completions/mean_length': { title: 'Length of answers', unit: 'tokens, mean', include: [0] },
  'policy/clipfrac_avg': {
    title: 'Clip fraction',
    unit: 'share of tokens',
    format: percent,
    include: [0],
    about: 'Updates that were cut short.',
  },
  'policy/approxkl_avg': { title: 'KL of one update', unit: 'nats per token', include: [0] },
  'loss/value_avg': { title: 'Value loss', unit: 'squared reward', include: [0] },
  'loss/policy_avg': { title: 'Policy loss', unit: 'weighted advantage' },
}

const evaluated = 'eval_'
const bareName = (metric: string) => (metric.startsWith(evaluated) ? metric.slice(evaluated.length) : metric)

function lines(series: readonly MetricSeries[]): LineSeries[] {
  const seen = new Set<string>()
  return series.map(({ metric, points }) => {
    const isHeldOut = metric.startsWith(evaluated)
    const colour: ChartColour = isHeldOut ? 'c5' : 'c4'
    // One line a seed, one name for all of them.
    const isLabelled = !seen.has(metric)
    seen.add(metric)
    const line = points.map(({ step, value, low, high }) => ({ x: step, y: value, low, high }))
    return { name: isHeldOut ? 'held-out' : 'train', colour, isDashed: isHeldOut, isLabelled, points: line }
  })
}

function metricChart(name: string, series: readonly MetricSeries[], xLabel: string): Markup {
  const {
    title,
    unit,
    format = shortNumber,
    include,
    about,
  } = (Object.hasOwn(metricFacts, name) ? metricFacts[name] : undefined) ?? { title: name, unit: name }
  const seeds = new Set(series.map(({ seed }) => seed)).size
  const notes = [
    about,
    ...new Set(series.map(({ band }) => band && `Band: ${band}.`)),
    seeds > 1 && `One line for each of ${seeds} seeds.`,
  ]
  const note = notes.filter(Boolean).join(' ')
  const chart = lineChart({
    title,
    xLabel,
    yLabel: unit,
    series: lines(series),
    include,
    formatValue: format,
    formatTick: format === percent ? percent : undefined,
  })
  return html`<figure class="card plot"><figcaption><h4>${title}</h4>${note !== '' && html`<p>${note}</p>`}</figcaption>${chart}</figure>`
}

const plots = (groups: readonly (readonly [string, readonly MetricSeries[]])[], xLabel: string) =>
  html`<div class="plots">${groups.map(([name, group]) => metricChart(name, group, xLabel))}</div>`

/** One chart a metric, `eval_x` beside `x`, in the order in which they come; those without facts folded below. */
export function metricCharts(series: readonly MetricSeries[], xLabel: string): Markup {
  const groups = [...Map.groupBy(series, ({ metric }) => bareName(metric))]
  const known = groups.filter(([name]) => Object.hasOwn(metricFacts, name))
  const further = groups.filter(([name]) => !Object.hasOwn(metricFacts, name))
  if (known.length === 0 || further.length === 0) return plots(groups, xLabel)
  return html`${plots(known, xLabel)}<details class="further"><summary>Further metrics (${further.length})</summary>${plots(further, xLabel)}</details>`
}
