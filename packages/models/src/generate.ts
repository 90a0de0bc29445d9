import { PlumblineError } from '@plumbline/contracts'
import { createRandom } from '@plumbline/engine'
import type { Decoder } from './decoder.ts'
import { createDecodingBatch } from './decoding-batch.ts'
import { type DrawnToken, type Sequence, type SequenceOptions, startSequence } from './sequence.ts'

export interface GenerateOptions extends Omit<SequenceOptions, 'topLogprobs'> {
  /** Completions of each prompt. */
  readonly numGenerations: number
  readonly seed: number
  /** Called with each new piece of text; `text` may be empty while a character is incomplete. */
  readonly onToken?: (event: TokenEvent) => void
  readonly signal?: AbortSignal
}

export interface TokenEvent extends Omit<DrawnToken, 'start' | 'alternatives'> {
  readonly promptIndex: number
  readonly generation: number
}

export interface Completion {
  readonly promptIndex: number
  /** 0 … numGenerations − 1. */
  readonly generation: number
  readonly text: string
  readonly tokenIds: readonly number[]
  /** Log-probability of each token under the model itself: temperature 1, nothing cut off. */
  readonly logprobs: readonly number[]
  /** Probability that each token was drawn with, at the temperature; unless it is 0 or something is penalised or cut off. */
  readonly probabilities: readonly number[]
  readonly finishReason: 'stop' | 'length'
}

/** A sequence that knows whose completion it is. */
interface NumberedSequence extends Sequence {
  readonly promptIndex: number
  readonly generation: number
}

/**
 * Completions in the order in which they finish. Finished sequences leave the batch and waiting ones enter at once; the
 * prompt of several completions is read once. Random numbers belong to (seed, prompt, generation), so neither the batch
 * nor its order changes what is drawn.
 */
export async function* generate(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): AsyncGenerator<Completion> {
  checkPromptLengths(prompts, options.maxNewTokens, decoder.length)
  const { numGenerations, signal } = options
  const waiting = prompts.flatMap((promptIds, promptIndex) =>
    Array.from({ length: numGenerations }, (_, generation) => ({ promptIds, promptIndex, generation })),
  )
  const batch = createDecodingBatch<NumberedSequence>(decoder)
  while (waiting.length > 0 || batch.active.length > 0) {
    signal?.throwIfAborted()
    const free = decoder.slots - batch.active.length
    if (free > 0 && waiting.length > 0)
      await batch.admit(
        waiting.splice(0, free).map((job) => numberedSequence(job, options)),
        signal,
      )
    else await batch.advance(signal)
    for (const sequence of batch.active) if (sequence.finishReason) yield finished(sequence)
    batch.remove(({ finishReason }) => finishReason !== undefined)
  }
}

/** Throws EMPTY_PROMPT, or PROMPT_TOO_LONG when a prompt and its new tokens exceed `length`. */
export function checkPromptLengths(
  prompts: readonly (readonly number[])[],
  maxNewTokens: number,
  length: number,
  nameOf = (index: number) => `prompt ${index + 1}`,
): void {
  prompts.forEach((prompt, index) => {
    if (prompt.length === 0)
      throw new PlumblineError('EMPTY_PROMPT', `${nameOf(index)} has no tokens.`, { hint: 'Give it some text.' })
    if (prompt.length + maxNewTokens > length)
      throw new PlumblineError(
        'PROMPT_TOO_LONG',
        `${nameOf(index)} has ${prompt.length} tokens; with ${maxNewTokens} new ones it exceeds the ${length} that fit.`,
        { hint: prompt.length < length ? 'Shorten the prompt or lower --max-new-tokens.' : 'Shorten the prompt.' },
      )
  })
}

type Job = Pick<NumberedSequence, 'promptIds' | 'promptIndex' | 'generation'>

function numberedSequence({ promptIds, promptIndex, generation }: Job, options: GenerateOptions): NumberedSequence {
  const { onToken } = options
  const random = createRandom(options.seed).fork(`${promptIndex}/${generation}`)
  const tell = ({ tokenId, logprob, text }: DrawnToken) =>
    onToken?.({ promptIndex, generation, tokenId, logprob, text })
  return { ...startSequence(promptIds, random, options, tell), promptIndex, generation }
}

function finished(sequence: NumberedSequence): Completion {
  const { promptIndex, generation, text, tokenIds, logprobs, probabilities, finishReason } = sequence
  return { promptIndex, generation, text, tokenIds, logprobs, probabilities, finishReason: finishReason! }
}
