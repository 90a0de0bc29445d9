/**
 * A GGUF file as a Hugging Face model: config.json out of the metadata, tensor names, and the changes of layout that
 * llama.cpp's convert_hf_to_gguf.py made, undone. Checked against transformers' modeling_gguf_pytorch_utils.
 */
import { PlumblineError } from '@plumbline/contracts'
import { corruptGguf, type GgufFile, type GgufMetadata, type GgufTensor, openGguf } from './gguf.ts'
import { configFromGguf, ggufArchitectures } from './gguf-config.ts'
import { UNTIED_HEAD } from './head-names.ts'
import type { JsonObject } from './json-file.ts'
import type { Layout, StoredWeight } from './read-share.ts'
import { readWeights } from './read-weights.ts'
import { sameBytes } from './tensor-file.ts'

/** What a GGUF file says about its model, in Hugging Face's terms. */
export interface GgufModel {
  readonly config: JsonObject
  /** In the order of the file. */
  readonly weights: readonly StoredWeight[]
  readonly metadata: GgufMetadata
  readonly generationConfig?: JsonObject
}

/** Where a GGUF tensor goes. */
interface Placement {
  name: string
  layout: Layout
}

const llamaNames: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

const gpt2Names: Readonly<Record<string, string>> = {
  attn_norm: 'ln_1',
  ffn_norm: 'ln_2',
  attn_qkv: 'attn.c_attn',
  attn_output: 'attn.c_proj',
  ffn_up: 'mlp.c_fc',
  ffn_down: 'mlp.c_proj',
}

// Hugging Face's GPT-2 keeps its linear weights [in, out] (Conv1D); GGUF keeps every matrix [out, in].
const conv1d = new Set(['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'])

/** Reads all of a GGUF model but its weights, which it names as Hugging Face does. */
export async function openGgufModel(path: string): Promise<GgufModel> {
  const file = await openGguf(path)
  try {
    return await describe(file)
  } finally {
    await file.close()
  }
}

async function describe(file: GgufFile): Promise<GgufModel> {
  if (file.tensors.size === 0) {
    throw new PlumblineError('MODEL_WITHOUT_WEIGHTS', `${file.path} holds no tensors, only metadata.`, {
      hint: 'Take the file with the weights; a vocabulary alone is no model.',
    })
  }
  const ropeFactors = file.tensors.get('rope_freqs.weight')
  const factors = ropeFactors && (await readRopeFactors(ropeFactors))
  const isTied = await hasTiedHead(file)
  const config = configFromGguf(file, { isTied, ropeFactors: factors })
  const weights = [...file.tensors.values()].flatMap((tensor) => {
    const placement = placeTensor(file, tensor, config)
    if (!placement || (isTied && placement.name === UNTIED_HEAD)) return []
    return [storedWeight(tensor, placement)]
  })
  return { config, weights, metadata: file.metadata, generationConfig: generationConfig(config, file.metadata) }
}

/** Tied: no head in the file, or a copy of the embedding (older converters of GPT-2 wrote one). */
async function hasTiedHead({ tensors }: GgufFile): Promise<boolean> {
  const head = tensors.get('output.weight')
  const embedding = tensors.get('token_embd.weight')
  if (!head) return true
  return embedding?.format === head.format && sameBytes(head, embedding)
}

