/** Reading a model: a Hugging Face folder, a folder with one GGUF file, or a GGUF file. */
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { nearest, PlumblineError } from '@plumbline/contracts'
import type { ParameterMap } from '@plumbline/engine'
import { supportedModelTypes } from './config.ts'
import type { GgufMetadata } from './gguf.ts'
import { openGgufModel } from './gguf-model.ts'
import { SCORE_HEAD, UNTIED_HEAD } from './head-names.ts'
import { isJsonObject, type JsonObject, readJsonObject, readTextFile } from './json-file.ts'
import type { StoredWeight } from './read-share.ts'
import { readWeights } from './read-weights.ts'
import { openSafetensors, type SafetensorsFile, type StoredTensor, storedWeight } from './safetensors.ts'
import { sameBytes } from './tensor-file.ts'

/** A model on disk: all but its weights. */
export interface OpenedModel {
  /** Hugging Face's config.json; `tie_word_embeddings` says what the weights say. */
  readonly config: JsonObject
  readonly tokenizer: {
    readonly tokenizerJson?: JsonObject
    /** With `chat_template` from chat_template.jinja where the folder has that file, as transformers reads it. */
    readonly tokenizerConfig?: JsonObject
    readonly gguf?: GgufMetadata
  }
  readonly generationConfig?: JsonObject
  /** float32, Hugging Face names, in the order of the file. A tied head is not among them. Large ones come from other threads. */
  readParameters(): Promise<ParameterMap>
}

/** A model as read from disk. */
export interface LoadedModel extends Omit<OpenedModel, 'readParameters'> {
  readonly parameters: ParameterMap
}

const SINGLE_FILE = 'model.safetensors'
const INDEX_FILE = 'model.safetensors.index.json'

// Buffers of old checkpoints that are computed, not learned.
const LEGACY_BUFFER = /(^|\.)(rotary_emb\.inv_freq|attn\.bias|attn\.masked_bias)$/

/** Reads a model from a path. Throws what `openModelFolder` throws. */
export async function loadModelFolder(path: string): Promise<LoadedModel> {
  const { readParameters, ...model } = await openModelFolder(path)
  return { ...model, parameters: await readParameters() }
}

/**
 * Reads all of a model but its weights, which it has found and checked. Throws MODEL_NOT_FOUND, MODEL_WITHOUT_WEIGHTS,
 * MODEL_AMBIGUOUS, UNSUPPORTED_ARCHITECTURE, SHARD_MISSING, INDEX_INVALID, and what the readers of the files throw.
 */
export async function openModelFolder(path: string): Promise<OpenedModel> {
  const stats = await stat(path).catch(() => undefined)
  if (!stats) {
    throw new PlumblineError('MODEL_NOT_FOUND', `There is no model folder or file ${path}.`, {
      hint: 'Check the path, or pull a model first: plumb models pull.',
    })
  }
  if (!stats.isDirectory()) return openGguf(path)
  const names = await readdir(path)
  if (names.includes(SINGLE_FILE) || names.includes(INDEX_FILE)) return openHuggingFaceFolder(path, names)
  const ggufNames = names.filter((name) => name.toLowerCase().endsWith('.gguf'))
  if (ggufNames.length === 1) return openGguf(join(path, ggufNames[0]))
  if (ggufNames.length > 1) {
    throw new PlumblineError(
      'MODEL_AMBIGUOUS',
      `${path} holds ${ggufNames.length} GGUF files: ${ggufNames.join(', ')}.`,
      {
        hint: `Give the path of one, such as ${join(path, ggufNames[0])}.`,
      },
    )
  }
  throw withoutWeights(path, names)
}

function withoutWeights(path: string, names: readonly string[]): PlumblineError {
  const pickle = names.find((name) => /\.(bin|pt|pth)$/.test(name))
  const hint = pickle
    ? `${pickle} is a pickle, which can run code when read. Convert the model to safetensors.`
    : names.includes('model')
      ? `A trained model lies in ${join(path, 'model')}.`
      : 'Download the weights again, or give another folder.'
  const message = `The model folder ${path} has no weights: neither ${SINGLE_FILE}, nor ${INDEX_FILE}, nor a .gguf file.`
  return new PlumblineError('MODEL_WITHOUT_WEIGHTS', message, { hint })
}

async function openGguf(path: string): Promise<OpenedModel> {
  if (path.endsWith('.safetensors')) {
    throw new PlumblineError('MODEL_NOT_FOUND', `${path} holds weights, but no config.json.`, {
      hint: 'Give the folder that it lies in.',
    })
  }
  const { config, weights, metadata, generationConfig } = await openGgufModel(path)
  return { config, readParameters: () => readWeights(weights), tokenizer: { gguf: metadata }, generationConfig }
}

async function openHuggingFaceFolder(path: string, names: readonly string[]): Promise<OpenedModel> {
  const config = await readModelConfig(path)
  const [tokenizerJson, tokenizerConfig, generationConfig, chatTemplate] = await Promise.all([
    readJsonObject(join(path, 'tokenizer.json')),
    readJsonObject(join(path, 'tokenizer_config.json')),
    readJsonObject(join(path, 'generation_config.json')),
    readTextFile(join(path, 'chat_template.jinja')),
  ])
  const files = await openShards(path, names)
  try {
    const tensors = normaliseNames(await collectTensors(path, files), config.model_type)
    const isTied = await hasTiedHead(tensors, config)
    const weights: StoredWeight[] = []
    for (const [name, tensor] of tensors) {
      if (LEGACY_BUFFER.test(name) || (isTied && name === UNTIED_HEAD)) continue
      weights.push(storedWeight(tensor, name))
    }
    return {
      config: isTied === undefined ? config : { ...config, tie_word_embeddings: isTied },
      readParameters: () => readWeights(weights),
      tokenizer: {
        tokenizerJson,
        tokenizerConfig:
          chatTemplate === undefined ? tokenizerConfig : { ...tokenizerConfig, chat_template: chatTemplate },
      },
      generationConfig,
    }
  } finally {
    await Promise.all([...files.values()].map((file) => file.close()))
  }
}

