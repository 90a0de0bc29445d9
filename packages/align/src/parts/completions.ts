import type { ParameterMap } from '@plumbline/engine'
import {
  type Completion,
  cacheBytes,
  createDecoder,
  createTextStream,
  generate,
  type LanguageModel,
} from '@plumbline/models'

export interface CompletionOptions {
  readonly maxNewTokens: number
  /** 0: the likeliest token each time. */
  readonly temperature: number
  readonly seed: number
  readonly signal?: AbortSignal
}

/** The most sequences that are sampled side by side: enough to keep the kernels busy, and for the example set's 130 prompts. */
const SLOTS = 132
/** Bytes that their key-value cache may take; fewer side by side when they are long. */
const CACHE_BYTES = 1e9

/** y ~ π(· | x) at the temperature with nothing cut off, one for each prompt, in the order in which they end. */
export async function* completionsOf(
  { config, tokenizer, stopTokenIds }: LanguageModel,
  parameters: ParameterMap,
  prompts: readonly (readonly number[])[],
  options: CompletionOptions,
): AsyncGenerator<Completion> {
  const length = Math.max(...prompts.map((ids) => ids.length)) + options.maxNewTokens
  const fitting = Math.floor(CACHE_BYTES / (cacheBytes(config) * length))
  const slots = Math.max(1, Math.min(prompts.length, SLOTS, fitting))
  const tokens = Math.ceil(prompts.length / slots) * options.maxNewTokens
  const decoder = await createDecoder(config, parameters, { slots, length, tokens })
  try {
    yield* generate(decoder, prompts, {
      ...options,
      topP: 1,
      topK: 0,
      repetitionPenalty: 1,
      numGenerations: 1,
      stop: [],
      stopTokenIds,
      createTextStream: () => createTextStream(tokenizer, { skipSpecialTokens: true }),
    })
  } finally {
    await decoder.dispose()
  }
}
