import type { ParameterMap } from '@plumbline/engine'
import { type Completion, createDecoder, createTextStream, generate, type LanguageModel } from '@plumbline/models'

export interface CompletionOptions {
  readonly maxNewTokens: number
  /** 0: the likeliest token each time. */
  readonly temperature: number
  readonly seed: number
  readonly signal?: AbortSignal
}

/** About so many sequences are sampled side by side: enough to keep the kernels busy. */
const SLOTS = 64

/** y ~ π(· | x) at the temperature with nothing cut off, one for each prompt, in the order in which they end. */
export async function* completionsOf(
  { config, tokenizer, stopTokenIds }: LanguageModel,
  parameters: ParameterMap,
  prompts: readonly (readonly number[])[],
  options: CompletionOptions,
): AsyncGenerator<Completion> {
  const decoder = await createDecoder(config, parameters, {
    // In turns of one size: a last one of a few takes as many steps as any.
    slots: Math.ceil(prompts.length / Math.max(1, Math.round(prompts.length / SLOTS))),
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
