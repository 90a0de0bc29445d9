import type { Random } from '@plumbline/engine'

/** Draws of Binomial(n, p), exact to rounding: inversion of its distribution function, 0 < p < 1, n up to some 10⁵. */
export function binomialSampler(n: number, p: number): (random: Random) => number {
  // ln P(X = k) by its recursion; from logs, as (1 − p)^n underflows.
  const cdf = new Float64Array(n + 1)
  let log = n * Math.log1p(-p)
  for (let k = 0, sum = 0; k <= n; k++) {
    sum += Math.exp(log)
    cdf[k] = sum
    log += Math.log(((n - k) / (k + 1)) * (p / (1 - p)))
  }
  return (random) => {
    const u = random.uniform() * cdf[n]
    let [low, high] = [0, n]
    while (low < high) {
      const middle = (low + high) >> 1
      if (cdf[middle] > u) high = middle
      else low = middle + 1
    }
    return low
  }
}
