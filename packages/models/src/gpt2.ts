/** GPT-2 (Radford et al. 2019). Parameter names are Hugging Face's, with weights [in, out]; hooks TransformerLens'. */
import { add, embedding, geluTanh, layerNorm, type Tensor } from '@plumbline/engine'
import type { Attend } from './attention.ts'
import type { Gpt2Config } from './config.ts'
import { type ModelGraph, type Trunk, takeRows } from './model-graph.ts'
import { hookNorm } from './norm-hooks.ts'

export function gpt2(model: ModelGraph, config: Gpt2Config, attend: Attend): Trunk {
  const { vocabSize, hiddenSize, maxPositions } = config
  return {
    embed(ids, positions) {
      const tokens = embedding(model.parameter('transformer.wte.weight', [vocabSize, hiddenSize]), ids)
      const places = embedding(model.parameter('transformer.wpe.weight', [maxPositions, hiddenSize]), positions())
      return add(model.hook('hook_embed', tokens), model.hook('hook_pos_embed', places))
    },
    block: (residual, index, rows) => block(model, config, residual, index, attend, rows),
    lastNorm: (residual) => norm(model, config, residual, 'transformer.ln_f', 'ln_final'),
  }
}

function block(model: ModelGraph, config: Gpt2Config, x: Tensor, index: number, attend: Attend, rows?: Tensor): Tensor {
  const { hiddenSize, heads, headSize, intermediateSize } = config
  const module = `transformer.h.${index}`
  const hook = (name: string, tensor: Tensor) => model.hook(`blocks.${index}.${name}`, tensor)
  const linear = (input: Tensor, name: string, inFeatures: number, outFeatures: number) =>
    model.linear(input, `${module}.${name}`, { inFeatures, outFeatures, hasBias: true, isTransposed: true })

  const residual = hook('hook_resid_pre', x)
  const normed = norm(model, config, residual, `${module}.ln_1`, `blocks.${index}.ln1`)
  const shape = { heads, keyValueHeads: heads, headSize, hiddenSize }
  const layer = { index, ...shape, hasBias: true, projections: [`${module}.attn.c_attn`] as const }
  const z = takeRows(attend(model, normed, layer), rows)
  const attention = hook('hook_attn_out', linear(z, 'attn.c_proj', hiddenSize, hiddenSize))
  const middle = hook('hook_resid_mid', add(takeRows(residual, rows), attention))
  const normedMiddle = norm(model, config, middle, `${module}.ln_2`, `blocks.${index}.ln2`)
  const before = hook('mlp.hook_pre', linear(normedMiddle, 'mlp.c_fc', hiddenSize, intermediateSize))
  const after = hook('mlp.hook_post', geluTanh(before))
  return hook(
    'hook_resid_post',
    add(middle, hook('hook_mlp_out', linear(after, 'mlp.c_proj', intermediateSize, hiddenSize))),
  )
}

function norm(
  model: ModelGraph,
  { hiddenSize, epsilon }: Gpt2Config,
  x: Tensor,
  module: string,
  hookName: string,
): Tensor {
  const vector = (name: string) => model.parameter(`${module}.${name}`, [hiddenSize])
  const normed = layerNorm(x, vector('weight'), vector('bias'), { epsilon })
  hookNorm(model, hookName, x, normed)
  return normed
}
