import type { ParameterMap } from '@plumbline/engine'
import { type Completion, createDecoder, createTextStream, generate, type LanguageModel } from '@plumbline/models'

export interface CompletionOptions {
  readonly maxNewTokens: number
  /** 0: the likeliest token each time. */
  readonly temperature: number
  readonly seed: number
  readonly signal?: AbortSignal
}

/** The most sequences that are sampled side by side. */
const SLOTS = 32

/** y ~ π(· | x) at the temperature with nothing cut off, one for each prompt, in the order in which they end. */
export async function* completionsOf(
  { config, tokenizer, stopTokenIds }: LanguageModel,
  parameters: ParameterMap,
  prompts: readonly (readonly number[])[],
  options: CompletionOptions,
): AsyncGenerator<Completion> {
  const decoder = await createDecoder(config, parameters, {
    slots: Math.min(prompts.length, SLOTS),
    length: Math.max(...prompts.map((ids) => ids.length)) + options.maxNewTokens,
  })
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
