/**
 * Between sequences side by side without padding [N, D] and as a padded batch [B, T, D]. `slots` [B, T] int32 says which
 * row of N stands where, −1 for padding; `rows` [N] int32 says where each row stands in the flattened batch. The two
 * describe one placement; the gradients of `padRows` and `unpadRows` are each other.
 */
import { PlumblineError } from '@plumbline/contracts'
import { defineOp, type Op, type Tensor } from '../graph.ts'
import type { Emitter } from '../lower.ts'
import { formatShape, multiplyDims, sameShape } from '../shape.ts'
import { add } from './elementwise.ts'
import { embedding } from './indexing.ts'
import { reshape } from './layout.ts'
import { matmul } from './matmul.ts'

/** x [N, D] → [B, T, D], zeros where there is padding. */
export const padRows: Op<[x: Tensor, slots: Tensor, rows: Tensor]> = defineOp({
  name: 'padRows',
  infer: ([x, slots, rows]) => {
    if (x.shape.length !== 2 || slots.shape.length !== 2 || rows.shape[0] !== x.shape[0])
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `padRows: ${formatShape(x.shape)} with slots ${formatShape(slots.shape)} and rows ${formatShape(rows.shape)}.`,
      )
    return { type: x.type, shape: [...slots.shape, x.shape[1]] }
  },
  lower: (emit, [x, slots], { inputs }) =>
    emit.node('Gather', [withZeroRow(emit, x, inputs[0].shape[1]), slotAfterZero(emit, slots)], { axis: 0 }),
  gradient: ({ inputs: [, slots, rows], outputGradient }) => [unpadRows(outputGradient, rows, slots)],
})

/**
 * The same where a row may stand in several places, as a prefix that sequences share does: `rows` has its first place,
 * `copies` [C] int32 the others. `copied` [P] int32 are the rows that have some, `copiedAt` [1, N] int32 says for each
 * row which of these it is, or −1, and `isCopy` [P, C] is 1 where a place is theirs and 0 elsewhere. Its gradient is the
 * sum over all places, as a product with `isCopy`: ONNX Runtime scatters with addition one number at a time.
 */
export const spreadRows: Op<
  [x: Tensor, slots: Tensor, rows: Tensor, copies: Tensor, copied: Tensor, copiedAt: Tensor, isCopy: Tensor]
> = defineOp({
  name: 'spreadRows',
  infer: ([x, slots, rows, copies, copied, copiedAt, isCopy]) => {
    const fits =
      sameShape(isCopy.shape, [...copied.shape, ...copies.shape]) && sameShape(copiedAt.shape, [1, ...rows.shape])
    if (!fits)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `spreadRows: copies ${formatShape(copies.shape)} of rows ${formatShape(copied.shape)} with copiedAt ${formatShape(copiedAt.shape)} and isCopy ${formatShape(isCopy.shape)}.`,
      )
    return padRows.definition.infer([x, slots, rows], {})
  },
  lower: (emit, [x, slots, rows], context) => padRows.definition.lower(emit, [x, slots, rows], context),
  gradient: ({ inputs: [x, slots, rows, copies, copied, copiedAt, isCopy], outputGradient }) => {
    const places = reshape(outputGradient, { shape: [multiplyDims(slots.shape), x.shape[1]] })
    const first = unpadRows(outputGradient, rows, slots)
    const others = padRows(matmul(isCopy, embedding(places, copies)), copiedAt, copied) // [1, N, D]
    return [add(first, reshape(others, { shape: x.shape }))]
  },
})

/** Row 0 of zeros before the others: what slot −1 finds. */
function withZeroRow(emit: Emitter, x: string, width: number | string): string {
  const zeros = emit.node('ConstantOfShape', [emit.shape([1, width])])
  return emit.node('Concat', [zeros, x], { axis: 0 })
}

function slotAfterZero(emit: Emitter, slots: string): string {
  return emit.node('Add', [emit.node('Cast', [slots], { to: 7 }), emit.int(1)])
}

/** x [B, T, D] → [N, D]: the rows that are no padding. */
export const unpadRows: Op<[x: Tensor, rows: Tensor, slots: Tensor]> = defineOp({
  name: 'unpadRows',
  infer: ([x, rows, slots]) => {
    if (x.shape.length !== 3 || slots.shape.some((dim, axis) => dim !== x.shape[axis]))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `unpadRows: ${formatShape(x.shape)} with slots ${formatShape(slots.shape)}.`,
      )
    return { type: x.type, shape: [rows.shape[0], x.shape[2]] }
  },
  lower: (emit, [x, rows], { inputs }) => {
    const flat = emit.node('Reshape', [x, emit.shape([multiplyDims(inputs[0].shape.slice(0, 2)), inputs[0].shape[2]])])
    return emit.node('Gather', [flat, rows], { axis: 0 })
  },
  gradient: ({ inputs: [, rows, slots], outputGradient }) => [padRows(outputGradient, slots, rows)],
})
