/**
 * Maximum mean discrepancy (Gretton, Borgwardt, Rasch, Schölkopf & Smola 2012, JMLR 13:723–773, eq. 5) with a Gaussian
 * kernel whose width is the median distance, and a permutation null: the null must come from both samples together, as
 * resampling the reference alone calls everything a drift.
 *
 *   MMD² = Σ_ij s_i s_j k(x_i, x_j),   s = 1/m for current, −1/n for reference
 */
import { PlumblineError } from '@plumbline/contracts'
import type { SparseRow } from '@plumbline/evals'
import { type PermutationOptions, permutationPValue, type Stratum } from './permutation.ts'

export type SquaredDistance = (i: number, j: number) => number

export interface MmdTest {
  readonly pValue: number
  /** MMD² of the biased kind; 0 where the samples are alike. Over strata a mean, weighed by nm/(n + m). */
  readonly mmd2: number
}

/** Memory is the square of a stratum's size: draw at most about a thousand first. */
export function mmdTest(groups: readonly Stratum[], distance: SquaredDistance, options: PermutationOptions): MmdTest {
  const width = medianDistance(groups, distance)
  const kernels = groups.map(({ members }) => kernelOf(members, (i, j) => Math.exp(-distance(i, j) / width)))
  const statistic = (labels: readonly (readonly boolean[])[]) => meanMmd2(kernels, labels)
  const pValue = permutationPValue(groups, statistic, options)
  return { pValue, mmd2: statistic(groups.map(({ isCurrent }) => isCurrent)) }
}

/** All pairs of a stratum, [size, size], and what does not depend on the labels. */
interface Kernel {
  readonly rows: readonly Float64Array[]
  readonly sums: Float64Array
  readonly total: number
}

function kernelOf(members: readonly number[], kernel: (i: number, j: number) => number): Kernel {
  const rows = members.map((i) => Float64Array.from(members, (j) => kernel(i, j)))
  const sums = Float64Array.from(rows, (row) => row.reduce((sum, x) => sum + x, 0))
  return { rows, sums, total: sums.reduce((sum, x) => sum + x, 0) }
}

function meanMmd2(kernels: readonly Kernel[], labels: readonly (readonly boolean[])[]): number {
  let [sum, weights] = [0, 0]
  kernels.forEach((kernel, s) => {
    const size = kernel.rows.length
    const fewer = smallerSide(labels[s])
    const weight = (fewer.length * (size - fewer.length)) / size
    sum += weight * mmd2(kernel, fewer)
    weights += weight
  })
  return sum / weights
}

/** The places of the sample that has fewer members here: MMD² is the same seen from either. */
function smallerSide(labels: readonly boolean[]): Int32Array {
  let current = 0
  for (const isCurrent of labels) if (isCurrent) current++
  const wanted = 2 * current <= labels.length
  const places = new Int32Array(wanted ? current : labels.length - current)
  for (let i = 0, found = 0; i < labels.length; i++) if (labels[i] === wanted) places[found++] = i
  return places
}

/** From the pairs within one side alone, as all others follow from the sums of the rows. */
function mmd2({ rows, sums, total }: Kernel, side: Int32Array): number {
  let [within, all] = [0, 0]
  for (let i = 0; i < side.length; i++) {
    const row = rows[side[i]]
    let inner = 0
    for (let j = 0; j < i; j++) inner += row[side[j]]
    within += 2 * inner + row[side[i]]
    all += sums[side[i]]
  }
  const [across, others] = [all - within, total - 2 * all + within]
  const [own, other] = [side.length, rows.length - side.length]
  return within / own ** 2 - (2 * across) / (own * other) + others / other ** 2
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
