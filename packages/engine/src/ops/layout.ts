/** Ops that move or repeat numbers, and their transposes. */
import { PlumblineError } from '@plumbline/contracts'
import { defineOp, type Op, type Tensor } from '../graph.ts'
import { type Dim, formatShape, multiplyDims, normalizeAxis, type Shape, sameShape } from '../shape.ts'

function fail(message: string): never {
  throw new PlumblineError('SHAPE_MISMATCH', message)
}

/** Same numbers in another shape. */
export const reshape: Op<[x: Tensor], { shape: Shape }> = defineOp({
  name: 'reshape',
  infer: ([x], { shape }) => {
    const before = multiplyDims(x.shape)
    const after = multiplyDims(shape)
    if (before !== after)
      fail(`reshape: ${formatShape(x.shape)} does not hold as many numbers as ${formatShape(shape)}.`)
    return { type: x.type, shape: shape.map((dim) => multiplyDims([dim])) }
  },
  lower: (emit, [x], { inputs, outputs }) => {
    const target = constantTarget(inputs[0].shape, outputs[0].shape)
    if (target) return emit.node('Reshape', [x, emit.ints(target)])
    return emit.node('Reshape', [x, emit.shape(outputs[0].shape)], { allowzero: 1 })
  },
  gradient: ({ inputs, outputGradient }) => [reshape(outputGradient, { shape: inputs[0].shape })],
})

/** ONNX's constant form (0 copies the axis, one -1 is inferred) where it can say it; else sizes are read at run time. */
function constantTarget(from: Shape, to: Shape): number[] | undefined {
  if (to.includes(0)) return undefined
  const target = to.map((dim, axis) => (typeof dim === 'number' ? dim : dim === from[axis] ? 0 : -1))
  const inferred = target.filter((size) => size === -1).length
  // Beside a copied axis ONNX Runtime cannot infer one: it divides by the batch, which may be 0.
  return inferred === 0 || (inferred === 1 && !target.includes(0)) ? target : undefined
}

/** Permutes the axes. */
export const transpose: Op<[x: Tensor], { permutation: readonly number[] }> = defineOp({
  name: 'transpose',
  infer: ([x], { permutation }) => {
    const isPermutation = permutation.toSorted((a, b) => a - b).every((axis, i) => axis === i)
    if (!isPermutation || permutation.length !== x.shape.length)
      fail(`transpose: [${permutation}] is no permutation of the axes of ${formatShape(x.shape)}.`)
    return { type: x.type, shape: permutation.map((axis) => x.shape[axis]) }
  },
  lower: (emit, [x], { attributes }) => emit.node('Transpose', [x], { perm: attributes.permutation }),
  gradient: ({ attributes: { permutation }, outputGradient }) => [
    transpose(outputGradient, { permutation: permutation.map((_, axis) => permutation.indexOf(axis)) }),
  ],
})

/** Repeats along axes of size 1 and along new leading axes, as broadcasting would. */
export const expand: Op<[x: Tensor], { shape: Shape }> = defineOp({
  name: 'expand',
  infer: ([x], { shape }) => {
    const canonical = shape.map((dim) => multiplyDims([dim]))
    const lead = shape.length - x.shape.length
    if (lead < 0 || x.shape.some((dim, axis) => dim !== 1 && dim !== canonical[axis + lead]))
      fail(`expand: ${formatShape(x.shape)} does not broadcast to ${formatShape(shape)}.`)
    return { type: x.type, shape: canonical }
  },
  lower: (emit, [x], { outputs }) => emit.node('Expand', [x, emit.shape(outputs[0].shape)]),
  gradient: ({ inputs, outputGradient }) => [sumTo(outputGradient, inputs[0].shape)],
})

export interface ReduceAttributes {
  readonly axes?: readonly number[]
  readonly keepDims?: boolean
}

/** The shape with the axes reduced, and kept as 1, beside the axes themselves. */
function reducedShape(shape: Shape, { axes, keepDims = false }: ReduceAttributes) {
  const reduced = axes ? axes.map((axis) => normalizeAxis(axis, shape.length)) : shape.map((_, axis) => axis)
  const kept = shape.map((dim, axis): Dim => (reduced.includes(axis) ? 1 : dim))
  const result = keepDims ? kept : shape.filter((_, axis) => !reduced.includes(axis))
  return { axes: reduced, kept, result }
}

