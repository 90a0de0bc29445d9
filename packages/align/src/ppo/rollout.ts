/** Rollouts: answers are sampled and scored, then read once by each network in training and by the reference. */
import { PlumblineError } from '@plumbline/contracts'
import { compile, type ParameterMap, type Tensor, type Value } from '@plumbline/engine'
import {
  buildRaggedForward,
  completionTargets,
  createRewardScorer,
  type LanguageModel,
  type ModelConfig,
  raggedTargetFeeds,
} from '@plumbline/models'
import type { PpoConfig } from '../config.ts'
import { microBatches } from '../parts/batches.ts'
import { completionsOf } from '../parts/completions.ts'
import type { Stopwatch } from '../parts/stopwatch.ts'
import type { Trainable } from '../parts/trainable.ts'
import { notFinite } from '../parts/training.ts'
import { type EncodedPrompt, type Episode, idsOf, type SampledAnswer, tokensOf } from './episode.ts'
import { type Network, networkFeeds, policyOutputs, valueOutputs } from './networks.ts'

export interface RolloutModels {
  readonly policy: LanguageModel
  readonly trainable: Trainable
  readonly networks: readonly Network[]
  readonly reference: Reference
  readonly rewardModel: LanguageModel
}

/** What the KL is measured to. */
export interface Reference {
  readonly config: ModelConfig
  readonly parameters: ParameterMap
  /** Whether it is what the policy's adapter stands on. */
  readonly isPolicyTrunk: boolean
}

export interface Rollout {
  /** An episode for each prompt. Throws NOT_FINITE, SCORES_NOT_FINITE and REFERENCE_NOT_FINITE, naming rows of the data. */
  collect(prompts: readonly EncodedPrompt[], options: { seed: number; step: number }): Promise<Episode[]>
  dispose(): Promise<unknown>
}

/** The most tokens of one forward pass: more are not faster, and each holds its scores over the vocabulary twice. */
const READ_TOKENS = 512

export async function createRollout(config: PpoConfig, models: RolloutModels, stopwatch: Stopwatch): Promise<Rollout> {
  const { networks, reference, rewardModel } = models
  const scorer = await createRewardScorer(rewardModel.config, rewardModel.parameters)
  const readers = await Promise.all(networks.map((network) => createReader(config, network)))
  const frozen = reference.isPolicyTrunk ? networks[0].frozen : undefined
  const referenceReader = await createReader(config, {
    config: reference.config,
    heads: ['policy'],
    frozen,
    build: { firstLayer: frozen?.firstLayer },
    feeds: () => Object.fromEntries(reference.parameters),
  })

  return {
    async collect(prompts, { seed, step }) {
      const answers = await stopwatch.time('generate', () =>
        sampleAnswers(config, models, prompts, seed).catch((error) => {
          if (error.code !== 'LOGITS_NOT_FINITE') throw error
          const rows = prompts.map(({ row }) => row)
          throw notFinite('the policy gives scores that are not finite', { step, rows }, error)
        }),
      )
      const scores = await stopwatch.time('score', () => scorer.rewards(answers.map(idsOf)))
      checkScores(answers, scores, step)
      for (const { frozen } of networks) frozen?.hold(answers.map(idsOf))
      return stopwatch.time('forward', async () => {
        const { logprobs: refLogprobs } = await referenceReader.read(answers, step)
        checkReference(answers, refLogprobs!, step)
        const own: Partial<Record<Reading, Float32Array[]>> = {}
        for (const reader of readers) Object.assign(own, await reader.read(answers, step))
        return answers.map((answer, i) => ({
          ...answer,
          score: scores[i],
          oldLogprobs: own.logprobs![i],
          refLogprobs: refLogprobs![i],
          oldValues: own.values![i],
        }))
      })
    },
    dispose: () => Promise.all([scorer, referenceReader, ...readers].map((program) => program.dispose())),
  }
}

