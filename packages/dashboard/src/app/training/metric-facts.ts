import type { RunDetail } from '@plumbline/contracts'
import { formatNumber, formatShare, shorten } from '../format.ts'
import { visible } from '../parts/content.tsx'
import type { Curve } from '../parts/curve-chart.tsx'

interface MetricFacts {
  readonly title: string
  readonly unit: string
  readonly format?: (value: number) => string
}

/** TRL's names, without `eval_`, in the order in which they are shown. Any other one comes after them, under its own name. */
const metricFacts: Readonly<Record<string, MetricFacts>> = {
  loss: { title: 'Loss', unit: 'nats' },
  'objective/scores': { title: 'Reward', unit: 'score of the reward model, mean' },
  'objective/rlhf_reward': { title: 'Reward after the KL penalty', unit: 'mean' },
  'objective/kl': { title: 'KL to the reference', unit: 'nats per answer' },
  'objective/entropy': { title: 'Entropy', unit: 'nats per answer' },
  accuracy: { title: 'Accuracy', unit: 'of pairs; chance is 50 %', format: formatShare },
  margin: { title: 'Margin', unit: 'reward of chosen − rejected' },
  mse: { title: 'Squared error', unit: 'of scores' },
  mean_reward: { title: 'Mean reward', unit: 'over all answers' },
  mean_token_accuracy: { title: 'Token accuracy', unit: 'share of tokens', format: formatShare },
  entropy: { title: 'Entropy', unit: 'nats per token' },
  'completions/mean_length': { title: 'Length of answers', unit: 'tokens, mean' },
  'loss/policy_avg': { title: 'Policy loss', unit: 'weighted advantage' },
  'loss/value_avg': { title: 'Value loss', unit: 'squared reward' },
  'policy/approxkl_avg': { title: 'KL of one update', unit: 'nats per token' },
  'policy/clipfrac_avg': { title: 'Clip fraction', unit: 'share of tokens', format: formatShare },
  learning_rate: { title: 'Learning rate', unit: '' },
  lr: { title: 'Learning rate', unit: '' },
  grad_norm: { title: 'Gradient norm', unit: 'before clipping' },
}

export interface RunChart {
  /** TRL's name. */
  readonly metric: string
  readonly title: string
  readonly unit: string
  readonly format: (value: number) => string
  readonly curves: readonly Curve[]
}

const evaluated = 'eval_'
/** A drawing cannot place what is larger: a gap. */
const largest = 1e100

/** A chart for each metric, `eval_x` beside `x`: first those that say how the run goes, then the others. */
export function chartsOf(series: RunDetail['curves']): { readonly main: RunChart[]; readonly others: RunChart[] } {
  const bare = (metric: string) => (metric.startsWith(evaluated) ? metric.slice(evaluated.length) : metric)
  const groups = [...Map.groupBy(series, ({ metric }) => bare(metric))]
  const charts = groups.map(([metric, group]) => chartOf(metric, group))
  const names = Object.keys(metricFacts)
  const place = ({ metric }: RunChart) => names.indexOf(metric)
  return {
    main: charts.filter((chart) => place(chart) >= 0).sort((a, b) => place(a) - place(b)),
    others: charts.filter((chart) => place(chart) < 0),
  }
}

function chartOf(metric: string, group: RunDetail['curves']): RunChart {
  const known = Object.hasOwn(metricFacts, metric) ? metricFacts[metric] : undefined
  const { title, unit, format = formatNumber } = known ?? { title: visible(shorten(metric, 60)), unit: '' }
  const bands = new Set(group.flatMap(({ band }) => band ?? []))
  return {
    metric,
    title,
    unit: [unit, ...[...bands].map((band) => `band: ${band}`)].filter(Boolean).join('; '),
    format,
    curves: group.map(({ metric: name, points }) => {
      const isHeldOut = name.startsWith(evaluated)
      return { name: isHeldOut ? 'held-out' : 'train', isHeldOut, points: points.map(drawable) }
    }),
  }
}

function drawable(point: RunDetail['curves'][number]['points'][number]) {
  const isPlaced = [point.value, point.low, point.high].every((one) => one == null || Math.abs(one) <= largest)
  return isPlaced ? point : { step: point.step, value: null }
}
