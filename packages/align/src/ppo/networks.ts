/**
 * What PPO trains: the policy, and the value model. That is a head on the policy's trunk (`shared`, Ziegler et al. 2019),
 * which begins with zeros, or a trunk of its own (`separate`, Stiennon et al. 2020), which begins as the reward model.
 */
import {
  add,
  createParameter,
  div,
  matmul,
  type Parameter,
  type ParameterMap,
  type Random,
  reshape,
  type Tensor,
  tokenLogprobs,
  type Value,
} from '@plumbline/engine'
import {
  type ForwardAtRows,
  type LanguageModel,
  type ModelConfig,
  type RaggedOptions,
  SCORE_HEAD,
} from '@plumbline/models'
import type { PpoConfig } from '../config.ts'
import { createFrozenLayers, type FrozenLayers } from '../parts/frozen-layers.ts'
import { makeTrainable, type Trainable } from '../parts/trainable.ts'
import { normalizationOf } from './normalization.ts'

/** A trunk and the heads that read it. */
export interface Network {
  readonly config: ModelConfig
  readonly heads: readonly ('policy' | 'value')[]
  /** Without dropout, also in the update: with it the first ratio would not be 1. Without its frozen layers. */
  readonly build: RaggedOptions
  /** Those below what is trained. */
  readonly frozen: FrozenLayers | undefined
  /** What is trained of it, by the names in its graph. */
  readonly trained: ParameterMap
  /** Stands before these names in the optimizer and in checkpoints, where both trunks are side by side. */
  readonly prefix: string
  /** Values of all its parameters, and what a step needs beside its batch. */
  feeds(step: number): Record<string, Value>
}

/** All that a network's program is fed for a batch, but for the batch itself. */
export async function networkFeeds(
  { feeds, frozen }: Pick<Network, 'feeds' | 'frozen'>,
  step: number,
  batch: readonly (readonly number[])[],
): Promise<Record<string, Value>> {
  return { ...feeds(step), ...(await frozen?.feeds(batch)) }
}

const VALUE_HEAD = { weight: 'value_head.weight', bias: 'value_head.bias' }

/** One network or two, by `value_model`. `policy` is what is trained of the policy. */
export async function createNetworks(
  config: PpoConfig,
  { policy, rewardModel }: { readonly policy: LanguageModel; readonly rewardModel: LanguageModel },
  trainable: Trainable,
  random: Random,
): Promise<Network[]> {
  if (config.value_model === 'shared')
    return [await network(policy, ['policy', 'value'], trainable, zeroHead(policy.config), '')]
  const trunk = valueTrunk(config, rewardModel, random)
  return [
    await network(policy, ['policy'], trainable, new Map(), ''),
    await network(rewardModel, ['value'], trunk, scoreHead(rewardModel, config), 'value_model.'),
  ]
}

async function network(
  model: LanguageModel,
  heads: Network['heads'],
  { parameters, firstLayer, evaluationBuild, feeds }: Trainable,
  head: ParameterMap,
  prefix: string,
): Promise<Network> {
  const frozen = firstLayer === 0 ? undefined : await createFrozenLayers(model, firstLayer)
  return {
    config: model.config,
    heads,
    build: { ...evaluationBuild, firstLayer: frozen?.firstLayer },
    frozen,
    trained: new Map([...parameters, ...head]),
    prefix,
    feeds: (step) => ({ ...feeds(step), ...Object.fromEntries(head) }),
  }
}

/** All that is trained, by the names that the optimizer and checkpoints know. */
export function trainedParameters(networks: readonly Network[]): ParameterMap {
  const parameters = networks.flatMap(({ trained, prefix }) =>
    [...trained.values()].map((parameter): Parameter => ({ ...parameter, name: prefix + parameter.name })),
  )
  return new Map(parameters.map((parameter) => [parameter.name, parameter]))
}

/** Before it has learned, this value model says nothing. */
function zeroHead({ hiddenSize }: ModelConfig): Map<string, Parameter> {
  return new Map([
    [VALUE_HEAD.weight, createParameter(VALUE_HEAD.weight, [1, hiddenSize])],
    [VALUE_HEAD.bias, createParameter(VALUE_HEAD.bias, [1])],
  ])
}

/**
 * The score head in the units of the rewards: w·h → (w·h − mean) / std, so that the value at the last token of an answer
 * is its normalised score.
 */
function scoreHead(rewardModel: LanguageModel, config: PpoConfig): ParameterMap {
  const { mean, std } = normalizationOf(rewardModel, config)
  const head = zeroHead(rewardModel.config)
  const { data: weight } = head.get(VALUE_HEAD.weight)!
  rewardModel.parameters.get(SCORE_HEAD)!.data.forEach((w, i) => {
    weight[i] = w / std
  })
  head.get(VALUE_HEAD.bias)!.data[0] = -mean / std
  return head
}

/** A copy of the reward model's trunk, which goes on scoring as it is; with `use_peft` an adapter on that trunk itself. */
function valueTrunk(config: PpoConfig, rewardModel: LanguageModel, random: Random): Trainable {
  const trunk = new Map([...rewardModel.parameters].filter(([name]) => name !== SCORE_HEAD))
  const parameters = config.use_peft ? trunk : copyOf(trunk)
  return makeTrainable({ ...rewardModel, parameters }, config, random.fork('value model'))
}

/** In memory of its own, so that updates of the original cannot reach it. */
export function copyOf(parameters: ParameterMap): ParameterMap {
  return new Map(
    [...parameters].map(([name, { shape, data }]) => {
      const copy = createParameter(name, shape)
      copy.data.set(data)
      return [name, copy]
    }),
  )
}

export interface PolicyOutputs {
  /** At the temperature, [M, V]. */
  readonly logits: Tensor
  /** Of the targets, [M]. */
  readonly logprobs: Tensor
}

/** Of what stands before each target. Log-probabilities are those of logits / temperature, everywhere alike. */
export function policyOutputs({ graph, logitsAtRows }: ForwardAtRows, { temperature }: PpoConfig): PolicyOutputs {
  const logits = div(logitsAtRows(), graph.constant(temperature))
  return { logits, logprobs: tokenLogprobs(logits, graph.input('targets', 'int32', ['M'])) }
}

/** What is expected before each target, [M]. */
export function valueOutputs({ hiddenAtRows, model }: ForwardAtRows, { hiddenSize }: ModelConfig): Tensor {
  const weight = model.parameter(VALUE_HEAD.weight, [1, hiddenSize])
  const product = matmul(hiddenAtRows(), weight, { transposeB: true }) // [M, 1]
  return add(reshape(product, { shape: ['M'] }), model.parameter(VALUE_HEAD.bias, [1]))
}
