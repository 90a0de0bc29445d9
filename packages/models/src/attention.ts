import {
  add,
  cachedAttention,
  type Dim,
  greater,
  logSumExp,
  matmul,
  mul,
  multiplyDims,
  reshape,
  rmsNorm,
  rope,
  scale,
  sigmoid,
  slice,
  softmax,
  spreadRows,
  sub,
  type Tensor,
  transpose,
  unpadRows,
} from '@plumbline/engine'
import type { ModelGraph } from './model-graph.ts'

/** What a family says about one attention layer. */
export interface AttentionLayer {
  readonly index: number
  readonly heads: number
  readonly keyValueHeads: number
  readonly headSize: number
  readonly hiddenSize: number
  readonly hasBias: boolean
  /** Modules of the projections: three, or one that gives q, k and v side by side (GPT-2, weights [in, out]). */
  readonly projections: readonly [query: string, key: string, value: string] | readonly [packed: string]
  /** RMS norms of each query and key head (Qwen3): names of their weights. */
  readonly headNorms?: { readonly query: string; readonly key: string; readonly epsilon: number }
}

/** Computes z [B, T, heads · headSize] from the normed residual stream x [B, T, hiddenSize]. */
export type Attend = (model: ModelGraph, x: Tensor, layer: AttentionLayer) => Tensor

/** Rotation tables, [positions, headSize / 2]. */
export interface RopeInputs {
  readonly cos: Tensor
  readonly sin: Tensor
}

/** Added to the score of a token that may not be looked at. Finite: a row with nothing to see stays a number. */
export const MASKED = -1e9

const swapTimeAndHeads = { permutation: [0, 2, 1, 3] }

/**
 * Where the tokens of sequences without padding stand in a padded batch; see the engine's `spreadRows`. A token of a
 * shared prefix stands in every sequence that begins with it. What attention gives it is read where it stands first:
 * the others see the same past, so they would say the same.
 */
export interface RaggedInputs {
  /** [B, T] */
  readonly slots: Tensor
  /** [B, T]: the same, −1 where a copy stands. */
  readonly firstSlots: Tensor
  /** [N] */
  readonly rows: Tensor
  /** [C] */
  readonly copies: Tensor
  /** [P] */
  readonly copied: Tensor
  /** [1, N] */
  readonly copiedAt: Tensor
  /** [P, C] */
  readonly isCopy: Tensor
}

const spread = (x: Tensor, { slots, rows, copies, copied, copiedAt, isCopy }: RaggedInputs) =>
  spreadRows(x, slots, rows, copies, copied, copiedAt, isCopy)

export interface FullAttentionInputs {
  /** [B, T] */
  readonly positions: Tensor
  /** [B, 1, T, T]: 0 where a token may look, a large negative number where it may not. */
  readonly attentionBias: Tensor
  readonly tables?: RopeInputs
  /** Given, x is [N, hiddenSize] and so is the answer: only attention itself sees padding. */
  readonly ragged?: RaggedInputs
}

/**
 * Attention over whole sequences, differentiable and with every activation named. Since the mask is fed, causal,
 * padded, packed and prefix-sharing batches are all one program.
 */
export function fullAttention({ positions, attentionBias, tables, ragged }: FullAttentionInputs): Attend {
  return (model, x, layer) => {
    const { heads, keyValueHeads, headSize } = layer
    const [batch, time] = positions.shape
    const hook = (name: string, tensor: Tensor) => model.hook(`blocks.${layer.index}.attn.${name}`, tensor)
    const padded = (x: Tensor) => (ragged ? spread(x, ragged) : x)
    const [query, key, value] = projectHeads(model, x, layer, hook, padded)
    const rotate = (head: Tensor, name: string) => {
      const ordered = transpose(head, swapTimeAndHeads)
      if (!tables) return ordered
      const turned = rope(ordered, tables.cos, tables.sin, positions)
      hook(name, transpose(turned, swapTimeAndHeads))
      return turned
    }
    // The query heads that share a key head become one taller matrix: no copies of keys and values.
    const tall = multiplyDims([heads / keyValueHeads, time])
    const queries = reshape(rotate(query, 'hook_rot_q'), { shape: [batch, keyValueHeads, tall, headSize] })
    const keys = rotate(key, 'hook_rot_k') // [B, K, T, D]
    const values = transpose(value, swapTimeAndHeads) // [B, K, T, D]
    const products = matmul(queries, keys, { transposeB: true, alpha: 1 / Math.sqrt(headSize) })
    const byHead = reshape(products, { shape: [batch, heads, time, time] })
    const scores = hook('hook_attn_scores', add(byHead, attentionBias))
    const pattern = hook('hook_pattern', softmax(scores)) // [B, H, T, T]
    const mixed = matmul(reshape(pattern, { shape: [batch, keyValueHeads, tall, time] }), values)
    const z = transpose(reshape(mixed, { shape: [batch, heads, time, headSize] }), swapTimeAndHeads)
    const joined = reshape(hook('hook_z', z), { shape: [batch, time, heads * headSize] })
    return ragged ? unpadRows(joined, ragged.rows, ragged.firstSlots) : joined
  }
}

