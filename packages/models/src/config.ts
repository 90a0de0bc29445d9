import { nearest, PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'

const size = z.number().int().positive().max(1e9)

/** Rope settings as `rope_scaling` (transformers 4) and `rope_parameters` (transformers 5) have them. */
const ropeSchema = z.object({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: size.optional(),
})

const llamaSchema = z.object({
  model_type: z.enum(['llama', 'mistral', 'qwen2', 'qwen3']),
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size.max(10_000),
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().optional(),
  mlp_bias: z.boolean().optional(),
  hidden_act: z.string().default('silu'),
  sliding_window: size.nullish(),
  use_sliding_window: z.boolean().optional(),
})

const gpt2Schema = z.object({
  model_type: z.literal('gpt2'),
  vocab_size: size,
  n_embd: size,
  n_head: size,
  n_layer: size.max(10_000),
  n_inner: size.nullish(),
  n_positions: size.default(1024),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  activation_function: z.string().default('gelu_new'),
  tie_word_embeddings: z.boolean().default(true),
  scale_attn_weights: z.literal(true).default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
})

/** What every family needs to tell the rest of the system. */
interface CommonConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly keyValueHeads: number
  /** Width of one head. */
  readonly headSize: number
  readonly maxPositions: number
  readonly epsilon: number
  readonly hasTiedHead: boolean
  readonly intermediateSize: number
}

export interface RopeScaling {
  readonly type: (typeof ropeTypes)[number]
  readonly factor: number
  readonly lowFrequencyFactor: number
  readonly highFrequencyFactor: number
  readonly originalMaxPositions: number
}

export interface LlamaConfig extends CommonConfig {
  readonly family: 'llama'
  readonly ropeTheta: number
  readonly ropeScaling: RopeScaling
  readonly hasQueryKeyValueBias: boolean
  readonly hasOutputBias: boolean
  readonly hasMlpBias: boolean
  readonly hasHeadNorms: boolean
}

export interface Gpt2Config extends CommonConfig {
  readonly family: 'gpt2'
}

export type ModelConfig = LlamaConfig | Gpt2Config

/** Values of `model_type` in config.json that there is a family for. */
export const supportedModelTypes: readonly string[] = ['llama', 'mistral', 'qwen2', 'qwen3', 'gpt2']

/**
 * The model's shape from a Hugging Face config.json; `where` is the file that errors name.
 * Throws UNSUPPORTED_ARCHITECTURE for a sound file of a variant that we have no code for, BAD_MODEL_CONFIG for values
 * that cannot be.
 */
export function parseModelConfig(raw: Record<string, unknown>, where = 'config.json'): ModelConfig {
  const type = String(raw.model_type)
  const refuse = refusals(where)
  if (!supportedModelTypes.includes(type)) {
    const guess = nearest(type, supportedModelTypes)
    throw refuse.unsupported('model_type', type, supportedModelTypes, guess && `Did you mean ${guess}?`)
  }
  return type === 'gpt2'
    ? gpt2Config(parse(gpt2Schema, raw, refuse), refuse)
    : llamaConfig(parse(llamaSchema, raw, refuse), refuse)
}

interface Refuse {
  /** Values that cannot be. */
  bad(message: string): PlumblineError
  /** A value of other models than ours: there is nothing to repair in the file. */
  unsupported(key: string, value: string, supported: readonly string[], next?: string): PlumblineError
}

function refusals(where: string): Refuse {
  return {
    bad: (message) =>
      new PlumblineError('BAD_MODEL_CONFIG', `${where}: ${message}`, {
        hint: 'The file is damaged or describes a variant that Plumbline does not know. Pull the model again.',
      }),
    unsupported: (key, value, supported, next = 'Choose another model.') =>
      new PlumblineError('UNSUPPORTED_ARCHITECTURE', `${where}: ${key} "${value}" is not supported.`, {
        hint: `Supported: ${supported.join(', ')}. ${next}`,
      }),
  }
}

function parse<T extends z.ZodType>(schema: T, raw: unknown, { bad }: Refuse): z.infer<T> {
  const result = schema.safeParse(raw)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw bad(`${issue.path.join('.')}: ${issue.message}.`)
}

