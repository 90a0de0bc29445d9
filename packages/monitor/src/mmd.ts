/**
 * Maximum mean discrepancy (Gretton, Borgwardt, Rasch, Schölkopf & Smola 2012, JMLR 13:723–773, eq. 5) with a Gaussian
 * kernel whose width is the median distance, and a permutation null: the null must come from both samples together, as
 * resampling the reference alone calls everything a drift.
 *
 *   MMD² = Σ_ij s_i s_j k(x_i, x_j),   s = 1/m for current, −1/n for reference
 */
import { PlumblineError } from '@plumbline/contracts'
import type { Random } from '@plumbline/engine'
import type { SparseRow } from '@plumbline/evals'
import { permutationPValue, type Stratum } from './permutation.ts'

export type SquaredDistance = (i: number, j: number) => number

export interface MmdTest {
  readonly pValue: number
  /** MMD² of the biased kind; 0 where the samples are alike. Over strata a mean, weighed by nm/(n + m). */
  readonly mmd2: number
}

/** Memory is the square of a stratum's size: draw at most about a thousand first. */
export function mmdTest(
  groups: readonly Stratum[],
  distance: SquaredDistance,
  options: { readonly random: Random; readonly draws: number },
): MmdTest {
  const width = medianDistance(groups, distance)
  const kernels = groups.map(({ members }) =>
    members.map((i) => Float64Array.from(members, (j) => Math.exp(-distance(i, j) / width))),
  )
  const statistic = (labels: readonly (readonly boolean[])[]) => meanMmd2(kernels, labels)
  const pValue = permutationPValue(groups, statistic, options)
  return { pValue, mmd2: statistic(groups.map(({ isCurrent }) => isCurrent)) }
}

function meanMmd2(kernels: readonly Float64Array[][], labels: readonly (readonly boolean[])[]): number {
  let [sum, weights] = [0, 0]
  kernels.forEach((kernel, s) => {
    const size = kernel.length
    const current = labels[s].reduce((count, isCurrent) => count + (isCurrent ? 1 : 0), 0)
    const signs = Float64Array.from(labels[s], (isCurrent) => (isCurrent ? 1 / current : -1 / (size - current)))
    const weight = (current * (size - current)) / size
    sum += weight * quadraticForm(kernel, signs)
    weights += weight
  })
  return sum / weights
}

function quadraticForm(kernel: readonly Float64Array[], signs: Float64Array): number {
  let sum = 0
  for (let i = 0; i < signs.length; i++) {
    const row = kernel[i]
    let inner = 0
    for (let j = 0; j < i; j++) inner += row[j] * signs[j]
    sum += signs[i] * (2 * inner + row[i] * signs[i])
  }
  return sum
}

/** Of the squared distances that are not 0, over both samples: it knows nothing of the labels. */
function medianDistance(groups: readonly Stratum[], distance: SquaredDistance): number {
  const found: number[] = []
  for (const { members } of groups)
    members.forEach((i, a) => {
      for (let b = 0; b < a; b++) {
        const between = distance(i, members[b])
        if (between > 0) found.push(between)
      }
    })
  if (found.length === 0) return 1
  found.sort((a, b) => a - b)
  return found[found.length >> 1]
}

/** Between embeddings. Throws INVALID_VALUE where they differ in length. */
export function euclidean(vectors: readonly ArrayLike<number>[]): SquaredDistance {
  const size = vectors[0]?.length ?? 0
  const wrong = vectors.findIndex((vector) => vector.length !== size)
  if (wrong >= 0)
    throw new PlumblineError(
      'INVALID_VALUE',
      `embedding ${wrong}: ${vectors[wrong].length} numbers, the first has ${size}.`,
    )
  return (i, j) => {
    let sum = 0
    for (let k = 0; k < size; k++) sum += (vectors[i][k] - vectors[j][k]) ** 2
    return sum
  }
}

/** Between rows of length 1 (or 0), their indices sorted: 2 − 2 cos. */
export function cosine(rows: readonly SparseRow[]): SquaredDistance {
  const squared = rows.map(({ values }) => values.reduce((sum, value) => sum + value * value, 0))
  return (i, j) => {
    const [a, b] = [rows[i], rows[j]]
    let dot = 0
    for (let m = 0, n = 0; m < a.indices.length && n < b.indices.length; ) {
      const order = a.indices[m] - b.indices[n]
      if (order === 0) dot += a.values[m] * b.values[n]
      if (order <= 0) m++
      if (order >= 0) n++
    }
    return Math.max(0, squared[i] + squared[j] - 2 * dot)
  }
}
