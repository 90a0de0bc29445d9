/** The harm classifier's weights as they are stored: one signed byte a bucket, in base64. */
import type { LogisticModel } from '../logistic.ts'
import { HARM_BUCKETS } from './harm-features.ts'

export interface StoredHarmModel {
  readonly bias: number
  /** What a byte of 1 stands for. */
  readonly scale: number
  readonly weights: string
}

export function storeHarmModel({ bias, weights }: LogisticModel): StoredHarmModel {
  const scale = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) / 127
  const bytes = Int8Array.from(weights, (weight) => Math.round(weight / scale))
  return {
    bias: Math.round(bias * 1e6) / 1e6,
    scale,
    weights: Buffer.from(bytes.buffer).toString('base64'),
  }
}

export function restoreHarmModel({ bias, scale, weights }: StoredHarmModel): LogisticModel {
  const bytes = new Int8Array(Buffer.from(weights, 'base64'))
  if (bytes.length !== HARM_BUCKETS) throw new RangeError(`harm-model.json: ${bytes.length} weights`)
  return { bias, weights: Float64Array.from(bytes, (byte) => byte * scale) }
}
