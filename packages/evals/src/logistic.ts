/**
 * Binary logistic regression with a ridge penalty and signs that weights must have, by projected Nesterov's accelerated gradient with restarts (Nesterov 1983;
 * O'Donoghue & Candès 2015). Deterministic: no randomness, rows summed in order.
 */

/** A row as the indices and values of what is not zero. */
export interface SparseRow {
  readonly indices: readonly number[]
  readonly values: readonly number[]
}

export interface LogisticModel {
  readonly bias: number
  readonly weights: Float64Array // [features]
}

interface FitOptions {
  /** λ of (λ/2)·‖w‖², against the summed log loss; the bias is free. */
  readonly ridge: number
  /** The sign each weight must keep: 1, −1, or 0 for none. */
  readonly signs: readonly number[]
  readonly maxSteps?: number
}

/** 1 / (1 + e^−x), without overflow. */
function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))
}

/** P(label = 1). */
export function predict({ bias, weights }: LogisticModel, row: SparseRow): number {
  return sigmoid(logit(bias, weights, row))
}

function logit(bias: number, weights: Float64Array, { indices, values }: SparseRow): number {
  let sum = bias
  for (let k = 0; k < indices.length; k++) sum += weights[indices[k]] * values[k]
  return sum
}

/** Gradient of the summed log loss with the ridge: weights, then the bias as the last entry. */
export function gradient(
  { bias, weights }: LogisticModel,
  rows: readonly SparseRow[],
  labels: readonly number[],
  ridge: number,
): Float64Array {
  const d = weights.length
  const out = new Float64Array(d + 1)
  for (let i = 0; i < d; i++) out[i] = ridge * weights[i]
  rows.forEach((row, r) => {
    const error = sigmoid(logit(bias, weights, row)) - labels[r]
    row.indices.forEach((index, k) => {
      out[index] += error * row.values[k]
    })
    out[d] += error
  })
  return out
}

/** Minimum of the convex loss over the allowed weights, until no coordinate moves by 1e-7 or `maxSteps`. */
export function fitLogistic(
  rows: readonly SparseRow[],
  labels: readonly number[],
  features: number,
  { ridge, signs, maxSteps = 3000 }: FitOptions,
): LogisticModel {
  const step = 1 / (0.25 * largestEigenvalue(rows, features) * 1.05 + ridge)
  let x = new Float64Array(features + 1)
  let y = x
  let t = 1
  for (let n = 0; n < maxSteps; n++) {
    const slope = gradient({ weights: y.subarray(0, features), bias: y[features] }, rows, labels, ridge)
    const next = y.map((value, i) => allowed(value - step * slope[i], signs[i]))
    const hasSettled = next.every((value, i) => Math.abs(value - x[i]) < 1e-7 && Math.abs(value - y[i]) < 1e-7)
    // Momentum that points uphill is dropped.
    const uphill = next.reduce((sum, value, i) => sum + (y[i] - value) * (value - x[i]), 0) > 0
    const nextT = uphill ? 1 : (1 + Math.sqrt(1 + 4 * t * t)) / 2
    const momentum = uphill ? 0 : (t - 1) / nextT
    const previous = x
    y = next.map((value, i) => value + momentum * (value - previous[i]))
    x = next
    t = nextT
    if (hasSettled) break
  }
  return { weights: x.slice(0, features), bias: x[features] }
}

function allowed(weight: number, sign: number | undefined): number {
  if (sign === 1) return Math.max(0, weight)
  return sign === -1 ? Math.min(0, weight) : weight
}

/** Of XᵀX with a column of ones, by power iteration. */
function largestEigenvalue(rows: readonly SparseRow[], features: number): number {
  let vector = new Float64Array(features + 1).fill(1 / Math.sqrt(features + 1))
  let value = 1
  for (let n = 0; n < 50; n++) {
    const image = new Float64Array(features + 1)
    for (const row of rows) {
      const projection = logit(vector[features], vector, row)
      row.indices.forEach((index, k) => {
        image[index] += projection * row.values[k]
      })
      image[features] += projection
    }
    value = Math.hypot(...image)
    vector = image.map((entry) => entry / value)
  }
  return value
}