function placeTensor(file: GgufFile, tensor: GgufTensor, config: JsonObject): Placement | undefined {
  const { name } = tensor
  if (name === 'rope_freqs.weight') return undefined
  const isGpt2 = config.model_type === 'gpt2'
  const block = /^blk\.(\d{1,5})\.(\w+)\.(weight|bias)$/.exec(name)
  if (!block) {
    const hfName = isGpt2 ? gpt2Root(name) : llamaRoot(name)
    if (hfName) return { name: hfName, layout: { kind: 'same' } }
  } else {
    const [, layer, part, suffix] = block
    const names = isGpt2 ? gpt2Names : llamaNames
    if (Object.hasOwn(names, part) && Number(layer) < Number(config[isGpt2 ? 'n_layer' : 'num_hidden_layers'])) {
      const prefix = isGpt2 ? 'transformer.h' : 'model.layers'
      return { name: `${prefix}.${Number(layer)}.${names[part]}.${suffix}`, layout: layoutOf(part, suffix, config) }
    }
  }
  throw new PlumblineError(
    'UNSUPPORTED_ARCHITECTURE',
    `${file.path} holds tensor ${name}, which a ${config.model_type} model of this size does not have.`,
    { hint: `Supported architectures: ${ggufArchitectures.join(', ')}, without experts.` },
  )
}

function llamaRoot(name: string): string | undefined {
  if (name === 'token_embd.weight') return 'model.embed_tokens.weight'
  if (name === 'output_norm.weight') return 'model.norm.weight'
  return name === 'output.weight' ? UNTIED_HEAD : undefined
}

function gpt2Root(name: string): string | undefined {
  if (name === 'token_embd.weight') return 'transformer.wte.weight'
  if (name === 'position_embd.weight') return 'transformer.wpe.weight'
  if (name === 'output.weight') return UNTIED_HEAD
  return /^output_norm\.(weight|bias)$/.test(name) ? name.replace('output_norm', 'transformer.ln_f') : undefined
}

function layoutOf(part: string, suffix: string, config: JsonObject): Layout {
  if (config.model_type === 'gpt2') {
    return conv1d.has(part) && suffix === 'weight' ? { kind: 'transposed' } : { kind: 'same' }
  }
  // Only the llama converter reorders rows: its rope rotates neighbours, Hugging Face's rotates the two halves of a head.
  if (config.model_type === 'llama' && part === 'attn_q') {
    return { kind: 'halves interleaved', heads: Number(config.num_attention_heads) }
  }
  if (config.model_type === 'llama' && part === 'attn_k') {
    return { kind: 'halves interleaved', heads: Number(config.num_key_value_heads) }
  }
  return { kind: 'same' }
}

/** Throws GGUF_CORRUPT where its rows cannot be those of such a matrix. */
function storedWeight(tensor: GgufTensor, { name, layout }: Placement): StoredWeight {
  const { file, type, shape, offset, byteLength, format } = tensor
  if (layout.kind !== 'same') {
    const [rows, columns = 1] = shape
    if (shape.length > 2 || columns % format.blockSize !== 0) throw badLayout(tensor)
    if (layout.kind === 'halves interleaved' && !Number.isInteger(rows / layout.heads / 2)) throw badLayout(tensor)
  }
  return { name, shape, path: file.path, fileVersion: file.version, offset, byteLength, format: type, layout }
}

async function readRopeFactors(tensor: GgufTensor): Promise<Float32Array> {
  const { name } = tensor
  const read = await readWeights([storedWeight(tensor, { name, layout: { kind: 'same' } })])
  return read.get(name)!.data
}

function badLayout({ file, name, shape, format }: GgufTensor): PlumblineError {
  return corruptGguf(file.path, `tensor ${name} has the impossible shape [${shape}] of ${format.name}`)
}

/** What `generate` needs to stop: end of sequence and, where it differs, end of turn. */
function generationConfig(config: JsonObject, metadata: GgufMetadata): JsonObject | undefined {
  const { bos_token_id, eos_token_id, pad_token_id } = config
  if (eos_token_id === undefined) return undefined
  const endOfTurn = metadata.get('tokenizer.ggml.eot_token_id')
  const stops = typeof endOfTurn === 'number' && endOfTurn !== eos_token_id ? [eos_token_id, endOfTurn] : eos_token_id
  return {
    ...(bos_token_id === undefined ? {} : { bos_token_id }),
    eos_token_id: stops,
    ...(pad_token_id === undefined ? {} : { pad_token_id }),
  }
}