function llamaConfig(raw: z.infer<typeof llamaSchema>, refuse: Refuse): LlamaConfig {
  const { bad, unsupported } = refuse
  const heads = raw.num_attention_heads
  const keyValueHeads = raw.num_key_value_heads ?? heads
  const headSize = raw.head_dim ?? raw.hidden_size / heads
  if (!Number.isInteger(headSize) || headSize % 2 !== 0) throw bad(`head size ${headSize} is not an even integer.`)
  if (heads % keyValueHeads !== 0) throw bad(`${heads} heads do not share ${keyValueHeads} key-value heads evenly.`)
  // Mistral's window is on where it has a size, Qwen's only where a switch says so, and Llama has none.
  const hasWindow = raw.model_type === 'mistral' || (raw.model_type !== 'llama' && raw.use_sliding_window === true)
  if (hasWindow && raw.sliding_window && raw.sliding_window < raw.max_position_embeddings)
    throw unsupported('sliding_window', String(raw.sliding_window), ['attention over all positions'])
  if (!['silu', 'swish'].includes(raw.hidden_act)) throw unsupported('hidden_act', raw.hidden_act, ['silu', 'swish'])
  return {
    family: 'llama',
    vocabSize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    heads,
    keyValueHeads,
    headSize,
    maxPositions: raw.max_position_embeddings,
    epsilon: raw.rms_norm_eps,
    hasTiedHead: raw.tie_word_embeddings,
    ropeTheta: raw.rope_parameters?.rope_theta ?? raw.rope_theta ?? 10_000,
    ropeScaling: ropeScaling(raw, refuse),
    ...biases(raw),
    hasHeadNorms: raw.model_type === 'qwen3',
  }
}

/** As transformers: Qwen2's and Mistral's biases are no matter of configuration, whatever their files say. */
function biases({ model_type, attention_bias = false, mlp_bias = false }: z.infer<typeof llamaSchema>) {
  const hasAttentionBias = (model_type === 'llama' || model_type === 'qwen3') && attention_bias
  return {
    hasQueryKeyValueBias: model_type === 'qwen2' || hasAttentionBias,
    hasOutputBias: hasAttentionBias,
    hasMlpBias: model_type === 'llama' && mlp_bias,
  }
}

const ropeTypes = ['default', 'linear', 'llama3'] as const

function ropeScaling(raw: z.infer<typeof llamaSchema>, { bad, unsupported }: Refuse): RopeScaling {
  const scaling = raw.rope_parameters ?? raw.rope_scaling ?? {}
  const given = scaling.rope_type ?? scaling.type ?? 'default'
  const type = ropeTypes.find((known) => known === given)
  if (type === undefined) throw unsupported('the rope scaling', given, ropeTypes)
  if (type !== 'default' && scaling.factor === undefined) throw bad(`rope scaling "${type}" needs a factor.`)
  return {
    type,
    factor: scaling.factor ?? 1,
    lowFrequencyFactor: scaling.low_freq_factor ?? 1,
    highFrequencyFactor: scaling.high_freq_factor ?? 4,
    originalMaxPositions: scaling.original_max_position_embeddings ?? raw.max_position_embeddings,
  }
}

function gpt2Config(raw: z.infer<typeof gpt2Schema>, { bad, unsupported }: Refuse): Gpt2Config {
  const activations = ['gelu_new', 'gelu_pytorch_tanh']
  if (!activations.includes(raw.activation_function))
    throw unsupported('activation_function', raw.activation_function, activations)
  const headSize = raw.n_embd / raw.n_head
  if (!Number.isInteger(headSize)) throw bad(`n_embd ${raw.n_embd} is not divisible by n_head ${raw.n_head}.`)
  return {
    family: 'gpt2',
    vocabSize: raw.vocab_size,
    hiddenSize: raw.n_embd,
    intermediateSize: raw.n_inner ?? 4 * raw.n_embd,
    layers: raw.n_layer,
    heads: raw.n_head,
    keyValueHeads: raw.n_head,
    headSize,
    maxPositions: raw.n_positions,
    epsilon: raw.layer_norm_epsilon,
    hasTiedHead: raw.tie_word_embeddings,
  }
}
