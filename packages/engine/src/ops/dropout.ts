/** Dropout whose random numbers are computed in the graph. */
import { PlumblineError } from '@plumbline/contracts'
import { apply, type OpDefinition, type Tensor } from '../graph.ts'
import type { Emitter } from '../lower.ts'
import { formatShape, multiplyDims } from '../shape.ts'

export interface DropoutAttributes {
  /** Share of the numbers that become 0, in [0, 1). */
  readonly rate: number
  /** Tells the dropouts of one graph apart: a uint32, another one for each. */
  readonly salt: number
}

const definition: OpDefinition<DropoutAttributes> = {
  name: 'dropout',
  infer: ([x, seed], { rate, salt }) => {
    if (!(rate >= 0 && rate < 1)) throw new PlumblineError('BAD_VALUE', `dropout: the rate is ${rate}, not in [0, 1).`)
    if (salt !== salt >>> 0) throw new PlumblineError('BAD_VALUE', `dropout: the salt ${salt} is not a uint32.`)
    if (seed.type !== 'uint32' || seed.shape.length !== 0)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `dropout of ${formatShape(x.shape)}: the seed is ${seed.type} ${formatShape(seed.shape)}, not a uint32 scalar.`,
      )
    return { type: x.type, shape: x.shape }
  },
  lower: (emit, [x, seed], { attributes: { rate, salt }, inputs }) => {
    const count = emit.node('Squeeze', [emit.shape([multiplyDims(inputs[0].shape)])])
    const range = emit.node('Range', [emit.int(0), count, emit.int(1)])
    const words = randomWords(emit, emit.node('Cast', [range], { to: 12 }), seed, salt)
    const isDropped = emit.node('Less', [words, emit.uint32(Math.round(rate * 2 ** 32))])
    const mask = emit.node('Reshape', [isDropped, emit.node('Shape', [x])], { allowzero: 1 })
    // The mask that waits for the backward pass is of bytes: a float mask would take four times the memory.
    return emit.node('Where', [mask, emit.float(0), emit.node('Mul', [x, emit.float(1 / (1 - rate))])])
  },
  gradient: ({ inputs: [, seed], attributes, outputGradient }) => [dropoutBy(outputGradient, seed, attributes)],
}

/**
 * Sets each number to 0 with probability `rate`, else divides it by 1 − rate (Srivastava et al. 2014). `seed` is a uint32
 * scalar, fed at each step. Which numbers go depends on seed, salt and position alone: the gradient, and a run that
 * resumes, find the same mask again. At rate 0 nothing is added to the graph.
 */
export const dropout = Object.assign(
  (x: Tensor, seed: Tensor, attributes: DropoutAttributes): Tensor =>
    attributes.rate === 0 ? x : dropoutBy(x, seed, attributes),
  { definition },
)

function dropoutBy(x: Tensor, seed: Tensor, attributes: DropoutAttributes): Tensor {
  return apply(definition, [x, seed], attributes)[0]
}

/**
 * One uint32 for each position: the hash lowbias32 (C. Wellons, nullprogram.com/blog/2018/07/31), keyed before its first
 * and its second product by hashes of seed and salt. With the first key alone, masks of two keys would be one another's
 * permutations. All arithmetic is modulo 2^32.
 */
function randomWords(emit: Emitter, positions: string, seed: string, salt: number): string {
  const key = lowbias32(emit, emit.node('BitwiseXor', [lowbias32(emit, seed), emit.uint32(salt)]))
  const secondKey = lowbias32(emit, emit.node('BitwiseXor', [key, emit.uint32(0x9e3779b9)]))
  return lowbias32(emit, emit.node('BitwiseXor', [positions, key]), secondKey)
}

function lowbias32(emit: Emitter, word: string, key?: string): string {
  const fold = (x: string, bits: number) =>
    emit.node('BitwiseXor', [x, emit.node('BitShift', [x, emit.uint32(bits)], { direction: 'RIGHT' })])
  const times = (x: string, factor: number) => emit.node('Mul', [x, emit.uint32(factor)])
  const first = times(fold(word, 16), 0x7feb352d)
  const keyed = key ? emit.node('BitwiseXor', [first, key]) : first
  return fold(times(fold(keyed, 15), 0x846ca68b), 16)
}
