import { createParameter, createRandom, type ParameterMap } from '@plumbline/engine'
import { type ModelConfig, parseModelConfig } from './config.ts'
import { buildForward } from './forward.ts'

/** Sizes that every family understands; heads of 16, which ONNX Runtime's fused attention takes. */
const llama = {
  model_type: 'llama',
  vocab_size: 60,
  hidden_size: 64,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
}
const gpt2 = { model_type: 'gpt2', vocab_size: 60, n_embd: 64, n_head: 4, n_layer: 2, n_inner: 48, n_positions: 64 }

/** Configs by what is special about them. */
export const randomModelConfigs = {
  llama,
  'llama, one key head': { ...llama, num_key_value_heads: 1 },
  'llama, as many key heads': { ...llama, num_key_value_heads: 4 },
  'llama, heads of 32': { ...llama, head_dim: 32, attention_bias: true, mlp_bias: true },
  'llama 3 scaling': {
    ...llama,
    rope_parameters: { rope_type: 'llama3', rope_theta: 500, factor: 8, original_max_position_embeddings: 32 },
  },
  qwen2: { ...llama, model_type: 'qwen2', tie_word_embeddings: false },
  qwen3: { ...llama, model_type: 'qwen3' },
  gpt2,
} satisfies Record<string, Record<string, unknown>>

/** A model with random weights, far enough from 0 that its tokens differ. */
export function randomModel(raw: Record<string, unknown>): { config: ModelConfig; parameters: ParameterMap } {
  const config = parseModelConfig(raw)
  const forward = buildForward(config)
  forward.logits()
  const random = createRandom(3)
  const parameters = [...forward.graph.parameters].map(([name, { shape }]) => {
    const parameter = createParameter(name, shape as number[])
    for (let i = 0; i < parameter.data.length; i++) parameter.data[i] = 0.2 * random.normal()
    return [name, parameter] as const
  })
  return { config, parameters: new Map(parameters) }
}
