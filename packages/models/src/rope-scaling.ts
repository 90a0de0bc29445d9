import type { RopeScaling } from './config.ts'
import type { JsonObject } from './json-file.ts'

/** The settings of Llama 3's rope scaling. */
interface Llama3Scaling {
  factor: number
  low_freq_factor: number
  high_freq_factor: number
  original_max_position_embeddings: number
}

/**
 * What each rope frequency is divided by: 1 for short waves, `factor` for long ones, between them a smooth passage.
 * Returns one divisor per pair of the head's elements. Source: `_compute_llama3_parameters` of transformers.
 */
export function llama3Divisors(scaling: Llama3Scaling, theta: number, headDim: number): number[] {
  return Array.from({ length: headDim / 2 }, (_, i) =>
    llama3Divisor(1 / theta ** ((2 * i) / headDim), {
      factor: scaling.factor,
      lowFrequencyFactor: scaling.low_freq_factor,
      highFrequencyFactor: scaling.high_freq_factor,
      originalMaxPositions: scaling.original_max_position_embeddings,
    }),
  )
}

/** What one frequency, in radians per position, is divided by. */
export function llama3Divisor(frequency: number, scaling: Omit<RopeScaling, 'type'>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI)
  if (turns > high) return 1
  if (turns < low) return factor
  const smooth = (turns - low) / (high - low)
  return 1 / ((1 - smooth) / factor + smooth)
}

/**
 * The Llama 3 rope scaling that llama.cpp's converter turned into these divisors, or undefined when there is none.
 * GGUF keeps only the divisors. All released models use low 1 and high 4, so the length that they were trained at is
 * searched among powers of two and held against every divisor.
 */
export function llama3RopeScaling(divisors: ArrayLike<number>, theta: number, headDim: number): JsonObject | undefined {
  if (divisors.length * 2 !== headDim) return undefined
  const given = Array.from(divisors)
  // The longest waves carry the whole factor.
  const factor = given[given.length - 1]
  for (let length = 8192, step = 0; step < 12; step++) {
    const scaling = { factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: length }
    const expected = llama3Divisors(scaling, theta, headDim)
    if (given.every((value, i) => Math.abs(value / expected[i] - 1) < 1e-4)) return { rope_type: 'llama3', ...scaling }
    length = 1024 << step
  }
  return undefined
}
