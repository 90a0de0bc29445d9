/**
 * Weighted sums, the one way in which losses and metrics run over tokens. A weight is the share of its token in the
 * accumulated batch, 1 / (real tokens of all its micro-batches), and 0 where there is padding. So sums over
 * micro-batches are those of the whole batch, however it was split.
 */
import { PlumblineError } from '@plumbline/contracts'
import { greater, mul, sum, type Tensor } from '@plumbline/engine'

/** Σ w·x over all axes, []. x must be finite where w is 0. */
export function weightedSum(x: Tensor, weights: Tensor): Tensor {
  return sum(mul(x, weights))
}

/** 1 where the weight is above 0, else 0. */
export function maskOf(weights: Tensor): Tensor {
  return greater(weights, weights.graph.constant(0))
}

/** Throws SHAPE_MISMATCH unless all are of one shape: [M] beside [M, 1] would broadcast to [M, M], and still train. */
export function checkSameShapes(where: string, tensors: Readonly<Record<string, Tensor | undefined>>): void {
  const named = Object.entries(tensors).filter((entry): entry is [string, Tensor] => entry[1] !== undefined)
  const shapes = named.map(([name, { shape }]) => ({ name, text: `[${shape.join(', ')}]` }))
  const [first] = shapes
  const other = shapes.find(({ text }) => text !== first.text)
  if (other)
    throw new PlumblineError('SHAPE_MISMATCH', `${where}: ${first.name} is ${first.text}, ${other.name} ${other.text}.`)
}
