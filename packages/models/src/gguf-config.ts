/** config.json out of GGUF metadata. Keys: docs/gguf.md of ggml and convert_hf_to_gguf.py of llama.cpp. */
import { PlumblineError } from '@plumbline/contracts'
import { corruptGguf, type GgufFile } from './gguf.ts'
import type { JsonObject } from './json-file.ts'
import { llama3RopeScaling } from './rope-scaling.ts'

/** GGUF architectures that we read. */
export const ggufArchitectures = ['llama', 'qwen2', 'qwen3', 'gpt2'] as const

type GgufArchitecture = (typeof ggufArchitectures)[number]

const hfArchitecture: Readonly<Record<GgufArchitecture, string>> = {
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  gpt2: 'GPT2LMHeadModel',
}

/** What the tensors, not the metadata, say about the model. */
interface TensorFacts {
  isTied: boolean
  /** Divisors of the rope frequencies, one per pair of a head's elements. */
  ropeFactors?: ArrayLike<number>
}

/** Hugging Face's config.json for a GGUF model. Throws UNSUPPORTED_ARCHITECTURE and GGUF_CORRUPT. */
export function configFromGguf(file: GgufFile, facts: TensorFacts): JsonObject {
  const architecture = architectureOf(file)
  checkUnsplit(file)
  const embedding = file.tensors.get('token_embd.weight')
  if (embedding?.shape.length !== 2) {
    throw corruptGguf(file.path, 'it holds no matrix token_embd.weight')
  }
  const common = {
    architectures: [hfArchitecture[architecture]],
    model_type: architecture,
    vocab_size: embedding.shape[0],
    tie_word_embeddings: facts.isTied,
    ...tokenIds(file),
    dtype: 'float32',
  }
  return architecture === 'gpt2'
    ? { ...common, ...gpt2Config(file) }
    : { ...common, ...llamaConfig(file, architecture, facts) }
}

const supportedArchitectures = `Supported architectures: ${ggufArchitectures.join(', ')}, without experts.`
const supportedRopeScalings = "Supported rope scalings: none, linear, and Llama 3's as rope_freqs.weight."

function unsupported(file: GgufFile, what: string, hint = supportedArchitectures): PlumblineError {
  return new PlumblineError('UNSUPPORTED_ARCHITECTURE', `${file.path}: ${what}.`, { hint })
}

function architectureOf(file: GgufFile): GgufArchitecture {
  const name = file.metadata.get('general.architecture')
  const architecture = ggufArchitectures.find((known) => known === name)
  if (!architecture) throw unsupported(file, `the architecture is ${JSON.stringify(name) ?? 'not named'}`)
  if (Number(file.metadata.get(`${architecture}.expert_count`) ?? 0) > 0) {
    throw unsupported(file, 'the model mixes experts')
  }
  return architecture
}

function checkUnsplit(file: GgufFile): void {
  const parts = file.metadata.get('split.count') ?? 0
  if (typeof parts === 'number' && parts <= 1) return
  throw new PlumblineError('GGUF_SPLIT', `${file.path} is one of ${parts} parts of a model.`, {
    hint: 'Join them first: llama-gguf-split --merge FIRST_PART OUT.',
  })
}

/** A metadata number of the architecture. Throws GGUF_CORRUPT when it is absent without a fallback, or no number. */
function number(file: GgufFile, key: string, fallback?: number): number {
  const name = `${file.metadata.get('general.architecture')}.${key}`
  const value = file.metadata.get(name) ?? fallback
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw corruptGguf(file.path, `the metadata ${name} is ${value ?? 'missing'}, not a number`)
  }
  return decimal(value)
}

/** Counts and sizes: whole numbers from 1. */
function size(file: GgufFile, key: string, fallback?: number): number {
  const value = number(file, key, fallback)
  if (Number.isInteger(value) && value > 0) return value
  throw corruptGguf(file.path, `the metadata ${key} is ${value}, not a size`)
}

