import type { LlamaConfig } from './config.ts'
import { llama3Divisor } from './rope-scaling.ts'

/** cos and sin of every position and frequency, [positions, headSize / 2] each. */
export interface RopeTables {
  readonly cos: Float32Array
  readonly sin: Float32Array
}

/** Rotation tables for positions 0 … positions − 1. */
export function ropeTables(config: LlamaConfig, positions: number): RopeTables {
  const frequencies = ropeFrequencies(config)
  const cos = new Float32Array(positions * frequencies.length)
  const sin = new Float32Array(positions * frequencies.length)
  for (let position = 0; position < positions; position++)
    for (let i = 0; i < frequencies.length; i++) {
      // Hugging Face multiplies in float32; so do we, or late positions drift apart.
      const angle = Math.fround(position * frequencies[i])
      cos[position * frequencies.length + i] = Math.cos(angle)
      sin[position * frequencies.length + i] = Math.sin(angle)
    }
  return { cos, sin }
}

/** Angle per position of each pair of a head: θ^(−2i/d), scaled as the model's config says. */
function ropeFrequencies({ headSize, ropeTheta, ropeScaling }: LlamaConfig): Float32Array {
  const { type, factor } = ropeScaling
  const frequencies = Float32Array.from(
    { length: headSize / 2 },
    (_, i) => 1 / Math.fround(ropeTheta ** ((2 * i) / headSize)),
  )
  if (type === 'linear') return frequencies.map((frequency) => frequency / factor)
  if (type === 'llama3') return frequencies.map((frequency) => frequency / llama3Divisor(frequency, ropeScaling))
  return frequencies
}
