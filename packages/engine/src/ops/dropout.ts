/** Dropout by counted random numbers: any run finds the same ones. */
import { PlumblineError } from '@plumbline/contracts'
import { apply, type OpDefinition, type Tensor } from '../graph.ts'
import { formatShape } from '../shape.ts'
import { fillMask } from './dropout-masks.ts'

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
  lower: (emit, [x, seed], { attributes: { rate, salt }, inputs: [{ shape }] }) => {
    const name = `dropout.${seed}.${salt}.${rate}.${shape}`
    const mask = emit.filled(name, shape, (data, feeds) =>
      fillMask(data, (feeds[seed].data as Uint32Array)[0], salt, rate),
    )
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
  if (!seed.graph.inputs.has(seed.id))
    throw new PlumblineError('GRAPH_MISMATCH', 'dropout: the seed is no input of the graph.', {
      hint: "Masks are made beside the graph: declare the seed by graph.input(name, 'uint32', []) and feed it.",
    })
  return apply(definition, [x, seed], attributes)[0]
}
