import type { PromptRow } from '../config.ts'
import type { JsonValue } from '../parts/json-value.ts'

/** A prompt as tokens, and where it stands in the data, from 1. */
export interface EncodedPrompt {
  readonly prompt: PromptRow['prompt']
  readonly promptIds: readonly number[]
  readonly row: number
}

/** An answer to it. */
export interface SampledAnswer extends EncodedPrompt {
  readonly completionIds: readonly number[]
  /** Of each token when it was drawn. */
  readonly drawnLogprobs: readonly number[]
  readonly text: string
  readonly hasEos: boolean
}

/** One sampled answer and all that is known of it. Numbers by token of the completion. */
export interface Episode extends SampledAnswer {
  /** The reward model's own, neither normalised nor penalised. */
  readonly score: number
  readonly oldLogprobs: Float32Array
  readonly refLogprobs: Float32Array
  readonly oldValues: Float32Array
}

/** An episode with what it teaches. */
export interface Lesson extends Episode {
  readonly advantages: Float64Array
  readonly returns: Float64Array
}

/** Tokens of prompt and answer. */
export const tokensOf = ({ promptIds, completionIds }: Pick<Episode, 'promptIds' | 'completionIds'>) =>
  promptIds.length + completionIds.length

/** The tokens themselves. */
export const idsOf = ({ promptIds, completionIds }: Pick<Episode, 'promptIds' | 'completionIds'>) => [
  ...promptIds,
  ...completionIds,
]

/** Its KL estimate (k1), summed over its tokens, in nats. */
export const klOf = ({ oldLogprobs, refLogprobs }: Pick<Episode, 'oldLogprobs' | 'refLogprobs'>) =>
  oldLogprobs.reduce((sum, logprob, t) => sum + logprob - refLogprobs[t], 0)

/** What samples.jsonl shows of an episode. */
export function sampleRow(episode: Episode) {
  const { prompt, text, score, hasEos } = episode
  const finish_reason = hasEos ? 'stop' : 'length'
  return { prompt: prompt as JsonValue, completion: text, score, kl: klOf(episode), finish_reason }
}
