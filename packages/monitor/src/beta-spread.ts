/** A beta distribution as a table: fast where thousands of values of its distribution function are needed. */

const STEPS = 512
const NODES = 48

export interface Spread {
  readonly sd: number
  readonly from: number
  readonly step: number
  /** P(X ≤ from + i · step). */
  readonly cdf: Float64Array
  /** For sums over the distribution: places and their probabilities. */
  readonly places: Float64Array
  readonly weights: Float64Array
}

/** Beta(a, b), a and b ≥ 1; a = 0 is a point at 0 and b = 0 one at 1. */
export function betaSpread(a: number, b: number): Spread {
  if (a === 0 || b === 0) return point(a === 0 ? 0 : 1)
  const mean = a / (a + b)
  const sd = Math.sqrt((mean * (1 - mean)) / (a + b + 1))
  // Nine standard deviations leave less than 5e-5 out for an exponential tail, next to nothing for others.
  const [from, to] = [Math.max(0, mean - 9 * sd), Math.min(1, mean + 9 * sd)]
  return { sd, from, step: (to - from) / STEPS, cdf: table(a, b, from, to), ...nodes(a, b, from, to) }
}

/** P(X ≤ x), linear between the table's places. */
export function spreadCdf({ from, step, cdf }: Spread, x: number): number {
  if (x < from) return 0
  const at = step === 0 ? STEPS : (x - from) / step
  if (at >= cdf.length - 1) return 1
  const index = Math.floor(at)
  return cdf[index] + (at - index) * (cdf[index + 1] - cdf[index])
}

function point(x: number): Spread {
  return { sd: 0, from: x, step: 0, cdf: Float64Array.of(1), places: Float64Array.of(x), weights: Float64Array.of(1) }
}

/** Densities at `steps` + 1 places, the largest of them 1. */
function densities(a: number, b: number, from: number, to: number, steps: number): Float64Array {
  const power = (x: number, exponent: number) => (exponent === 0 ? 0 : exponent * Math.log(x))
  const logs = Float64Array.from({ length: steps + 1 }, (_, i) => {
    const x = from + (i * (to - from)) / steps
    return power(x, a - 1) + power(1 - x, b - 1)
  })
  const largest = logs.reduce((most, value) => Math.max(most, value), -Infinity)
  return logs.map((value) => Math.exp(value - largest))
}

function table(a: number, b: number, from: number, to: number): Float64Array {
  const density = densities(a, b, from, to, STEPS)
  const cdf = new Float64Array(STEPS + 1)
  for (let i = 1; i <= STEPS; i++) cdf[i] = cdf[i - 1] + density[i - 1] + density[i]
  const total = cdf[STEPS]
  return cdf.map((value) => value / total)
}

/** The trapezoid rule's places and weights; those that add nothing are left out. */
function nodes(a: number, b: number, from: number, to: number): Pick<Spread, 'places' | 'weights'> {
  const density = densities(a, b, from, to, NODES)
  density[0] /= 2
  density[NODES] /= 2
  const total = density.reduce((sum, value) => sum + value, 0)
  const kept = [...density.keys()].filter((i) => density[i] / total > 1e-7)
  return {
    places: Float64Array.from(kept, (i) => from + (i * (to - from)) / NODES),
    weights: Float64Array.from(kept, (i) => density[i] / total),
  }
}
