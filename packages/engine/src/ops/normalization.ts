/** Softmax and the layer norms. All act on the last axis. */
import { PlumblineError } from '@plumbline/contracts'
import { defineOp, type Op, type Tensor } from '../graph.ts'
import type { Emitter } from '../lower.ts'
import { formatShape, type Shape, type TensorType } from '../shape.ts'
import { add, exp, mul, neg, scale, sub } from './elementwise.ts'
import { sum } from './layout.ts'

const overLast = { axes: [-1], keepDims: true }

/** e^x / Σ e^x. */
export const softmax: Op<[x: Tensor]> = defineOp({
  name: 'softmax',
  infer: ([x]) => ({ type: x.type, shape: x.shape }),
  lower: (emit, names) => emit.node('Softmax', names, { axis: -1 }),
  gradient: ({ outputs: [y], outputGradient: dy }) => {
    const weighted = mul(dy, y)
    return [sub(weighted, mul(y, sum(weighted, overLast)))]
  },
})

/** x − log Σ e^x. */
export const logSoftmax: Op<[x: Tensor]> = defineOp({
  name: 'logSoftmax',
  infer: ([x]) => ({ type: x.type, shape: x.shape }),
  lower: (emit, names) => emit.node('LogSoftmax', names, { axis: -1 }),
  gradient: ({ outputs: [y], outputGradient: dy }) => [sub(dy, mul(exp(y), sum(dy, overLast)))],
})

/** log Σ e^x of the last axis, [..., V] → [..., 1]: what the log-probability of a score is less than the score. */
export const logSumExp: Op<[x: Tensor]> = defineOp({
  name: 'logSumExp',
  infer: ([x]) => statistics(x),
  // Not ReduceLogSumExp: ONNX Runtime's adds up one by one, which is 2e-4 off over 49152 scores; its LogSoftmax does not,
  // and the largest score has the largest log-probability. Axes are counted from the front, as in `lowerMean`.
  lower: (emit, [x], { inputs }) => {
    const axis = inputs[0].shape.length - 1
    const largest = (name: string) => emit.node('ReduceMax', [name, emit.ints([axis])], { keepdims: 1 })
    return emit.node('Sub', [largest(x), largest(emit.node('LogSoftmax', [x], { axis }))])
  },
  gradient: ({ inputs: [x], outputGradient: dy }) => [mul(softmax(x), dy)],
})

function statistics(x: TensorType): TensorType {
  return { type: x.type, shape: x.shape.with(-1, 1) }
}

function leadingAxes(shape: Shape): number[] {
  return shape.slice(0, -1).map((_, axis) => axis)
}

function checkVectors(name: string, x: TensorType, vectors: readonly TensorType[]): void {
  for (const { shape } of vectors)
    if (shape.length !== 1 || shape[0] !== x.shape.at(-1))
      throw new PlumblineError('SHAPE_MISMATCH', `${name}: ${formatShape(shape)} does not fit ${formatShape(x.shape)}.`)
}

/** mean over the last axis, for a gradient. */
function meanLast(x: Tensor): Tensor {
  return scale(sum(x, overLast), 1 / (x.shape.at(-1) as number))
}

/** Mean over the last axis, counted from the front: given -1, ONNX Runtime 1.30 leaves an empty batch unreduced. */
function lowerMean(emit: Emitter, name: string, shape: Shape): string {
  return emit.node('ReduceMean', [name, emit.ints([shape.length - 1])], { keepdims: 1 })
}

/** w · x / √(mean x² + ε) (Zhang & Sennrich 2019). Saves 1/√(mean x² + ε). */
export const rmsNorm: Op<[x: Tensor, weight: Tensor], { epsilon: number }> = defineOp({
  name: 'rmsNorm',
  infer: ([x, weight]) => {
    checkVectors('rmsNorm', x, [weight])
    return [{ type: x.type, shape: x.shape }, statistics(x)]
  },
  lower: (emit, [x, weight], { inputs, attributes: { epsilon } }) => {
    const meanSquare = lowerMean(emit, emit.node('Mul', [x, x]), inputs[0].shape)
    const deviation = emit.node('Sqrt', [emit.node('Add', [meanSquare, emit.float(epsilon)])])
    const inverse = emit.node('Reciprocal', [deviation])
    return [emit.node('Mul', [emit.node('Mul', [x, inverse]), weight]), inverse]
  },
  fused: (emit, names, { attributes: { epsilon } }) =>
    emit.nodes('SimplifiedLayerNormalization', 2, names, { axis: -1, epsilon: { float: epsilon }, stash_type: 1 }),
  gradient: ({ inputs: [x, weight], outputs: [, inverse], outputGradient: dy, needs }) => {
    const normalized = mul(x, inverse)
    const dNormalized = mul(dy, weight)
    const dot = meanLast(mul(dNormalized, normalized))
    return [
      needs(0) ? mul(sub(dNormalized, mul(normalized, dot)), inverse) : undefined,
      needs(1) ? sum(mul(dy, normalized), { axes: leadingAxes(x.shape) }) : undefined,
    ]
  },
})

/** w · (x − mean x) / √(var x + ε) + b (Ba et al. 2016). Saves the mean and 1/√(var x + ε). */
export const layerNorm: Op<[x: Tensor, weight: Tensor, bias: Tensor], { epsilon: number }> = defineOp({
  name: 'layerNorm',
  infer: ([x, weight, bias]) => {
    checkVectors('layerNorm', x, [weight, bias])
    return [{ type: x.type, shape: x.shape }, statistics(x), statistics(x)]
  },
  lower: (emit, [x, weight, bias], { inputs, attributes: { epsilon } }) => {
    const mean = lowerMean(emit, x, inputs[0].shape)
    const centred = emit.node('Sub', [x, mean])
    const variance = lowerMean(emit, emit.node('Mul', [centred, centred]), inputs[0].shape)
    const inverse = emit.node('Reciprocal', [emit.node('Sqrt', [emit.node('Add', [variance, emit.float(epsilon)])])])
    const scaled = emit.node('Mul', [emit.node('Mul', [centred, inverse]), weight])
    return [emit.node('Add', [scaled, bias]), mean, inverse]
  },
  fused: (emit, names, { attributes: { epsilon } }) =>
    emit.nodes('LayerNormalization', 3, names, { axis: -1, epsilon: { float: epsilon } }),
  gradient: ({ inputs: [x, weight], outputs: [, mean, inverse], outputGradient: dy, needs }) => {
    const normalized = mul(sub(x, mean), inverse)
    const dNormalized = mul(dy, weight)
    const centred = add(neg(meanLast(dNormalized)), dNormalized)
    const dx = () => mul(sub(centred, mul(normalized, meanLast(mul(dNormalized, normalized)))), inverse)
    const axes = leadingAxes(x.shape)
    return [
      needs(0) ? dx() : undefined,
      needs(1) ? sum(mul(dy, normalized), { axes }) : undefined,
      needs(2) ? sum(dy, { axes }) : undefined,
    ]
  },
})