/** Sum over axes; over all of them by default. */
export const sum: Op<[x: Tensor], ReduceAttributes> = defineOp({
  name: 'sum',
  infer: ([x], attributes) => ({ type: x.type, shape: reducedShape(x.shape, attributes).result }),
  lower: (emit, [x], { inputs, attributes }) => {
    const { axes } = reducedShape(inputs[0].shape, attributes)
    if (axes.length === 0) return emit.node('Identity', [x])
    return emit.node('ReduceSum', [x, emit.ints(axes)], { keepdims: attributes.keepDims ? 1 : 0 })
  },
  gradient: ({ inputs: [x], attributes, outputGradient }) => {
    const { kept } = reducedShape(x.shape, attributes)
    return [expand(reshape(outputGradient, { shape: kept }), { shape: x.shape })]
  },
})

/** Sums away what broadcasting from `shape` added. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x
  const lead = x.shape.length - shape.length
  const axes = x.shape.flatMap((dim, axis) => (axis < lead || (shape[axis - lead] === 1 && dim !== 1) ? [axis] : []))
  return reshape(sum(x, { axes, keepDims: true }), { shape })
}

/** The part [start, end) of an axis of known size; negative positions count from its end. */
export const slice: Op<[x: Tensor], { axis: number; start: number; end: number }> = defineOp({
  name: 'slice',
  infer: ([x], attributes) => {
    const { axis, start, end } = sliceRange(x.shape, attributes)
    return { type: x.type, shape: x.shape.with(axis, end - start) }
  },
  lower: (emit, [x], { inputs, attributes }) => {
    const { axis, start, end } = sliceRange(inputs[0].shape, attributes)
    return emit.node('Slice', [x, emit.ints([start]), emit.ints([end]), emit.ints([axis])])
  },
  gradient: ({ inputs: [x], attributes, outputGradient }) => {
    const { axis, start, end, size } = sliceRange(x.shape, attributes)
    return [pad(outputGradient, { axis, before: start, after: size - end })]
  },
})

function sliceRange(shape: Shape, { axis: anyAxis, start, end }: { axis: number; start: number; end: number }) {
  const axis = normalizeAxis(anyAxis, shape.length)
  const size = shape[axis]
  if (typeof size !== 'number') fail(`slice: axis ${axis} of ${formatShape(shape)} has no fixed size.`)
  const range = { axis, size, start: start < 0 ? start + size : start, end: end < 0 ? end + size : end }
  if (range.start < 0 || range.end > size || range.start > range.end)
    fail(`slice: [${start}, ${end}) is outside axis ${axis} of ${formatShape(shape)}.`)
  return range
}

/** Zeros before and after along one axis. */
export const pad: Op<[x: Tensor], { axis: number; before: number; after: number }> = defineOp({
  name: 'pad',
  infer: ([x], { axis: anyAxis, before, after }) => {
    const axis = normalizeAxis(anyAxis, x.shape.length)
    const size = x.shape[axis]
    if (before < 0 || after < 0) fail(`pad: ${before} before and ${after} after ${formatShape(x.shape)}.`)
    if (typeof size !== 'number') fail(`pad: axis ${axis} of ${formatShape(x.shape)} has no fixed size.`)
    return { type: x.type, shape: x.shape.with(axis, size + before + after) }
  },
  lower: (emit, [x], { attributes: { axis, before, after } }) =>
    emit.node('Pad', [x, emit.ints([before, after]), emit.float(0), emit.ints([axis])]),
  gradient: ({ attributes: { axis, before, after }, outputs, outputGradient }) => {
    const size = outputs[0].shape.at(axis) as number
    return [slice(outputGradient, { axis, start: before, end: size - after })]
  },
})

/** Two tensors joined along an axis of known size. */
export const concat: Op<[a: Tensor, b: Tensor], { axis: number }> = defineOp({
  name: 'concat',
  infer: ([a, b], attributes) => {
    const axis = normalizeAxis(attributes.axis, a.shape.length)
    const [x, y] = [a.shape[axis], b.shape[axis]]
    if (typeof x !== 'number' || typeof y !== 'number' || !sameShape(a.shape.with(axis, 0), b.shape.with(axis, 0)))
      fail(`concat: ${formatShape(a.shape)} and ${formatShape(b.shape)} do not join along axis ${axis}.`)
    return { type: a.type, shape: a.shape.with(axis, x + y) }
  },
  lower: (emit, names, { attributes }) => emit.node('Concat', names, { axis: attributes.axis }),
  gradient: ({ inputs: [a, b], attributes, outputGradient }) => {
    const axis = normalizeAxis(attributes.axis, a.shape.length)
    const [x, y] = [a.shape[axis] as number, b.shape[axis] as number]
    return [slice(outputGradient, { axis, start: 0, end: x }), slice(outputGradient, { axis, start: x, end: x + y })]
  },
})
