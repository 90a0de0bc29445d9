import type { Random } from '@plumbline/engine'
import type { NextTokens } from './decoder.ts'
import { FIRST_DRAFT } from './draft.ts'
import { likeliest, notFinite, type SamplingOptions, sampleToken } from './sampling.ts'
import type { createTextStream } from './tokenizer.ts'

type TextStream = ReturnType<typeof createTextStream>

/** How one completion is drawn and where it ends. */
export interface SequenceOptions extends SamplingOptions {
  readonly maxNewTokens: number
  /** Texts that end a completion; the text is cut before them. */
  readonly stop: readonly string[]
  /** Tokens that end a completion; the token is kept in `tokenIds`. */
  readonly stopTokenIds: readonly number[]
  /** Turns a completion's tokens into text as they come. */
  readonly createTextStream: () => TextStream
  /** Most tokens guessed at a time when a sequence is alone. It changes the speed and, but for rounding, not the tokens; 0: none. */
  readonly draftTokens?: number
  /** How many of the likeliest tokens to name beside each token drawn; none by default. */
  readonly topLogprobs?: number
}

export interface TokenLogprob {
  readonly tokenId: number
  readonly logprob: number
}

/** A token of a sequence as it is drawn. */
export interface DrawnToken extends TokenLogprob {
  /** New text that is certain; may be empty while a character or a stop text is incomplete. */
  readonly text: string
  /** Where the token's own text begins in the completion. */
  readonly start: number
  /** The likeliest first; as many as `topLogprobs` asked for. */
  readonly alternatives: readonly TokenLogprob[]
}

/** One completion in the making; it sits in a slot of the decoder. */
export interface Sequence {
  /** Sequences with the very same array are read once where they enter together. */
  readonly promptIds: readonly number[]
  readonly options: SequenceOptions
  readonly onToken: ((token: DrawnToken) => void) | undefined
  readonly tokenIds: number[]
  /** Log-probability of each token under the model itself: temperature 1, nothing cut off. */
  readonly logprobs: number[]
  /** Probability of each token at the temperature, before anything is penalised or cut off; NaN where the likeliest is taken. */
  readonly probabilities: number[]
  readonly seen: Set<number>
  readonly random: Random
  readonly stream: TextStream
  text: string
  /** How much of the text has been given out: a possible beginning of a stop text is held back. */
  emitted: number
  /** Tokens to guess next time. */
  draftLength: number
  finishReason: 'stop' | 'length' | undefined
}

export function startSequence(
  promptIds: readonly number[],
  random: Random,
  options: SequenceOptions,
  onToken?: (token: DrawnToken) => void,
): Sequence {
  return {
    promptIds,
    options,
    onToken,
    tokenIds: [],
    logprobs: [],
    probabilities: [],
    seen: new Set(promptIds),
    random,
    stream: options.createTextStream(),
    text: '',
    emitted: 0,
    draftLength: FIRST_DRAFT,
    finishReason: undefined,
  }
}

/** Tokens of a sequence in the decoder: the last one drawn has not been read yet. */
export const cachedLength = ({ promptIds, tokenIds }: Sequence) => promptIds.length + tokenIds.length - 1

/** Draws a sequence's next token from row `row` of the scores. Throws LOGITS_NOT_FINITE. */
export function extendSequence(sequence: Sequence, scores: NextTokens, row: number): void {
  const { tokenIds, logprobs, seen, random, stream, options } = sequence
  const vocabSize = scores.vocabSize
  const part = (values: Float32Array) => values.subarray(row * vocabSize, (row + 1) * vocabSize)
  const { logits, probabilities, likeliest: best } = scores
  const rowScores = {
    logits: part(logits),
    likeliest: best[row],
    ...(probabilities && { probabilities: part(probabilities) }),
  }
  const token = sampleToken(rowScores, options, seen, random.uniform)
  const logprobOf = (id: number) => rowScores.logits[id] - scores.logNormalizers[row]
  const logprob = logprobOf(token)
  if (!Number.isFinite(logprob)) throw notFinite()
  tokenIds.push(token)
  logprobs.push(logprob)
  sequence.probabilities.push(rowScores.probabilities?.[token] ?? Number.NaN)
  seen.add(token)
  const start = sequence.text.length
  const isEnd = options.stopTokenIds.includes(token)
  if (!isEnd) sequence.text += stream.push(token)
  const isFull = tokenIds.length >= options.maxNewTokens
  if (isEnd || isFull) sequence.text += stream.end()
  const cut = firstStop(sequence.text, options.stop)
  if (cut >= 0) sequence.text = sequence.text.slice(0, cut)
  if (isEnd || cut >= 0) sequence.finishReason = 'stop'
  else if (isFull) sequence.finishReason = 'length'
  const named = sequence.onToken === undefined ? [] : likeliest(rowScores.logits, options.topLogprobs ?? 0)
  const alternatives = named.map((id) => ({ tokenId: id, logprob: logprobOf(id) }))
  sequence.onToken?.({ tokenId: token, logprob, text: newText(sequence), start, alternatives })
}

/** What of the text can be given out now. */
function newText(sequence: Sequence): string {
  const { text, emitted, finishReason, options } = sequence
  const safe = finishReason ? text.length : text.length - heldBack(text, options.stop)
  const piece = text.slice(emitted, Math.max(safe, emitted))
  sequence.emitted += piece.length
  return piece
}

function firstStop(text: string, stops: readonly string[]): number {
  const found = stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0)
  return found.length === 0 ? -1 : Math.min(...found)
}

/** Length of the text's longest end that a stop text begins with. */
function heldBack(text: string, stops: readonly string[]): number {
  let longest = 0
  for (const stop of stops)
    for (let size = Math.min(stop.length - 1, text.length); size > longest; size--)
      if (text.endsWith(stop.slice(0, size))) longest = size
  return longest
}
