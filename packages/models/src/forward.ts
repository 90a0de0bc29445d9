import { PlumblineError } from '@plumbline/contracts'
import { type Graph, matmul, type ParameterMap, type Tensor, tokenLogprobs } from '@plumbline/engine'
import {
  type Attend,
  attentionWithCache,
  type CachedAttentionState,
  cacheNames,
  fullAttention,
  type RopeInputs,
} from './attention.ts'
import type { ModelConfig } from './config.ts'
import { gpt2 } from './gpt2.ts'
import { SCORE_HEAD, UNTIED_HEAD } from './head-names.ts'
import { llama } from './llama.ts'
import { type Adapt, createModelGraph, type ModelGraph, type Trunk, takeRows } from './model-graph.ts'

export interface BuildOptions {
  readonly graph?: Graph
  readonly adapt?: Adapt
}

/** A model up to its heads, which read it at some positions: the input `rows` [M] int32, of the flattened batch. */
export interface ForwardAtRows {
  readonly graph: Graph
  readonly model: ModelGraph
  /** After the last norm, [M, hiddenSize]. */
  hiddenAtRows(): Tensor
  /** Scores over the vocabulary, [M, vocabSize]. */
  logitsAtRows(): Tensor
}

/** The same, and everywhere. */
export interface Forward extends ForwardAtRows {
  /** After the last norm, [B, T, hiddenSize]. */
  readonly hidden: Tensor
  /** Scores everywhere, [B, T, vocabSize]. */
  logits(): Tensor
}

/**
 * A model over whole sequences: for losses, scores and explanations. Inputs: `ids` and `positions` [B, T] int32,
 * `attentionBias` [B, 1, T, T], and for rotary models `ropeCos`, `ropeSin` [P, headSize / 2].
 */
export function buildForward(config: ModelConfig, { graph, adapt }: BuildOptions = {}): Forward {
  const model = createModelGraph({ graph, adapt })
  const ids = model.graph.input('ids', 'int32', ['B', 'T'])
  const positions = model.graph.input('positions', 'int32', ['B', 'T'])
  const attentionBias = model.graph.input('attentionBias', 'float32', ['B', 1, 'T', 'T'])
  const trunk = trunkOf(model, config, fullAttention({ positions, attentionBias, tables: ropeInputs(model, config) }))
  const residual = trunk.embed(ids, () => positions)
  return withHead(model, config, trunk.lastNorm(blocks(trunk, residual, 0, config.layers)))
}

export interface CachedForward extends Forward {
  /** What the call adds to the caches, [B, K, T, D], by the names of their inputs. */
  readonly caches: Readonly<Record<string, Tensor>>
}

export interface RaggedOptions extends BuildOptions {
  /** Leaves out the layers below this one: the input `residual` [N, hiddenSize] stands for what they give. */
  readonly firstLayer?: number | undefined
}

/**
 * The same over sequences side by side without padding, in which a prefix that several sequences share stands once:
 * nothing but attention is computed for padding, or twice. For training, where batches are ragged and prompts alike.
 * `ids` and `tokenPositions` are [N] and `rows` counts them; `raggedFeeds` says what the other inputs are. What stands
 * behind the last attention is computed at `rows` alone, and so are the activations that are named there.
 */
export function buildRaggedForward(
  config: ModelConfig,
  { firstLayer = 0, ...options }: RaggedOptions = {},
): ForwardAtRows {
  const { model, trunk, embed } = raggedTrunk(config, options)
  const residual = firstLayer === 0 ? embed() : model.graph.input('residual', 'float32', ['N', config.hiddenSize])
  const last = config.layers - 1
  const rows = rowsInput(model)
  const hidden = trunk.lastNorm(trunk.block(blocks(trunk, residual, firstLayer, last), last, rows))
  return { graph: model.graph, model, hiddenAtRows: () => hidden, logitsAtRows: () => head(model, config, hidden) }
}

/** The lowest layers alone, in the form of `buildRaggedForward`: the residual stream [N, hiddenSize] behind them. */
export function buildLowerLayers(config: ModelConfig, layers: number): { graph: Graph; residual: Tensor } {
  const { model, trunk, embed } = raggedTrunk(config)
  return { graph: model.graph, residual: blocks(trunk, embed(), 0, layers) }
}

function raggedTrunk(config: ModelConfig, { graph, adapt }: BuildOptions = {}) {
  const model = createModelGraph({ graph, adapt })
  const input = (name: string, shape: readonly (string | number)[]) => model.graph.input(name, 'int32', [...shape])
  const ragged = {
    slots: input('slots', ['B', 'T']),
    firstSlots: input('firstSlots', ['B', 'T']),
    rows: input('tokenRows', ['N']),
    copies: input('copies', ['C']),
    copied: input('copied', ['P']),
    copiedAt: input('copiedAt', [1, 'N']),
    isCopy: model.graph.input('isCopy', 'float32', ['P', 'C']),
  }
  const positions = input('positions', ['B', 'T'])
  const attentionBias = model.graph.input('attentionBias', 'float32', ['B', 1, 'T', 'T'])
  const attend = fullAttention({ positions, attentionBias, tables: ropeInputs(model, config), ragged })
  const trunk = trunkOf(model, config, attend)
  return { model, trunk, embed: () => trunk.embed(input('ids', ['N']), () => input('tokenPositions', ['N'])) }
}