function checkScores(answers: readonly SampledAnswer[], scores: readonly number[], step: number): void {
  const bad = scores.flatMap((score, i) => (Number.isFinite(score) ? [] : [{ score, row: answers[i].row }]))
  if (bad.length === 0) return
  throw new PlumblineError(
    'SCORES_NOT_FINITE',
    `step ${step + 1}: the reward model scores ${bad.length} of ${scores.length} answers ${bad[0].score}; their rows are ${bad.map(({ row }) => row).join(', ')}.`,
    { hint: 'Train the reward model again: it has weights that are no finite numbers, or too large ones.' },
  )
}

function checkReference(answers: readonly SampledAnswer[], logprobs: readonly Float32Array[], step: number): void {
  const bad = answers.filter((_, i) => !logprobs[i].every(Number.isFinite))
  if (bad.length === 0) return
  throw new PlumblineError(
    'REFERENCE_NOT_FINITE',
    `step ${step + 1}: the reference model gives log-probabilities that are not finite to ${bad.length} of ${answers.length} answers; their rows are ${bad.map(({ row }) => row).join(', ')}.`,
    { hint: 'Give another --ref-model: this one has weights that are no finite numbers, or too large ones.' },
  )
}

/** y ~ π(· | x) at the temperature, with nothing cut off. */
async function sampleAnswers(
  config: PpoConfig,
  { policy, trainable }: RolloutModels,
  prompts: readonly EncodedPrompt[],
  seed: number,
): Promise<SampledAnswer[]> {
  const answers = new Array<SampledAnswer>(prompts.length)
  const ids = prompts.map(({ promptIds }) => promptIds)
  const options = { maxNewTokens: config.response_length, temperature: config.temperature, seed }
  const completions = completionsOf(policy, await trainable.merged(), ids, options)
  for await (const { promptIndex, tokenIds, probabilities, text, finishReason } of completions)
    answers[promptIndex] = {
      ...prompts[promptIndex],
      completionIds: tokenIds,
      drawnLogprobs: probabilities.map(Math.log),
      text,
      hasEos: finishReason === 'stop',
    }
  return answers
}

type Reading = 'logprobs' | 'values'

/** A forward pass over whole answers: what a network's heads say of every completion token, a row for each answer. */
async function createReader(config: PpoConfig, network: Omit<Network, 'trained' | 'prefix'>) {
  const forward = buildRaggedForward(network.config, network.build)
  const outputs: Partial<Record<Reading, Tensor>> = {}
  if (network.heads.includes('policy')) outputs.logprobs = policyOutputs(forward, config).logprobs
  if (network.heads.includes('value')) outputs.values = valueOutputs(forward, network.config)
  const names = Object.keys(outputs) as Reading[]
  const program = await compile(forward.graph, outputs as Record<Reading, Tensor>)

  return {
    async read(answers: readonly SampledAnswer[], step: number): Promise<Partial<Record<Reading, Float32Array[]>>> {
      const rows = Object.fromEntries(names.map((name) => [name, new Array<Float32Array>(answers.length)]))
      const indexed = answers.map((answer, index) => ({ ...answer, index }))
      const parts = microBatches(indexed, tokensOf, Math.min(READ_TOKENS, config.micro_batch_tokens))
      for (const part of parts) {
        const feeds = await networkFeeds(network, step, part.map(idsOf))
        const batch = raggedTargetFeeds(network.config, part.map(completionTargets))
        // The next to read, or to learn, needs it.
        const frees = part === parts.at(-1)
        const values: Readonly<Record<string, Value>> = await program.run({ ...feeds, ...batch }, { frees })
        let end = 0
        for (const { index, completionIds } of part) {
          end += completionIds.length
          for (const name of names)
            rows[name][index] = (values[name].data as Float32Array).slice(end - completionIds.length, end)
        }
      }
      return rows
    },
    dispose: () => program.dispose(),
  }
}
