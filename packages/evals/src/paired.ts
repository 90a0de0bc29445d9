/** Comparisons of two systems on the same items, and means over seeds. */
import { PlumblineError } from '@plumbline/contracts'
import type { Random } from '@plumbline/engine'
import { betaCdf, studentQuantile } from './distributions.ts'
import { type Estimate, twoSided } from './proportions.ts'

/**
 * Exact McNemar test (1947): two-sided p-value that among items on which two systems differ, either side is as likely.
 * `onlyFirst` and `onlySecond` count the items that one system alone got; 1 where there are none.
 */
export function mcnemarExact(onlyFirst: number, onlySecond: number): number {
  checkDiffering(onlyFirst, onlySecond)
  const n = onlyFirst + onlySecond
  const fewer = Math.min(onlyFirst, onlySecond)
  // P(Binomial(n, 1/2) ≤ k) = I_{1/2}(n − k, k + 1).
  return n === 0 ? 1 : Math.min(1, 2 * betaCdf(0.5, n - fewer, fewer + 1))
}

function checkDiffering(...counts: readonly number[]): void {
  for (const count of counts)
    if (!Number.isInteger(count) || count < 0)
      throw new PlumblineError('INVALID_COUNT', `${count} differing items: it must be an integer from 0.`)
}

/** Of `n` items, those that one of two systems alone got. */
interface Differing {
  readonly onlyFirst: number
  readonly onlySecond: number
  readonly n: number
}

/**
 * Share of the first − share of the second on the same items, with the interval of Bonett & Price (2012, J. Educ.
 * Behav. Stat. 37:479–488): Wald's, after an item is added to either side. Where no item differs it keeps a width,
 * which a bootstrap does not: it has seen nothing else.
 */
export function pairedDifference(
  { onlyFirst, onlySecond, n }: Differing,
  { confidence = 0.95 }: { confidence?: number } = {},
): Estimate {
  checkDiffering(onlyFirst, onlySecond)
  if (!Number.isInteger(n) || n < 1 || onlyFirst + onlySecond > n)
    throw new PlumblineError('INVALID_COUNT', `${onlyFirst} and ${onlySecond} differing items of ${n}: not possible.`)
  const z = twoSided(confidence)
  const [first, second] = [(onlyFirst + 1) / (n + 2), (onlySecond + 1) / (n + 2)]
  const half = z * Math.sqrt((first + second - (first - second) ** 2) / (n + 2))
  return {
    estimate: (onlyFirst - onlySecond) / n,
    low: Math.max(-1, first - second - half),
    high: Math.min(1, first - second + half),
  }
}

/** One item measured under two systems. Items of one cluster (a prompt and its variants) are drawn together. */
export interface Pair {
  readonly cluster: string
  readonly first: number
  readonly second: number
}

interface BootstrapOptions {
  readonly random: Random
  readonly confidence?: number
  readonly draws?: number
}

/** Mean of first − second with a percentile interval of the cluster bootstrap (Efron & Tibshirani 1993, §13.3). */
export function pairedBootstrap(
  pairs: readonly Pair[],
  { random, confidence = 0.95, draws = 2000 }: BootstrapOptions,
): Estimate & { readonly clusters: number } {
  twoSided(confidence)
  if (pairs.length === 0) throw new PlumblineError('INVALID_COUNT', 'paired bootstrap: there are no pairs.')
  if (!Number.isInteger(draws) || draws < 1)
    throw new PlumblineError('INVALID_VALUE', `${draws} bootstrap draws: it must be an integer from 1.`)
  const clusters = [...Map.groupBy(pairs, ({ cluster }) => cluster).values()].map((members) => ({
    sum: members.reduce((sum, { first, second }) => sum + first - second, 0),
    n: members.length,
  }))
  const means = Float64Array.from({ length: draws }, () => {
    let sum = 0
    let n = 0
    for (let i = 0; i < clusters.length; i++) {
      const drawn = clusters[random.integer(clusters.length)]
      sum += drawn.sum
      n += drawn.n
    }
    return sum / n
  }).sort()
  const estimate = clusters.reduce((sum, cluster) => sum + cluster.sum, 0) / pairs.length
  return {
    estimate,
    low: quantile(means, (1 - confidence) / 2),
    high: quantile(means, (1 + confidence) / 2),
    clusters: clusters.length,
  }
}

/** Linear interpolation between order statistics of sorted values (Hyndman & Fan 1996, type 7). */
function quantile(sorted: Float64Array, p: number): number {
  const at = p * (sorted.length - 1)
  const below = Math.floor(at)
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below])
}

/** Mean over seeds with Student's t-interval; one value has no interval, so its limits are ±∞. */
export function meanInterval(values: readonly number[], { confidence = 0.95 }: { confidence?: number } = {}): Estimate {
  twoSided(confidence)
  const n = values.length
  if (n === 0) throw new PlumblineError('INVALID_COUNT', 'mean: there are no values.')
  const estimate = values.reduce((sum, value) => sum + value, 0) / n
  if (n === 1) return { estimate, low: -Infinity, high: Infinity }
  const variance = values.reduce((sum, value) => sum + (value - estimate) ** 2, 0) / (n - 1)
  const half = studentQuantile(confidence, n - 1) * Math.sqrt(variance / n)
  return { estimate, low: estimate - half, high: estimate + half }
}
