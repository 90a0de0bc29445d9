/** How well labels, scores and probabilities agree with the truth. */
import { PlumblineError } from '@plumbline/contracts'
import { clopperPearson, type Estimate, twoSided } from './proportions.ts'

/** A probability or score, and whether the event happened. */
export interface Forecast {
  readonly score: number
  readonly happened: boolean
}

/**
 * Agreement of two raters beyond chance: Cohen (1960), with the large-sample variance of Fleiss, Cohen & Everitt (1969),
 * eq. 13. Both label the same items, in order. 1 where both use one and the same label throughout.
 */
export function cohenKappa(
  first: readonly string[],
  second: readonly string[],
  { confidence = 0.95 }: { confidence?: number } = {},
): Estimate {
  const z = twoSided(confidence)
  const n = first.length
  if (n === 0 || n !== second.length)
    throw new PlumblineError(
      'INVALID_COUNT',
      `kappa: ${n} and ${second.length} labels; both raters label the same items.`,
    )
  const labels = [...new Set([...first, ...second])]
  const index = new Map(labels.map((label, i) => [label, i]))
  const table = labels.map(() => labels.map(() => 0)) // [first, second], shares
  first.forEach((label, i) => {
    table[index.get(label)!][index.get(second[i])!] += 1 / n
  })
  const rows = table.map((row) => row.reduce((sum, share) => sum + share, 0))
  const columns = labels.map((_, j) => table.reduce((sum, row) => sum + row[j], 0))
  const agreed = table.reduce((sum, row, i) => sum + row[i], 0)
  const chance = rows.reduce((sum, share, i) => sum + share * columns[i], 0)
  if (chance > 1 - 1e-12) return { estimate: 1, low: 1, high: 1 }
  const kappa = Math.min(1, (agreed - chance) / (1 - chance))
  let spread = -((kappa - chance * (1 - kappa)) ** 2)
  table.forEach((row, i) => {
    row.forEach((share, j) => {
      const margin = (columns[i] + rows[j]) * (1 - kappa)
      spread += share * (i === j ? (1 - margin) ** 2 : margin ** 2)
    })
  })
  const half = (z * Math.sqrt(Math.max(0, spread) / n)) / (1 - chance)
  return { estimate: kappa, low: Math.max(-1, kappa - half), high: Math.min(1, kappa + half) }
}

/** P(score of one that happened > of one that did not), ties half: Mann–Whitney, by ranks. */
export function auc(forecasts: readonly Forecast[]): number {
  const sorted = [...checkedScores(forecasts)].sort((a, b) => a.score - b.score)
  let positives = 0
  let rankSum = 0
  for (let start = 0; start < sorted.length; ) {
    let end = start
    while (end < sorted.length && sorted[end].score === sorted[start].score) end++
    const hits = sorted.slice(start, end).filter(({ happened }) => happened).length
    positives += hits
    rankSum += hits * ((start + 1 + end) / 2)
    start = end
  }
  const negatives = sorted.length - positives
  if (positives === 0 || negatives === 0)
    throw new PlumblineError('INVALID_COUNT', 'AUC: it needs items of both kinds.')
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
}

/**
 * AUC with the interval of DeLong, DeLong & Clarke-Pearson (1988), by midranks (Sun & Xu 2014), on the logit scale so
 * that it stays between 0 and 1. A perfect separation has no variance to go by: its interval is the exact one of as
 * many hits as the smaller class has members.
 */
