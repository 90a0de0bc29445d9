/**
 * The Llama family: Llama, Mistral without a window, Qwen2 (biases on q, k, v), Qwen3 (norms on each head).
 * Touvron et al. 2023; parameter names are Hugging Face's, hook names TransformerLens'.
 */
import { add, embedding, mul, rmsNorm, silu, type Tensor } from '@plumbline/engine'
import type { Attend, AttentionLayer } from './attention.ts'
import type { LlamaConfig } from './config.ts'
import { type ModelGraph, type Trunk, takeRows } from './model-graph.ts'
import { hookNorm } from './norm-hooks.ts'

export function llama(model: ModelGraph, config: LlamaConfig, attend: Attend): Trunk {
  const { vocabSize, hiddenSize } = config
  return {
    embed: (ids) =>
      model.hook('hook_embed', embedding(model.parameter('model.embed_tokens.weight', [vocabSize, hiddenSize]), ids)),
    block: (residual, index, rows) => block(model, config, residual, index, attend, rows),
    lastNorm: (residual) => norm(model, config, residual, 'model.norm', 'ln_final'),
  }
}

function block(
  model: ModelGraph,
  config: LlamaConfig,
  x: Tensor,
  index: number,
  attend: Attend,
  rows?: Tensor,
): Tensor {
  const { hiddenSize, heads, headSize, hasOutputBias } = config
  const module = `model.layers.${index}`
  const hook = (name: string, tensor: Tensor) => model.hook(`blocks.${index}.${name}`, tensor)
  const residual = hook('hook_resid_pre', x)
  const normed = norm(model, config, residual, `${module}.input_layernorm`, `blocks.${index}.ln1`)
  const z = takeRows(attend(model, normed, attentionLayer(config, index)), rows)
  const projection = { inFeatures: heads * headSize, outFeatures: hiddenSize, hasBias: hasOutputBias }
  const attention = hook('hook_attn_out', model.linear(z, `${module}.self_attn.o_proj`, projection))
  const middle = hook('hook_resid_mid', add(takeRows(residual, rows), attention))
  const normedMiddle = norm(model, config, middle, `${module}.post_attention_layernorm`, `blocks.${index}.ln2`)
  return hook('hook_resid_post', add(middle, hook('hook_mlp_out', mlp(model, config, normedMiddle, index))))
}

/** SwiGLU (Shazeer 2020): W_down (silu(W_gate x) · W_up x). */
function mlp(
  model: ModelGraph,
  { hiddenSize, intermediateSize, hasMlpBias }: LlamaConfig,
  x: Tensor,
  index: number,
): Tensor {
  const module = `model.layers.${index}.mlp`
  const hook = (name: string, tensor: Tensor) => model.hook(`blocks.${index}.mlp.${name}`, tensor)
  const up = { inFeatures: hiddenSize, outFeatures: intermediateSize, hasBias: hasMlpBias }
  const gate = hook('hook_pre', model.linear(x, `${module}.gate_proj`, up))
  const linear = hook('hook_pre_linear', model.linear(x, `${module}.up_proj`, up))
  const down = { inFeatures: intermediateSize, outFeatures: hiddenSize, hasBias: hasMlpBias }
  return model.linear(hook('hook_post', mul(silu(gate), linear)), `${module}.down_proj`, down)
}

function norm(
  model: ModelGraph,
  { hiddenSize, epsilon }: LlamaConfig,
  x: Tensor,
  module: string,
  hookName: string,
): Tensor {
  const normed = rmsNorm(x, model.parameter(`${module}.weight`, [hiddenSize]), { epsilon })
  hookNorm(model, hookName, x, normed)
  return normed
}

function attentionLayer(config: LlamaConfig, index: number): AttentionLayer {
  const { heads, keyValueHeads, headSize, hiddenSize, hasQueryKeyValueBias: hasBias, hasHeadNorms, epsilon } = config
  const module = `model.layers.${index}.self_attn`
  const headNorms = { query: `${module}.q_norm.weight`, key: `${module}.k_norm.weight`, epsilon }
  return {
    index,
    heads,
    keyValueHeads,
    headSize,
    hiddenSize,
    hasBias,
    projections: [`${module}.q_proj`, `${module}.k_proj`, `${module}.v_proj`],
    ...(hasHeadNorms && { headNorms }),
  }
}
