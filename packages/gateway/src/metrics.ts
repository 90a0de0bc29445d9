/** Counters and histograms in the text format of Prometheus. */
export interface Metrics {
  count(name: CounterName, labels: Readonly<Record<string, string>>): void
  observe(name: HistogramName, seconds: number): void
  text(gauges: readonly Gauge[]): string
}

export interface Gauge {
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter'
  /** By labels, such as `upstream="main"`; '' for a gauge that has none. */
  readonly values: Readonly<Record<string, number>>
}

const counters = {
  plumbline_answers_total: 'Answers of the upstream, by endpoint, status and how they ended.',
  plumbline_refused_total: 'Requests that the gateway refused, by status and code.',
  plumbline_guard_verdicts_total: 'What guards said, by guard, direction, mode and outcome, and whether they failed.',
  plumbline_retries_total: 'Further attempts, by the upstream that failed before and how.',
  plumbline_retry_budget_exhausted_total: 'Further attempts that were not made, as there were too many already.',
  plumbline_limited_total: 'Requests past the limits of their key, by limit.',
  plumbline_best_of_total: 'Answers chosen from several, by whether they were scored.',
  plumbline_reloads_total: 'Reloads of the configuration, by result.',
} as const
const histograms = {
  plumbline_answer_seconds: 'From the whole request to the end of its answer.',
  plumbline_first_token_seconds: 'From the whole request to the first event of a streamed answer.',
} as const
type CounterName = keyof typeof counters
type HistogramName = keyof typeof histograms

const bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300] as const

export function createMetrics(): Metrics {
  const counts = new Map<CounterName, Map<string, number>>()
  const observed = new Map<HistogramName, { buckets: number[]; sum: number; count: number }>()
  return {
    count: (name, labels) => {
      const series = counts.get(name) ?? new Map<string, number>()
      counts.set(name, series)
      const key = labelText(labels)
      series.set(key, (series.get(key) ?? 0) + 1)
    },
    observe: (name, seconds) => {
      const histogram = observed.get(name) ?? { buckets: bounds.map(() => 0), sum: 0, count: 0 }
      observed.set(name, histogram)
      histogram.sum += seconds
      histogram.count++
      for (let i = bounds.length - 1; i >= 0 && seconds <= bounds[i]; i--) histogram.buckets[i]++
    },
    text: (gauges) => {
      const lines: string[] = []
      const head = (name: string, help: string, type: string) => {
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      }
      for (const [name, help] of Object.entries(counters)) {
        head(name, help, 'counter')
        for (const [labels, value] of counts.get(name as CounterName) ?? []) lines.push(sample(name, labels, value))
      }
      for (const [name, help] of Object.entries(histograms)) {
        const { buckets, sum, count } = observed.get(name as HistogramName) ?? { buckets: [], sum: 0, count: 0 }
        head(name, help, 'histogram')
        for (const [i, bound] of bounds.entries()) lines.push(`${name}_bucket{le="${bound}"} ${buckets[i] ?? 0}`)
        lines.push(`${name}_bucket{le="+Inf"} ${count}`, `${name}_sum ${sum}`, `${name}_count ${count}`)
      }
      for (const { name, help, type, values } of gauges) {
        head(name, help, type)
        for (const [labels, value] of Object.entries(values)) lines.push(sample(name, labels, value))
      }
      return `${lines.join('\n')}\n`
    },
  }
}

const unsafe = /[\\"\n]/
const allUnsafe = new RegExp(unsafe, 'g')

export function labelText(labels: Readonly<Record<string, string>>): string {
  let text = ''
  for (const label in labels) {
    const value = unsafe.test(labels[label]) ? labels[label].replaceAll(allUnsafe, '_') : labels[label]
    text += `${text === '' ? '' : ','}${label}="${value}"`
  }
  return text
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`
}
