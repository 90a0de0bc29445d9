import { div, mul, type Tensor } from '@plumbline/engine'
import type { ModelGraph } from './model-graph.ts'

/**
 * TransformerLens' `hook_scale` [B, T, 1] and `hook_normalized` of a norm layer: for RMSNorm x / scale, before the
 * weights; for LayerNorm the layer's output.
 */
export function hookNorm(model: ModelGraph, name: string, x: Tensor, normed: Tensor): void {
  const saved = normed.producer!.outputs
  const isRms = saved.length === 2
  const inverse = saved[saved.length - 1]
  model.hook(`${name}.hook_scale`, div(model.graph.constant(1), inverse))
  model.hook(`${name}.hook_normalized`, isRms ? mul(x, inverse) : normed)
}