/**
 * A model that continues sequences from a key-value cache. Inputs: `ids` and `positions` [B, T] int32 (right-padded),
 * `starts` [B] int32 and `cacheIndices` [S] int32 (plain) or `lastPositions` [B] and `totalLength` [1] int32 (fused), the
 * caches [B, K, S, D], and the rotation tables. The head is the parameter `lm_head.weight`, also where it is tied.
 */
export function buildCachedForward(config: ModelConfig, lowering: 'plain' | 'fused'): CachedForward {
  const model = createModelGraph()
  const ids = model.graph.input('ids', 'int32', ['B', 'T'])
  const positions = model.graph.input('positions', 'int32', ['B', 'T'])
  const caches: Record<string, Tensor> = {}
  const state: CachedAttentionState = {
    positions,
    starts: model.graph.input('starts', 'int32', ['B']),
    lastPositions: model.graph.input('lastPositions', 'int32', ['B']),
    totalLength: model.graph.input('totalLength', 'int32', [1]),
    cacheIndices: model.graph.input('cacheIndices', 'int32', ['S']),
    tables: ropeInputs(model, config),
    onCache(layer, keys, values) {
      const names = cacheNames(layer)
      caches[names.keys] = keys
      caches[names.values] = values
    },
  }
  const trunk = trunkOf(model, config, attentionWithCache(state, lowering))
  const embedded = trunk.embed(ids, () => positions)
  const hidden = trunk.lastNorm(blocks(trunk, embedded, 0, config.layers))
  // A tied head gets a name of its own: ONNX Runtime packs weights for its kernels only where nothing else reads them.
  return { ...withHead(model, config, hidden, UNTIED_HEAD), caches }
}

function trunkOf(model: ModelGraph, config: ModelConfig, attend: Attend): Trunk {
  return config.family === 'llama' ? llama(model, config, attend) : gpt2(model, config, attend)
}

/** Layers `from` up to, but without, `to`. */
function blocks(trunk: Trunk, residual: Tensor, from: number, to: number): Tensor {
  let state = residual
  for (let index = from; index < to; index++) state = trunk.block(state, index)
  return state
}

function ropeInputs({ graph }: ModelGraph, config: ModelConfig): RopeInputs | undefined {
  if (config.family !== 'llama') return undefined
  const shape = ['ropeLength', config.headSize / 2]
  return { cos: graph.input('ropeCos', 'float32', shape), sin: graph.input('ropeSin', 'float32', shape) }
}

function withHead(model: ModelGraph, config: ModelConfig, hidden: Tensor, weight = headName(config)): Forward {
  const hiddenAtRows = () => takeRows(hidden, rowsInput(model))
  return {
    model,
    graph: model.graph,
    hidden,
    hiddenAtRows,
    logits: () => head(model, config, hidden, weight),
    logitsAtRows: () => head(model, config, hiddenAtRows(), weight),
  }
}

function head(model: ModelGraph, config: ModelConfig, hidden: Tensor, weight = headName(config)): Tensor {
  return matmul(hidden, model.parameter(weight, [config.vocabSize, config.hiddenSize]), { transposeB: true })
}

const rowsInput = ({ graph }: ModelGraph) => graph.inputs.get('rows') ?? graph.input('rows', 'int32', ['M'])

/**
 * log p(target | what stands before it) at `rows`, each the position before its target, [M]. Adds the input `targets`
 * [M] int32.
 */
export function targetLogprobs(forward: ForwardAtRows): Tensor {
  return tokenLogprobs(forward.logitsAtRows(), forward.graph.input('targets', 'int32', ['M']))
}

/** Names of the parameters whose rows are looked up: the tables of embeddings. */
export function tableNames({ family }: ModelConfig): string[] {
  return family === 'gpt2' ? ['transformer.wte.weight', 'transformer.wpe.weight'] : ['model.embed_tokens.weight']
}

/** Name of the matrix that turns hidden states into scores: the embedding when the head is tied to it. */
export function headName({ family, hasTiedHead }: ModelConfig): string {
  if (!hasTiedHead) return UNTIED_HEAD
  return family === 'gpt2' ? 'transformer.wte.weight' : 'model.embed_tokens.weight'
}

/** Throws NOT_A_LANGUAGE_MODEL, naming the model, when it has a score head: it is not there to write answers. */
export function checkLanguageModel(parameters: ParameterMap, name = 'the model'): void {
  if (!parameters.has(SCORE_HEAD)) return
  throw new PlumblineError(
    'NOT_A_LANGUAGE_MODEL',
    `${name} has a ${SCORE_HEAD}: it is a reward model, which scores answers and writes none.`,
    {
      hint: 'Give a language model, such as the one that it was trained from. plumb ppo takes this one as --reward-model, and plumb reward --model trains it further.',
    },
  )
}

/** Throws NOT_A_LANGUAGE_MODEL for a reward model, and where the scores over the vocabulary are missing. */
export function checkHead(config: ModelConfig, parameters: ParameterMap): void {
  checkLanguageModel(parameters)
  if (parameters.has(headName(config))) return
  throw new PlumblineError(
    'NOT_A_LANGUAGE_MODEL',
    `the model has no ${headName(config)}, so it cannot say what comes next.`,
    { hint: 'It seems to be a reward model. Give it as --reward-model, and a …ForCausalLM as --model.' },
  )
}
