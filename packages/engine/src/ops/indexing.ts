/** Ops that pick rows or numbers by index, and their transposes. Indices are int32. */
import { PlumblineError } from '@plumbline/contracts'
import { defineOp, type Op, type Tensor } from '../graph.ts'
import type { Emitter } from '../lower.ts'
import { formatShape, multiplyDims, sameShape } from '../shape.ts'
import { reshape } from './layout.ts'

/** Rows of a matrix: table [V, D], ids [...] → [..., D]. */
export const embedding: Op<[table: Tensor, ids: Tensor]> = defineOp({
  name: 'embedding',
  infer: ([table, ids]) => {
    if (table.shape.length !== 2)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `embedding: the table of ids ${formatShape(ids.shape)} is ${formatShape(table.shape)}, not a matrix.`,
      )
    return { type: table.type, shape: [...ids.shape, table.shape[1]] }
  },
  lower: (emit, names) => emit.node('Gather', names, { axis: 0 }),
  gradient: ({ inputs: [table, ids], outputGradient }) => {
    const [rows, columns] = table.shape
    const count = multiplyDims(ids.shape)
    const flatIds = reshape(ids, { shape: [count] })
    const updates = reshape(outputGradient, { shape: [count, columns] })
    return [scatterAddRows(flatIds, updates, undefined, { rows: rows as number | string })]
  },
})

/** Adds row i of updates [N, D] to row ids[i] of a matrix [rows, D]: of `base` if given, else of zeros. */
export const scatterAddRows: Op<[ids: Tensor, updates: Tensor, base?: Tensor], { rows: number | string }> = defineOp({
  name: 'scatterAddRows',
  infer: ([ids, updates, base], { rows }) => {
    if (updates.shape.length !== 2 || !sameShape(ids.shape, [updates.shape[0]]))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `scatterAddRows: ids ${formatShape(ids.shape)} do not number the rows of ${formatShape(updates.shape)}.`,
      )
    const shape = [rows, updates.shape[1]]
    if (base && !sameShape(base.shape, shape))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `scatterAddRows: the base is ${formatShape(base.shape)}, the sum ${formatShape(shape)}.`,
      )
    return { type: updates.type, shape }
  },
  lower: (emit, [ids, updates, base], { outputs }) => {
    const onto = base ?? emit.node('ConstantOfShape', [emit.shape(outputs[0].shape)])
    // Not ScatterND: on several threads ONNX Runtime's loses updates of a repeated id (see microsoft/onnxruntime#18048).
    const column = emit.node('Unsqueeze', [ids, emit.ints([1])])
    const indices = emit.node('Expand', [column, emit.node('Shape', [updates])])
    return emit.node('ScatterElements', [onto, indices, updates], { axis: 0, reduction: 'add' })
  },
  gradient: ({ inputs: [ids], outputGradient, needs }) => [
    undefined,
    needs(1) ? embedding(outputGradient, ids) : undefined,
    needs(2) ? outputGradient : undefined,
  ],
})

/** One number of the last axis each: x [..., V], ids [...] → [...]. */
export const pick: Op<[x: Tensor, ids: Tensor]> = defineOp({
  name: 'pick',
  infer: ([x, ids]) => {
    if (!sameShape(x.shape.slice(0, -1), ids.shape))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `pick: ${formatShape(ids.shape)} does not index ${formatShape(x.shape)}.`,
      )
    return { type: x.type, shape: ids.shape }
  },
  lower: (emit, [x, ids], { inputs }) => {
    const picked = emit.node('GatherElements', [x, lastAxis(emit, ids)], { axis: inputs[0].shape.length - 1 })
    return emit.node('Squeeze', [picked, emit.ints([-1])])
  },
  gradient: ({ inputs: [x, ids], outputGradient }) => [placeLast(x, ids, outputGradient)],
})

/** Position of the largest number of the last axis, the first where several are equal: x [..., V] → [...] int32. */
export const argmax: Op<[x: Tensor]> = defineOp({
  name: 'argmax',
  infer: ([x]) => {
    if (x.shape.length === 0) throw new PlumblineError('SHAPE_MISMATCH', 'argmax: a scalar has no last axis.')
    return { type: 'int32', shape: x.shape.slice(0, -1) }
  },
  lower: (emit, [x], { outputs: [{ shape }] }) => {
    const position = emit.node('ArgMax', [x], { axis: -1, keepdims: 0 })
    // Of an empty batch ONNX Runtime's ArgMax keeps the last axis (its TopK divides by zero); the reshape drops it.
    const shaped = emit.node('Reshape', [position, emit.shape(shape)], { allowzero: 1 })
    return emit.node('Cast', [shaped], { to: 6 })
  },
})

/** Zeros like x [..., V] with values [...] at ids [...]; x gives the shape alone and has no gradient. */
export const placeLast: Op<[like: Tensor, ids: Tensor, values: Tensor]> = defineOp({
  name: 'placeLast',
  infer: ([like, ids, values]) => {
    for (const { shape } of [ids, values])
      if (!sameShape(like.shape.slice(0, -1), shape))
        throw new PlumblineError(
          'SHAPE_MISMATCH',
          `placeLast: ${formatShape(shape)} does not index ${formatShape(like.shape)}.`,
        )
    return { type: like.type, shape: like.shape }
  },
  lower: (emit, [, ids, values], { inputs: [like] }) => {
    const zeros = emit.node('ConstantOfShape', [emit.shape(like.shape)])
    const attributes = { axis: like.shape.length - 1, reduction: 'add' }
    return emit.node('ScatterElements', [zeros, lastAxis(emit, ids), lastAxis(emit, values)], attributes)
  },
  gradient: ({ inputs: [, ids], outputGradient }) => [undefined, undefined, pick(outputGradient, ids)],
})

/** base [..., V] with values [...] added at ids [...]. */
export const addLast: Op<[base: Tensor, ids: Tensor, values: Tensor]> = defineOp({
  name: 'addLast',
  infer: ([base, ids, values]) => {
    for (const { shape } of [ids, values])
      if (!sameShape(base.shape.slice(0, -1), shape))
        throw new PlumblineError(
          'SHAPE_MISMATCH',
          `addLast: ${formatShape(shape)} does not index ${formatShape(base.shape)}.`,
        )
    return { type: base.type, shape: base.shape }
  },
  lower: (emit, [base, ids, values], { inputs }) => {
    const attributes = { axis: inputs[0].shape.length - 1, reduction: 'add' }
    return emit.node('ScatterElements', [base, lastAxis(emit, ids), lastAxis(emit, values)], attributes)
  },
  gradient: ({ inputs: [, ids], outputGradient, needs }) => [
    needs(0) ? outputGradient : undefined,
    undefined,
    needs(2) ? pick(outputGradient, ids) : undefined,
  ],
})

export function lastAxis(emit: Emitter, name: string): string {
  return emit.node('Unsqueeze', [name, emit.ints([-1])])
}
