import { PlumblineError } from '@plumbline/contracts'
import { createRandom, type Random } from '@plumbline/engine'
import type { Decoder, NextTokens } from './decoder.ts'
import { draftLengthAfter, FIRST_DRAFT, lookUpDraft, MOST_DRAFTED } from './draft.ts'
import { notFinite, type SamplingOptions, sampleToken } from './sampling.ts'
import type { createTextStream } from './tokenizer.ts'

type TextStream = ReturnType<typeof createTextStream>

export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number
  /** Completions of each prompt. */
  readonly numGenerations: number
  readonly seed: number
  /** Texts that end a completion; the text is cut before them. */
  readonly stop: readonly string[]
  /** Tokens that end a completion; the token is kept in `tokenIds`. */
  readonly stopTokenIds: readonly number[]
  /** Turns a completion's tokens into text as they come. */
  readonly createTextStream: () => TextStream
  /** Called with each new piece of text; `text` may be empty while a character is incomplete. */
  readonly onToken?: (event: TokenEvent) => void
  readonly signal?: AbortSignal
  /** Most tokens guessed at a time when a sequence is alone. It changes the speed and, but for rounding, not the tokens; 0: none. */
  readonly draftTokens?: number
}

export interface TokenEvent {
  readonly promptIndex: number
  readonly generation: number
  readonly tokenId: number
  readonly logprob: number
  readonly text: string
}

export interface Completion {
  readonly promptIndex: number
  /** 0 … numGenerations − 1. */
  readonly generation: number
  readonly text: string
  readonly tokenIds: readonly number[]
  /** Log-probability of each token under the model itself: temperature 1, nothing cut off. */
  readonly logprobs: readonly number[]
  readonly finishReason: 'stop' | 'length'
}