export function aucInterval(
  forecasts: readonly Forecast[],
  { confidence = 0.95 }: { confidence?: number } = {},
): Estimate {
  const z = twoSided(confidence)
  const estimate = auc(forecasts)
  const scoresOf = (wanted: boolean) =>
    forecasts.filter(({ happened }) => happened === wanted).map(({ score }) => score)
  const [positives, negatives] = [scoresOf(true), scoresOf(false)]
  const all = midranks([...positives, ...negatives])
  // For each item, the share of the other class that it beats.
  const wins = (own: readonly number[], from: number, others: number) => {
    const within = midranks(own)
    return own.map((_, i) => (all[from + i] - within[i]) / others)
  }
  const spread =
    variance(wins(positives, 0, negatives.length)) / positives.length +
    variance(wins(negatives, positives.length, positives.length)) / negatives.length
  if (estimate === 0 || estimate === 1) {
    const n = Math.min(positives.length, negatives.length)
    return clopperPearson({ hits: estimate * n, n }, { confidence })
  }
  const logit = Math.log(estimate / (1 - estimate))
  const half = (z * Math.sqrt(spread)) / (estimate * (1 - estimate))
  const back = (x: number) => 1 / (1 + Math.exp(-x))
  return { estimate, low: back(logit - half), high: back(logit + half) }
}

/** Ranks from 1, ties at the mean of theirs. */
function midranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b])
  const ranks = new Array<number>(values.length)
  for (let start = 0; start < order.length; ) {
    let end = start
    while (end < order.length && values[order[end]] === values[order[start]]) end++
    for (let i = start; i < end; i++) ranks[order[i]] = (start + 1 + end) / 2
    start = end
  }
  return ranks
}

/** Of a sample; 0 for a single value. */
function variance(values: readonly number[]): number {
  if (values.length < 2) return 0
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
}

/** Mean squared error of probabilities (Brier 1950, for one event). */
export function brierScore(forecasts: readonly Forecast[]): number {
  const checked = checkedScores(forecasts, { areProbabilities: true })
  return checked.reduce((sum, { score, happened }) => sum + (score - (happened ? 1 : 0)) ** 2, 0) / checked.length
}

export interface CalibrationBin {
  readonly from: number
  readonly to: number
  readonly n: number
  /** Means over the bin. */
  readonly predicted: number
  readonly observed: number
}

/** Reliability curve over `bins` equal parts of [0, 1]; a score of 1 belongs to the last. Empty bins are left out. */
export function calibrationCurve(
  forecasts: readonly Forecast[],
  { bins = 10 }: { bins?: number } = {},
): CalibrationBin[] {
  if (!Number.isInteger(bins) || bins < 1)
    throw new PlumblineError('INVALID_VALUE', `${bins} bins: it must be an integer from 1.`)
  const binned = Map.groupBy(checkedScores(forecasts, { areProbabilities: true }), ({ score }) =>
    Math.min(bins - 1, Math.floor(score * bins)),
  )
  return [...binned]
    .sort(([a], [b]) => a - b)
    .map(([bin, members]) => ({
      from: bin / bins,
      to: (bin + 1) / bins,
      n: members.length,
      predicted: members.reduce((sum, { score }) => sum + score, 0) / members.length,
      observed: members.filter(({ happened }) => happened).length / members.length,
    }))
}

/** Expected calibration error (Naeini et al. 2015): mean |observed − predicted| over bins, weighted by items. */
export function expectedCalibrationError(forecasts: readonly Forecast[], options: { bins?: number } = {}): number {
  const curve = calibrationCurve(forecasts, options)
  return (
    curve.reduce((sum, { n, predicted, observed }) => sum + n * Math.abs(observed - predicted), 0) / forecasts.length
  )
}

function checkedScores(forecasts: readonly Forecast[], { areProbabilities = false } = {}): readonly Forecast[] {
  if (forecasts.length === 0) throw new PlumblineError('INVALID_COUNT', 'scores: there are none.')
  const wrong = forecasts.findIndex(
    ({ score }) => Number.isNaN(score) || (areProbabilities && (score < 0 || score > 1)),
  )
  if (wrong >= 0)
    throw new PlumblineError(
      'INVALID_VALUE',
      `score ${forecasts[wrong].score} of item ${wrong}: it must be ${areProbabilities ? 'a probability from 0 to 1' : 'a number'}.`,
    )
  return forecasts
}