/** Queries, keys and values by head: [B, T, H, D], [B, T, K, D], [B, T, K, D]. */
function projectHeads(
  model: ModelGraph,
  x: Tensor,
  layer: AttentionLayer,
  hook: (name: string, tensor: Tensor) => Tensor = (_name, tensor) => tensor,
  padded: (rows: Tensor) => Tensor = (rows) => rows,
): [Tensor, Tensor, Tensor] {
  const { heads, keyValueHeads, headSize, headNorms } = layer
  const byHead = (tensor: Tensor, count: number) => {
    const batch = padded(tensor)
    return reshape(batch, { shape: [...batch.shape.slice(0, 2), count, headSize] })
  }
  const [q, k, v] = project(model, x, layer)
  const query = hook('hook_q', byHead(q, heads))
  const key = hook('hook_k', byHead(k, keyValueHeads))
  const value = hook('hook_v', byHead(v, keyValueHeads))
  if (!headNorms) return [query, key, value]
  const { epsilon } = headNorms
  const norm = (tensor: Tensor, weight: string) => rmsNorm(tensor, model.parameter(weight, [headSize]), { epsilon })
  return [norm(query, headNorms.query), norm(key, headNorms.key), value]
}

function project(model: ModelGraph, x: Tensor, layer: AttentionLayer): [Tensor, Tensor, Tensor] {
  const { heads, keyValueHeads, headSize, hiddenSize: inFeatures, hasBias, projections } = layer
  const widths = [heads * headSize, keyValueHeads * headSize, keyValueHeads * headSize]
  if (projections.length === 3) {
    const [q, k, v] = projections.map((module, i) =>
      model.linear(x, module, { inFeatures, outFeatures: widths[i], hasBias }),
    )
    return [q, k, v]
  }
  const outFeatures = widths[0] + widths[1] + widths[2]
  const packed = model.linear(x, projections[0], { inFeatures, outFeatures, hasBias, isTransposed: true })
  const part = (start: number, width: number) => slice(packed, { axis: -1, start, end: start + width })
  return [part(0, widths[0]), part(widths[0], widths[1]), part(widths[0] + widths[1], widths[2])]
}

export interface CachedAttentionState {
  /** [B, T] */
  readonly positions: Tensor
  /** [B] int32: how many tokens the cache holds of each sequence before this call. */
  readonly starts: Tensor
  /** [B] int32: index of each sequence's last token after this call. */
  readonly lastPositions: Tensor
  /** [1] int32: the longest length after this call. */
  readonly totalLength: Tensor
  /** [S] int32: 0, 1, 2, … */
  readonly cacheIndices: Tensor
  readonly tables?: RopeInputs
  /**
   * Called with the keys and values that each layer adds to its cache, [B, K, T, D], which become outputs. Not the whole
   * cache, which would be written anew in every step.
   */
  readonly onCache: (layer: number, keys: Tensor, values: Tensor) => void
}

/** Names of a layer's cache as inputs of a generation program, [B, K, S, D] each. */
export const cacheNames = (layer: number) => ({ keys: `cache.${layer}.keys`, values: `cache.${layer}.values` })

/** ONNX Runtime's fused attention wants whole vectors of 16. */
const FUSED_HEAD_MULTIPLE = 16

/** Causal attention for generation, over a key-value cache; no gradients. */
export function attentionWithCache(state: CachedAttentionState, lowering: 'plain' | 'fused'): Attend {
  return (model, x, layer) => {
    const names = cacheNames(layer.index)
    const shape = ['B', layer.keyValueHeads, 'S', layer.headSize]
    const past = {
      keys: model.graph.input(names.keys, 'float32', shape),
      values: model.graph.input(names.values, 'float32', shape),
    }
    const isFused = lowering === 'fused' && layer.headSize % FUSED_HEAD_MULTIPLE === 0
    const { output, keys, values } = (isFused ? fusedWithCache : plainWithCache)(model, x, layer, state, past)
    state.onCache(layer.index, keys, values)
    return output
  }
}

interface Cache {
  readonly keys: Tensor
  readonly values: Tensor
}

function fusedWithCache(model: ModelGraph, x: Tensor, layer: AttentionLayer, state: CachedAttentionState, past: Cache) {
  const { heads, keyValueHeads, headSize } = layer
  const { positions, lastPositions, totalLength, tables } = state
  const projected = packedOrSeparate(model, x, layer)
  const { output } = cachedAttention(
    { ...projected, pastKeys: past.keys, pastValues: past.values, lastPositions, totalLength, ...tables },
    { heads, keyValueHeads, scale: 1 / Math.sqrt(headSize) },
  )
  const [, key, value] = byHeads(projected, layer).map((part) => transpose(part, swapTimeAndHeads))
  // The fused op rotates its own copy of the keys and keeps it to itself.
  const keys = tables ? rope(key, tables.cos, tables.sin, positions) : key
  return { output, keys, values: value }
}