/** The shortest decimal of a float32, so that 1e-5 stored as float32 is 1e-5 again and not 9.99999974e-6. */
function decimal(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (short === value || Math.fround(short) === value) return short
  }
  return value
}

function tokenIds({ metadata }: GgufFile): JsonObject {
  const id = (key: string) => metadata.get(`tokenizer.ggml.${key}_token_id`)
  const ids = { bos_token_id: id('bos'), eos_token_id: id('eos'), pad_token_id: id('padding') }
  return Object.fromEntries(Object.entries(ids).filter(([, value]) => typeof value === 'number'))
}

function gpt2Config(file: GgufFile): JsonObject {
  return {
    n_layer: size(file, 'block_count'),
    n_head: size(file, 'attention.head_count'),
    n_embd: size(file, 'embedding_length'),
    n_inner: size(file, 'feed_forward_length'),
    n_positions: size(file, 'context_length'),
    layer_norm_epsilon: number(file, 'attention.layer_norm_epsilon'),
    activation_function: 'gelu_new',
  }
}

function llamaConfig(file: GgufFile, architecture: GgufArchitecture, { ropeFactors }: TensorFacts): JsonObject {
  const hiddenSize = size(file, 'embedding_length')
  const heads = size(file, 'attention.head_count')
  const headDim = size(file, 'attention.key_length', size(file, 'rope.dimension_count', hiddenSize / heads))
  if (size(file, 'rope.dimension_count', headDim) !== headDim) {
    throw unsupported(file, `rope turns only a part of each head's ${headDim} elements`)
  }
  return {
    hidden_size: hiddenSize,
    intermediate_size: size(file, 'feed_forward_length'),
    num_hidden_layers: size(file, 'block_count'),
    num_attention_heads: heads,
    num_key_value_heads: size(file, 'attention.head_count_kv', heads),
    head_dim: headDim,
    max_position_embeddings: size(file, 'context_length'),
    rms_norm_eps: number(file, 'attention.layer_norm_rms_epsilon'),
    hidden_act: 'silu',
    ...biases(file, architecture),
    ...ropeConfig(file, headDim, ropeFactors),
  }
}

/** Qwen2's biases are not optional, so its config has no word for them. */
function biases({ tensors }: GgufFile, architecture: GgufArchitecture): JsonObject {
  if (architecture === 'qwen2') return {}
  const attention = { attention_bias: tensors.has('blk.0.attn_q.bias') }
  return architecture === 'llama' ? { ...attention, mlp_bias: tensors.has('blk.0.ffn_up.bias') } : attention
}

function ropeConfig(file: GgufFile, headDim: number, factors: ArrayLike<number> | undefined): JsonObject {
  const theta = number(file, 'rope.freq_base', 10000)
  const scaling = ropeScaling(file, theta, headDim, factors)
  return {
    rope_theta: theta,
    // transformers 4 and vLLM read rope_theta and rope_scaling, transformers 5 rope_parameters.
    ...(scaling ? { rope_scaling: scaling } : {}),
    rope_parameters: { rope_theta: theta, ...(scaling ?? { rope_type: 'default' }) },
  }
}

function ropeScaling(
  file: GgufFile,
  theta: number,
  headDim: number,
  factors: ArrayLike<number> | undefined,
): JsonObject | undefined {
  const architecture = file.metadata.get('general.architecture')
  const type = file.metadata.get(`${architecture}.rope.scaling.type`) ?? 'none'
  if (factors) {
    const scaling = llama3RopeScaling(factors, theta, headDim)
    if (scaling) return scaling
    throw unsupported(file, 'rope_freqs.weight does not follow the rope scaling of Llama 3', supportedRopeScalings)
  }
  if (type === 'none') return undefined
  if (type === 'linear') return { rope_type: 'linear', factor: number(file, 'rope.scaling.factor') }
  throw unsupported(file, `the rope scaling ${JSON.stringify(type)} is not supported`, supportedRopeScalings)
}
