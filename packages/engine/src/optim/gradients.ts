import { PlumblineError } from '@plumbline/contracts'
import type { ComputePool } from './compute-pool.ts'
import type { SharedFloats } from './kernels.ts'

/** Gradients by parameter name. */
export type GradientMap = ReadonlyMap<string, SharedFloats>

/** Sets every gradient to 0. */
export function zeroGradients(gradients: GradientMap, pool: ComputePool): void {
  pool.run('zero', items(gradients))
}

/** Multiplies every gradient by `factor`. */
export function scaleGradients(gradients: GradientMap, factor: number, pool: ComputePool): void {
  pool.run('scale', items(gradients, [factor]))
}

/**
 * into += scale · from, for every gradient in `from`: the sum over micro-batches. Throws `SHAPE_MISMATCH` before
 * anything is written when `into` lacks one or has it in another size.
 */
export function addGradients(
  into: GradientMap,
  from: GradientMap,
  pool: ComputePool,
  { scale = 1 }: { scale?: number } = {},
): void {
  const pairs = [...from].map(([name, gradient]) => {
    const sum = into.get(name)
    if (sum?.length !== gradient.length) {
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `Adding gradients: ${name} has ${gradient.length} elements, its sum ${sum ? `has ${sum.length}` : 'is missing'}.`,
        { hint: 'Make both maps from the same parameters.' },
      )
    }
    return { operands: [sum, gradient], scalars: [scale] }
  })
  pool.run('addScaled', pairs)
}

/**
 * √ Σ g² over all gradients, summed in float64 in a fixed order. NaN or infinite when a gradient is: the caller
 * decides what to do with such a batch.
 */
export function globalNorm(gradients: GradientMap, pool: ComputePool): number {
  return Math.sqrt(pool.run('sumSquares', items(gradients)).partialSums.reduce((sum, part) => sum + part, 0))
}

/**
 * torch.nn.utils.clip_grad_norm_ without touching the gradients: hand `scale` = min(1, maxNorm / (norm + 1e-6)) to
 * the optimizer's step as `gradientScale`. When the norm is not finite `scale` is NaN, which the step refuses.
 */
export function clipByGlobalNorm(
  gradients: GradientMap,
  pool: ComputePool,
  maxNorm: number,
): { norm: number; scale: number } {
  if (!(maxNorm > 0)) {
    throw new PlumblineError('BAD_VALUE', `Clipping gradients: the largest norm allowed is ${maxNorm}.`, {
      hint: 'Give a number above 0, such as 1.0.',
    })
  }
  const norm = globalNorm(gradients, pool)
  const scale = Math.min(1, maxNorm / (norm + 1e-6))
  return { norm, scale: Number.isFinite(norm) ? scale : Number.NaN }
}

function items(gradients: GradientMap, scalars: readonly number[] = []) {
  return [...gradients.values()].map((gradient) => ({ operands: [gradient], scalars }))
}