/**
 * Looks at the cache where it lies and at the new entries beside it. The fused op copies the caches of all sequences in
 * every step, which takes several times as long as their attention.
 */
function plainWithCache(model: ModelGraph, x: Tensor, layer: AttentionLayer, state: CachedAttentionState, past: Cache) {
  const { heads, keyValueHeads, headSize } = layer
  const { positions, starts, cacheIndices, tables } = state
  const [batch, time] = x.shape
  const byHead = (tensor: Tensor) => transpose(tensor, swapTimeAndHeads)
  const rotate = (tensor: Tensor) => (tables ? rope(byHead(tensor), tables.cos, tables.sin, positions) : byHead(tensor))
  const [query, key, value] = byHeads(packedOrSeparate(model, x, layer), layer)
  const entries = { keys: rotate(key), values: byHead(value) } // [B, K, T, D]
  const tall = multiplyDims([heads / keyValueHeads, time])
  const queries = reshape(rotate(query), { shape: [batch, keyValueHeads, tall, headSize] })
  const attendTo = (keys: Tensor, values: Tensor, bias: Tensor, length: Dim) => {
    const products = matmul(queries, keys, { transposeB: true, alpha: 1 / Math.sqrt(headSize) })
    const scores = add(reshape(products, { shape: [batch, heads, time, length] }), bias)
    const pattern = reshape(softmax(scores), { shape: [batch, keyValueHeads, tall, length] })
    const mixed = reshape(matmul(pattern, values), { shape: [batch, heads, time, headSize] })
    return { mixed, mass: reshape(logSumExp(scores), { shape: [batch, heads, time, 1] }) }
  }
  // What a slot holds from the first new position on is of another sequence.
  const isHeld = greater(reshape(starts, { shape: [batch, 1, 1, 1] }), cacheIndices) // [B, 1, 1, S]
  const unlessHeld = add(scale(isHeld, -MASKED), model.graph.constant(MASKED))
  const [asQuery, asKey] = [
    [batch, 1, time, 1],
    [batch, 1, 1, time],
  ].map((shape) => reshape(positions, { shape }))
  const held = attendTo(past.keys, past.values, unlessHeld, 'S')
  const added = attendTo(entries.keys, entries.values, scale(greater(asKey, asQuery), MASKED), time)
  // The two softmaxes as one: each counts by its share of Σ e^score.
  const share = sigmoid(sub(held.mass, added.mass))
  const output = add(added.mixed, mul(share, sub(held.mixed, added.mixed)))
  return { output: reshape(byHead(output), { shape: [batch, time, heads * headSize] }), ...entries }
}

/** Queries, keys and values by head: [B, T, H, D], [B, T, K, D], [B, T, K, D]. */
function byHeads({ query, key, value }: Projected, { heads, keyValueHeads, headSize }: AttentionLayer): Tensor[] {
  const split = (tensor: Tensor, count: number) =>
    reshape(tensor, { shape: [...tensor.shape.slice(0, 2), count, headSize] })
  if (key) return [split(query, heads), split(key, keyValueHeads), split(value, keyValueHeads)]
  const part = (start: number, count: number) =>
    split(slice(query, { axis: 2, start: start * headSize, end: (start + count) * headSize }), count)
  return [part(0, heads), part(heads, keyValueHeads), part(heads + keyValueHeads, keyValueHeads)]
}

/** [B, T, heads · headSize] each, or all side by side in `query`. */
type Projected = { query: Tensor; key?: undefined; value?: undefined } | { query: Tensor; key: Tensor; value: Tensor }

/** One product for q, k and v where nothing stands between it and the attention. */
function packedOrSeparate(model: ModelGraph, x: Tensor, layer: AttentionLayer): Projected {
  const { heads, keyValueHeads, headSize, hiddenSize: inFeatures, hasBias, projections, headNorms } = layer
  const widths = [heads * headSize, keyValueHeads * headSize, keyValueHeads * headSize]
  if (projections.length === 1) {
    const outFeatures = widths[0] + widths[1] + widths[2]
    return { query: model.linear(x, projections[0], { inFeatures, outFeatures, hasBias, isTransposed: true }) }
  }
  if (!headNorms) return { query: model.joinedLinear(x, projections, { inFeatures, outFeatures: widths, hasBias }) }
  const [batch, time] = x.shape
  const [query, key, value] = projectHeads(model, x, layer)
  const flat = (tensor: Tensor, width: number) => reshape(tensor, { shape: [batch, time, width] })
  return { query: flat(query, widths[0]), key: flat(key, widths[1]), value: flat(value, widths[2]) }
}
