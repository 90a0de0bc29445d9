/** Advantages of tokens: generalized advantage estimation and whitening. Computed in float64. */
import { checkRows, type Rows } from './rows.ts'

export interface GaeOptions {
  /** Discount γ of later rewards. */
  readonly gamma: number
  /** λ: 0 trusts the value of the next token, 1 the rewards that came. */
  readonly gaeLambda: number
}

export interface Advantages {
  /** A[i][t] for the real tokens, [lengths[i]] a row. */
  readonly advantages: Float64Array[]
  /** advantages + values: what the value model learns. */
  readonly returns: Float64Array[]
}

/**
 * Generalized advantage estimation (Schulman et al. 2016, arXiv:1506.02438, equation 16):
 *
 *   δ(t) = r(t) + γ·V(t+1) − V(t)        A(t) = δ(t) + γλ·A(t+1)
 *
 * `rewards` and `values` hold one number per completion token; V past the last real token is 0, since nothing follows.
 * What lies past `lengths[i]` in a row is never read. Throws SHAPE_MISMATCH.
 */
export function gae(
  rewards: Rows,
  values: Rows,
  lengths: readonly number[],
  { gamma, gaeLambda }: GaeOptions,
): Advantages {
  checkRows('gae', lengths, { rewards, values })
  const advantages = lengths.map((length, row) => {
    const advantage = new Float64Array(length)
    let next = 0
    for (let t = length - 1; t >= 0; t--) {
      const nextValue = t + 1 < length ? values[row][t + 1] : 0
      const delta = rewards[row][t] + gamma * nextValue - values[row][t]
      next = delta + gamma * gaeLambda * next
      advantage[t] = next
    }
    return advantage
  })
  const returns = advantages.map((advantage, row) => advantage.map((a, t) => a + values[row][t]))
  return { advantages, returns }
}

export interface WhitenOptions {
  /** False keeps the mean and scales the deviations alone, as for rewards. */
  readonly shiftMean?: boolean
}

/** As TRL's masked_whiten: keeps equal numbers from being divided by 0. */
const VARIANCE_EPSILON = 1e-8

/**
 * Scales all numbers of all rows together to variance 1, and to mean 0 unless `shiftMean` is false. The variance is the
 * unbiased one (n − 1), as in TRL. Rows hold real tokens only; give the whole batch, not a micro-batch. A single number
 * has no variance and counts as equal to the mean.
 */
export function whiten(rows: Rows, { shiftMean = true }: WhitenOptions = {}): Float64Array[] {
  let count = 0
  let sum = 0
  for (const row of rows) for (let t = 0; t < row.length; t++, count++) sum += row[t]
  const mean = count > 0 ? sum / count : 0
  let squares = 0
  for (const row of rows) for (let t = 0; t < row.length; t++) squares += (row[t] - mean) ** 2
  const variance = count > 1 ? squares / (count - 1) : 0
  const inverse = 1 / Math.sqrt(variance + VARIANCE_EPSILON)
  const offset = shiftMean ? 0 : mean
  return rows.map((row) => Float64Array.from(row, (x) => (x - mean) * inverse + offset))
}
