/** Rotary positions and attention. */
import { PlumblineError } from '@plumbline/contracts'
import { apply, defineOp, type Op, type OpDefinition, type Tensor } from '../graph.ts'
import { formatShape, sameShape } from '../shape.ts'
import { neg } from './elementwise.ts'

/**
 * Rotary position embedding (Su et al. 2021), in the halves convention of Hugging Face.
 * x [B, H, T, D], cos and sin [S, D/2], positions [B, T] → [B, H, T, D]. Gradients by x alone.
 */
export const rope: Op<[x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor]> = defineOp({
  name: 'rope',
  infer: ([x, cos, sin, positions]) => {
    const [batch, , time, size] = x.shape
    const hasTables = sameShape(cos.shape, [cos.shape[0], (size as number) / 2]) && sameShape(sin.shape, cos.shape)
    if (x.shape.length !== 4 || !hasTables || !sameShape(positions.shape, [batch, time])) {
      const given = [cos, sin, positions].map(({ shape }) => formatShape(shape)).join(', ')
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `rope: ${formatShape(x.shape)} with cos, sin and positions ${given}; wanted [B, H, T, D] with [S, D/2] twice and [B, T].`,
      )
    }
    return { type: x.type, shape: x.shape }
  },
  lower: (emit, [x, cos, sin, positions], { inputs }) => {
    const size = inputs[0].shape[3] as number
    const table = (name: string) =>
      emit.node('Unsqueeze', [emit.node('Gather', [name, positions], { axis: 0 }), emit.ints([1])])
    const [c, s] = [table(cos), table(sin)] // [B, 1, T, D/2]
    const half = (start: number, end: number) =>
      emit.node('Slice', [x, emit.ints([start]), emit.ints([end]), emit.ints([3])])
    const [a, b] = [half(0, size / 2), half(size / 2, size)]
    const first = emit.node('Sub', [emit.node('Mul', [a, c]), emit.node('Mul', [b, s])])
    const second = emit.node('Add', [emit.node('Mul', [b, c]), emit.node('Mul', [a, s])])
    return emit.node('Concat', [first, second], { axis: 3 })
  },
  fused: (emit, [x, cos, sin, positions]) =>
    emit.node('RotaryEmbedding', [x, emit.node('Cast', [positions], { to: 7 }), cos, sin]),
  // A rotation's transpose turns the other way.
  gradient: ({ inputs: [, cos, sin, positions], outputGradient }) => [rope(outputGradient, cos, neg(sin), positions)],
})

export interface CachedAttentionInputs {
  /** [B, T, heads·D]; or q, k and v side by side, [B, T, (heads + 2·keyValueHeads)·D], without `key` and `value`. */
  readonly query: Tensor
  /** [B, T, keyValueHeads·D]. */
  readonly key?: Tensor
  readonly value?: Tensor
  /** [B, keyValueHeads, S, D]; updated in place when the program is given one buffer for past and present. */
  readonly pastKeys: Tensor
  readonly pastValues: Tensor
  /** [B] int32: index of the last token, per sequence, after this call. */
  readonly lastPositions: Tensor
  /** [1] int32: the longest length after this call, at most S. */
  readonly totalLength: Tensor
  /** [S, D/2]: q and k are rotated by these, if given. */
  readonly cos?: Tensor
  readonly sin?: Tensor
}

interface CachedAttentionAttributes {
  readonly heads: number
  readonly keyValueHeads: number
  readonly scale: number
  readonly isPacked: boolean
  readonly isRotary: boolean
}

const cachedAttentionDefinition: OpDefinition<CachedAttentionAttributes> = {
  name: 'cachedAttention',
  infer: (inputs, { heads, keyValueHeads, isPacked }) => {
    const [query] = inputs
    const [pastKeys, pastValues] = inputs.slice(isPacked ? 1 : 3)
    const size = pastKeys.shape[3] as number
    const expected = (isPacked ? heads + 2 * keyValueHeads : heads) * size
    if (query.shape[2] !== expected)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `cachedAttention: ${formatShape(query.shape)} with a cache ${formatShape(pastKeys.shape)}: the width should be ${expected}.`,
      )
    const output = { type: query.type, shape: [...query.shape.slice(0, 2), heads * size] }
    return [output, { type: pastKeys.type, shape: pastKeys.shape }, { type: pastValues.type, shape: pastValues.shape }]
  },
  lower: (emit, names, { attributes: { heads, keyValueHeads, scale, isPacked, isRotary } }) => {
    const [query, ...rest] = names
    return emit.nodes('GroupQueryAttention', 3, isPacked ? [query, '', '', ...rest] : names, {
      num_heads: heads,
      kv_num_heads: keyValueHeads,
      scale: { float: scale },
      do_rotary: isRotary ? 1 : 0,
    })
  },
}

function callCachedAttention(
  inputs: CachedAttentionInputs,
  attributes: { readonly heads: number; readonly keyValueHeads: number; readonly scale: number },
) {
  const { query, key, value, pastKeys, pastValues, lastPositions, totalLength, cos, sin } = inputs
  const tensors = [query, key, value, pastKeys, pastValues, lastPositions, totalLength, cos, sin].filter(
    (t) => t !== undefined,
  )
  const [output, presentKeys, presentValues] = apply(cachedAttentionDefinition, tensors, {
    ...attributes,
    isPacked: key === undefined,
    isRotary: cos !== undefined,
  })
  return { output, presentKeys, presentValues }
}

/**
 * Causal attention with grouped queries over a key-value cache; inference only: gradients stop here. T > 1 goes with an empty
 * cache (lastPositions = T − 1) or a batch of one: ONNX Runtime has no more. Rotation wants head sizes that 16 divides.
 */
export const cachedAttention = Object.assign(callCachedAttention, { definition: cachedAttentionDefinition })