async function readModelConfig(path: string): Promise<JsonObject> {
  const config = await readJsonObject(join(path, 'config.json'))
  if (!config) {
    throw new PlumblineError('MODEL_NOT_FOUND', `The model folder ${path} has no config.json.`, {
      hint: 'Download it beside the weights.',
    })
  }
  const type = config.model_type
  if (typeof type === 'string' && supportedModelTypes.includes(type)) return config
  const close = typeof type === 'string' ? nearest(type, supportedModelTypes) : undefined
  throw new PlumblineError(
    'UNSUPPORTED_ARCHITECTURE',
    `${join(path, 'config.json')}: model_type is ${JSON.stringify(type) ?? 'missing'}.`,
    { hint: `Supported: ${supportedModelTypes.join(', ')}.${close ? ` The nearest is ${close}.` : ''}` },
  )
}

/** Opens the weight files of a folder, by file name. */
async function openShards(path: string, names: readonly string[]): Promise<Map<string, SafetensorsFile>> {
  const shardNames = names.includes(SINGLE_FILE) ? [SINGLE_FILE] : Object.values(await readWeightMap(path))
  const files = new Map<string, SafetensorsFile>()
  try {
    for (const name of new Set(shardNames)) {
      if (!names.includes(name)) {
        throw new PlumblineError('SHARD_MISSING', `${path} lacks ${name}, which ${INDEX_FILE} names.`, {
          hint: 'Download the missing file.',
        })
      }
      files.set(name, await openSafetensors(join(path, name)))
    }
    return files
  } catch (error) {
    await Promise.all([...files.values()].map((file) => file.close()))
    throw error
  }
}

/** Shard file name by tensor name. */
async function readWeightMap(path: string): Promise<Record<string, string>> {
  const indexPath = join(path, INDEX_FILE)
  const invalid = (what: string) =>
    new PlumblineError('INDEX_INVALID', `${indexPath}: ${what}.`, { hint: 'Download the index again.' })
  const weightMap = (await readJsonObject(indexPath))?.weight_map
  if (!isJsonObject(weightMap) || Object.keys(weightMap).length === 0) throw invalid('weight_map names no tensors')
  for (const [tensor, shard] of Object.entries(weightMap)) {
    // Separators of both systems: a file name must not lead out of the folder anywhere.
    const isPlain = typeof shard === 'string' && shard === basename(shard) && !/[\\/:\0]|^\.{0,2}$/.test(shard)
    if (!isPlain)
      throw invalid(`tensor ${tensor} lies in ${JSON.stringify(shard)}, not a plain file name in the folder`)
  }
  return weightMap as Record<string, string>
}

/** All tensors of the folder; with an index, exactly those it names, each where it says. */
async function collectTensors(path: string, files: ReadonlyMap<string, SafetensorsFile>): Promise<StoredTensor[]> {
  const single = files.get(SINGLE_FILE)
  if (single && files.size === 1) return [...single.tensors.values()]
  const weightMap = await readWeightMap(path)
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (!files.get(shard)?.tensors.has(tensor)) {
      throw new PlumblineError(
        'TENSOR_MISSING',
        `${join(path, shard)} lacks tensor ${tensor}, which the index names.`,
        {
          hint: 'The shard and the index are of different downloads. Download both again.',
        },
      )
    }
  }
  return [...files].flatMap(([shard, file]) =>
    [...file.tensors.values()].filter(({ name }) => weightMap[name] === shard),
  )
}

/** Names as the model with a head has them; a bare trunk lacks the prefix. Throws INDEX_INVALID when two names meet. */
function normaliseNames(tensors: readonly StoredTensor[], modelType: unknown): Map<string, StoredTensor> {
  const [trunk, prefix] =
    modelType === 'gpt2'
      ? [/^(wte|wpe|ln_f)\.|^h\.\d+\./, 'transformer.']
      : [/^(embed_tokens|norm)\.|^layers\.\d+\./, 'model.']
  const named = new Map<string, StoredTensor>()
  for (const tensor of tensors) {
    const name = trunk.test(tensor.name) ? prefix + tensor.name : tensor.name
    if (named.has(name)) {
      throw new PlumblineError('INDEX_INVALID', `The model holds ${name} twice, once without its prefix ${prefix}.`, {
        hint: 'Its files are of different downloads. Download them again.',
      })
    }
    named.set(name, tensor)
  }
  return named
}

/**
 * Whether the head is the embedding; undefined leaves what the config says, for a model with another head or with none
 * where there should be one. A head that the config calls tied, but that differs in the file, is kept untied, as
 * transformers 5 does.
 */
async function hasTiedHead(
  tensors: ReadonlyMap<string, StoredTensor>,
  config: JsonObject,
): Promise<boolean | undefined> {
  const head = tensors.get(UNTIED_HEAD)
  // Said to be untied and not there: a piece of the model is missing, which only its user can judge.
  if (!head) return tensors.has(SCORE_HEAD) || config.tie_word_embeddings === false ? undefined : true
  // transformers ties GPT-2 and nothing else where the config is silent.
  if ((config.tie_word_embeddings ?? config.model_type === 'gpt2') !== true) return false
  const embedding = tensors.get('transformer.wte.weight') ?? tensors.get('model.embed_tokens.weight')
  return embedding?.dtype === head.dtype && sameBytes(head, embedding)
}
