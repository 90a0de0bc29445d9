import { PlumblineError } from '@plumbline/contracts'
import type { ParameterMap } from '@plumbline/engine'
import type { ModelConfig } from '@plumbline/models'
import { frozenNumbers } from './frozen-layers.ts'

export interface MemoryPlan {
  readonly config: ModelConfig
  /** Numbers in the model, and in what is trained of it. */
  readonly parameters: number
  readonly trainable: number
  /** Numbers in all other weights: a reference, a reward model, what a decoder packs. */
  readonly others?: number
  /** Numbers that get gradients at the same time; all that is trained by default. */
  readonly gradients?: number
  readonly microBatchTokens: number
  readonly longestRow: number
}

/** How many numbers the parameters hold. */
export function numbersIn(parameters: ParameterMap): number {
  return parameters.values().reduce((sum, { data }) => sum + data.length, 0)
}

/** Bytes that training will need at its peak, within about a fifth: measured on SmolLM2-135M. */
export function estimateMemory({
  config,
  parameters,
  trainable,
  others = 0,
  gradients = trainable,
  microBatchTokens,
  longestRow,
}: MemoryPlan): number {
  const tokens = Math.max(microBatchTokens, longestRow)
  const { layers, hiddenSize, intermediateSize, heads, vocabSize } = config
  // What the backward pass needs of each layer and token, and the scores over the vocabulary with their gradients.
  const activations = layers * (14 * hiddenSize + 6 * intermediateSize + 2 * heads * longestRow) + 5 * vocabSize
  // Two moments, gradients, and those of a micro-batch.
  return 4 * (parameters + others + 2 * trainable + 2 * gradients + tokens * activations) + 3e8
}

/** What a trainer of one model, or of an adapter on it, knows before its first step. */
export interface TrainerPlan {
  readonly model: { readonly config: ModelConfig; readonly parameters: ParameterMap }
  readonly trained: ParameterMap
  readonly firstLayer: number
  /** That the steps read. */
  readonly sequences: readonly (readonly number[])[]
  readonly longestRow: number
  /** Numbers in memory that the answers of --sample-steps take. */
  readonly ofSamples?: number
}

/** `checkMemory` for a trainer of one model. */
export function checkTrainerMemory(
  {
    micro_batch_tokens: microBatchTokens,
    use_peft,
  }: { readonly micro_batch_tokens: number; readonly use_peft: boolean },
  { model: { config, parameters }, trained, firstLayer, sequences, longestRow, ofSamples = 0 }: TrainerPlan,
  availableBytes: number,
): void {
  const numbers = {
    parameters: numbersIn(parameters),
    trainable: numbersIn(trained),
    others: ofSamples + frozenNumbers(config, firstLayer, sequences),
  }
  checkMemory(
    { config, ...numbers, microBatchTokens, longestRow },
    {
      availableBytes,
      flags: ['--micro-batch-tokens', '--max-length'],
      alternatives: [...(use_peft ? [] : [USE_PEFT]), ...(ofSamples > 0 ? [NO_SAMPLES] : [])],
    },
  )
}

/** One of the alternatives that `checkMemory` may name. */
export const USE_PEFT = 'train an adapter with --use-peft'

const NO_SAMPLES = 'leave out --sample-steps'

export interface MemoryLimit {
  readonly availableBytes: number
  /** Flags of the trainer that need less when they are lowered. */
  readonly flags: readonly string[]
  /** What else would need less, such as `USE_PEFT`. */
  readonly alternatives?: readonly string[]
}

/** Throws MEMORY_SHORT, with the flags that help, before anything is computed when the plan does not fit. */
export function checkMemory(plan: MemoryPlan, { availableBytes, flags, alternatives = [] }: MemoryLimit): void {
  const needed = estimateMemory(plan)
  if (needed <= availableBytes) return
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  // Tokens one by one, and where there are alternatives at most nothing but the model itself.
  const shortest = { ...plan, microBatchTokens: 1, longestRow: 1 }
  const least = alternatives.length === 0 ? shortest : { ...shortest, trainable: 0, gradients: 0, others: 0 }
  const hint =
    estimateMemory(least) > availableBytes
      ? 'No flag makes it fit: free some memory, or give a smaller --model.'
      : `${[`Lower ${flags.join(' or ')}`, ...alternatives].join(', or ')}.`
  throw new PlumblineError(
    'MEMORY_SHORT',
    `training needs about ${gigabytes(needed)} of memory; about ${gigabytes(availableBytes)} are free.`,
    { hint },
  )
}