/** One completion in the making; it sits in a slot of the decoder. */
interface Sequence {
  readonly promptIndex: number
  readonly generation: number
  readonly promptIds: readonly number[]
  readonly tokenIds: number[]
  readonly logprobs: number[]
  readonly seen: Set<number>
  readonly random: Random
  readonly stream: TextStream
  text: string
  /** How much of the text has been given out: a possible beginning of a stop text is held back. */
  emitted: number
  /** Tokens to guess next time. */
  draftLength: number
  finishReason: Completion['finishReason'] | undefined
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
  const waiting = prompts.flatMap((promptIds, promptIndex) =>
    Array.from({ length: options.numGenerations }, (_, generation) => ({ promptIds, promptIndex, generation })),
  )
  const active: Sequence[] = []
  while (waiting.length > 0 || active.length > 0) {
    options.signal?.throwIfAborted()
    const free = decoder.slots - active.length
    if (free > 0 && waiting.length > 0) {
      const entering = waiting.splice(0, free).map((job) => startSequence(job, options))
      await admit(decoder, active, entering, options)
    } else {
      const draft = active.length === 1 ? draftOf(active[0], options) : []
      if (draft.length > 0) await advanceAlong(decoder, active[0], draft, options)
      else await advance(decoder, active, options)
    }
    for (const sequence of active) if (sequence.finishReason) yield finished(sequence)
    compact(decoder, active)
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

function startSequence(
  { promptIds, promptIndex, generation }: Pick<Sequence, 'promptIds' | 'promptIndex' | 'generation'>,
  { seed, createTextStream }: GenerateOptions,
): Sequence {
  return {
    promptIds,
    promptIndex,
    generation,
    tokenIds: [],
    logprobs: [],
    seen: new Set(promptIds),
    random: createRandom(seed).fork(`${promptIndex}/${generation}`),
    stream: createTextStream(),
    text: '',
    emitted: 0,
    draftLength: FIRST_DRAFT,
    finishReason: undefined,
  }
}

/** Most tokens, padding included, that one call reads: enough to keep the kernels busy, little enough memory. */
const PREFILL_TOKENS = 2048
/** Prompts are read together while the shortest is at least this part of the longest. */
const PREFILL_FILL = 0.75

/** Seats new sequences behind the active ones, reads each distinct prompt once and draws all first tokens. */
async function admit(decoder: Decoder, active: Sequence[], entering: readonly Sequence[], options: GenerateOptions) {
  const isLeader = (sequence: Sequence, i: number) => i === 0 || entering[i - 1].promptIndex !== sequence.promptIndex
  const leaders = entering.filter(isLeader).toSorted((a, b) => b.promptIds.length - a.promptIds.length)
  const followers = entering.filter((sequence, i) => !isLeader(sequence, i))
  let first = active.length
  active.push(...leaders, ...followers)
  for (const group of prefillGroups(leaders)) {
    const prompts = group.map(({ promptIds }) => promptIds)
    const scores = await decoder.prefill(
      first,
      prompts,
      prompts.map(() => options.temperature),
    )
    for (const [row, leader] of group.entries()) {
      extend(leader, scores, row, options)
      for (const follower of followers) {
        if (follower.promptIndex !== leader.promptIndex) continue
        decoder.copySlot(first + row, active.indexOf(follower), leader.promptIds.length)
        extend(follower, scores, row, options)
      }
    }
    first += group.length
  }
}

/** Sequences, longest prompt first, cut into groups that are read together. */
function prefillGroups(sequences: readonly Sequence[]): Sequence[][] {
  const groups: Sequence[][] = []
  for (const sequence of sequences) {
    const group = groups.at(-1)
    const longest = group?.[0].promptIds.length ?? 0
    const fits = group && (group.length + 1) * longest <= PREFILL_TOKENS
    if (fits && sequence.promptIds.length >= PREFILL_FILL * longest) group.push(sequence)
    else groups.push([sequence])
  }
  return groups
}

/** Tokens of a sequence in the decoder: the last one drawn has not been read yet. */
const cachedLength = ({ promptIds, tokenIds }: Sequence) => promptIds.length + tokenIds.length - 1

/** Reads the last token of each sequence and draws the next. */
async function advance(decoder: Decoder, active: readonly Sequence[], options: GenerateOptions): Promise<void> {
  const tokens = active.map(({ tokenIds }) => tokenIds.at(-1)!)
  const temperatures = active.map(() => options.temperature)
  const scores = await decoder.step(tokens, active.map(cachedLength), temperatures)
  active.forEach((sequence, row) => {
    extend(sequence, scores, row, options)
  })
}

/** What a sequence may go on with; the token after it is drawn in any case and has to fit too. */
function draftOf({ promptIds, tokenIds, draftLength }: Sequence, options: GenerateOptions): number[] {
  const { maxNewTokens, draftTokens = MOST_DRAFTED } = options
  const most = Math.min(draftLength, draftTokens, maxNewTokens - tokenIds.length - 1)
  return most > 0 ? lookUpDraft([...promptIds, ...tokenIds], most) : []
}

/**
 * Reads a draft at once and draws each token as ever, with the same random numbers, for as long as they are the draft's:
 * speculative decoding (Leviathan et al. 2023) whose draft is certain of itself, so the tokens are those of `advance`.
 */
async function advanceAlong(decoder: Decoder, sequence: Sequence, draft: readonly number[], options: GenerateOptions) {
  const { tokenIds } = sequence
  const scores = await decoder.verify([tokenIds.at(-1)!, ...draft], cachedLength(sequence), options.temperature)
  let accepted = 0
  for (let row = 0; row <= draft.length; row++) {
    options.signal?.throwIfAborted()
    extend(sequence, scores, row, options)
    if (sequence.finishReason || tokenIds.at(-1) !== draft[row]) break
    accepted++
  }
  sequence.draftLength = draftLengthAfter(accepted)
}

/** Draws a sequence's next token from row `row` of the scores. */
function extend(sequence: Sequence, scores: NextTokens, row: number, options: GenerateOptions): void {
  const { tokenIds, logprobs, seen, random, stream } = sequence
  const vocabSize = scores.vocabSize
  const part = (values: Float32Array) => values.subarray(row * vocabSize, (row + 1) * vocabSize)
  const { logits, probabilities } = scores
  const rowScores = { logits: part(logits), ...(probabilities && { probabilities: part(probabilities) }) }
  const token = sampleToken(rowScores, options, seen, random.uniform)
  const logprob = rowScores.logits[token] - scores.logNormalizers[row]
  if (!Number.isFinite(logprob)) throw notFinite()
  tokenIds.push(token)
  logprobs.push(logprob)
  seen.add(token)
  const isEnd = options.stopTokenIds.includes(token)
  if (!isEnd) sequence.text += stream.push(token)
  const isFull = tokenIds.length >= options.maxNewTokens
  if (isEnd || isFull) sequence.text += stream.end()
  const cut = firstStop(sequence.text, options.stop)
  if (cut >= 0) sequence.text = sequence.text.slice(0, cut)
  if (isEnd || cut >= 0) sequence.finishReason = 'stop'
  else if (isFull) sequence.finishReason = 'length'
  const safe = sequence.finishReason
    ? sequence.text.length
    : sequence.text.length - heldBack(sequence.text, options.stop)
  const text = sequence.text.slice(sequence.emitted, Math.max(safe, sequence.emitted))
  sequence.emitted += text.length
  const { promptIndex, generation } = sequence
  options.onToken?.({ promptIndex, generation, tokenId: token, logprob, text })
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

function finished({ promptIndex, generation, text, tokenIds, logprobs, finishReason }: Sequence): Completion {
  return { promptIndex, generation, text, tokenIds, logprobs, finishReason: finishReason! }
}

/** Takes finished sequences out; the last ones move into their slots. */
function compact(decoder: Decoder, active: Sequence[]): void {
  for (let row = active.length - 1; row >= 0; row--) {
    if (!active[row].finishReason) continue
    const last = active.pop()!
    if (row === active.length) continue
    decoder.copySlot(active.length, row, last.promptIds.length + last.tokenIds.length)
    active[row] = last
  }
}
