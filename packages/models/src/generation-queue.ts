import { setImmediate as events } from 'node:timers/promises'
import { PlumblineError } from '@plumbline/contracts'
import { createRandom } from '@plumbline/engine'
import type { Decoder } from './decoder.ts'
import { createDecodingBatch } from './decoding-batch.ts'
import { type DrawnToken, type Sequence, type SequenceOptions, startSequence } from './sequence.ts'

/** Completions of one prompt, asked for together. */
export interface GenerationRequest {
  readonly promptIds: readonly number[]
  readonly options: SequenceOptions
  readonly numGenerations: number
  /** Random numbers of completion g are those of `generate` for prompt `promptIndex`, completion g. */
  readonly seed: number
  readonly promptIndex: number
  /** The last token of a completion comes with its reason. */
  readonly onToken: (generation: number, token: DrawnToken, finishReason: Sequence['finishReason']) => void
  /** No further call comes after it; its places in the batch go to those who wait. */
  readonly signal: AbortSignal
}

export interface GenerationQueueOptions {
  /** Completions that wait for a place, at most. */
  readonly maxWaiting: number
}

/**
 * Continuous batching (Yu et al. 2022, Orca): requests enter a running batch and leave it between any two steps. First come,
 * first served, but for long prompts: they are read in pieces between the steps, one at a time, and shorter ones pass them.
 */
export interface GenerationQueue {
  /** Completions in the batch and waiting. */
  readonly size: number
  /** Resolves when all completions of all requests are finished. Throws QUEUE_FULL when there is no room for all of them. */
  submit(requests: readonly GenerationRequest[]): Promise<void>
  /** Fails what is not finished, and disposes the decoder. */
  close(): Promise<void>
}

interface QueuedSequence extends Sequence {
  readonly signal: AbortSignal
  fail(error: unknown): void
}

/** Tokens of prompts read between two steps: about half a second of SmolLM2-135M on two cores, which the others wait. */
const READ_TOKENS = 256

/** One slot of the decoder is for reading long prompts; the others are the batch. */
export function createGenerationQueue(decoder: Decoder, { maxWaiting }: GenerationQueueOptions): GenerationQueue {
  const places = decoder.slots - 1
  const batch = createDecodingBatch<QueuedSequence>(decoder)
  let waiting: QueuedSequence[] = []
  let reading: { readonly sequence: QueuedSequence; done: number } | undefined
  /** The long prompt that was read last, or part of it. */
  let held: readonly number[] | undefined
  let isClosed = false
  let wake = () => {}

  const isOver = ({ finishReason, signal }: QueuedSequence) => finishReason !== undefined || signal.aborted
  const size = () => batch.active.length + waiting.length + (reading ? 1 : 0)
  const free = () => places - batch.active.length - (reading ? 1 : 0)
  const isLong = ({ promptIds }: Sequence) => promptIds.length > READ_TOKENS

  const dropAborted = () => {
    batch.remove(({ signal }) => signal.aborted)
    waiting = waiting.filter(({ signal }) => !signal.aborted)
    if (reading?.sequence.signal.aborted) reading = held = undefined
  }

  /** The first in line and those behind it, as many as have a place and are read in one go. */
  const nextToEnter = (): QueuedSequence[] => {
    const entering: QueuedSequence[] = []
    let tokens = 0
    for (const sequence of waiting) {
      if (entering.length === free()) break
      if (isLong(sequence)) continue
      if (sequence.promptIds !== entering.at(-1)?.promptIds) tokens += sequence.promptIds.length
      if (tokens > READ_TOKENS) break
      entering.push(sequence)
    }
    waiting = waiting.filter((sequence) => !entering.includes(sequence))
    return entering
  }

  const startReading = () => {
    const place = waiting.findIndex(isLong)
    if (reading || place < 0 || free() === 0) return
    const [sequence] = waiting.splice(place, 1)
    // Another completion of the prompt that was read last: what follows it is told by its last token.
    reading = { sequence, done: sequence.promptIds === held ? held.length - 1 : 0 }
  }

  const readOn = async () => {
    if (reading === undefined) return
    const { sequence, done } = reading
    const piece = sequence.promptIds.slice(done, done + READ_TOKENS)
    reading.done += piece.length
    decoder.reserve(reading.done)
    const scores = await decoder.read(places, piece, done, sequence.options.temperature)
    held = sequence.promptIds
    if (reading.done < sequence.promptIds.length) return
    reading = undefined
    batch.admitRead(sequence, places, scores)
  }

  const turn = async () => {
    startReading()
    await readOn()
    const entering = nextToEnter()
    if (entering.length > 0) await batch.admit(entering)
    batch.remove(isOver)
    if (batch.active.length > 0) await batch.advance()
    batch.remove(isOver)
  }

  const failAll = (error: unknown) => {
    for (const sequence of [...batch.active, ...waiting, ...(reading ? [reading.sequence] : [])]) sequence.fail(error)
    batch.remove(() => true)
    waiting = []
    reading = held = undefined
  }

  const work = async () => {
    while (!isClosed) {
      // A turn keeps this thread busy: what has come in meanwhile, new requests and aborts, is seen here.
      await events()
      dropAborted()
      if (size() === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      } else await turn().catch(failAll)
    }
    failAll(closed())
    await decoder.dispose()
  }
  const ended = work()

  return {
    get size() {
      return size()
    },
    async submit(requests) {
      const count = requests.reduce((sum, { numGenerations }) => sum + numGenerations, 0)
      if (isClosed) throw closed()
      for (const { signal } of requests) signal.throwIfAborted()
      if (size() + count > places + maxWaiting)
        throw new PlumblineError(
          'QUEUE_FULL',
          `${size()} answers are being written or wait; ${count} more do not fit.`,
          {
            hint: 'Try again in a few seconds.',
          },
        )
      const all = requests.flatMap((request) =>
        Array.from({ length: request.numGenerations }, (_, generation) => enqueue(request, generation)),
      )
      wake()
      await Promise.all(all)
    },
    close() {
      isClosed = true
      wake()
      return ended
    },
  }

  function enqueue(request: GenerationRequest, generation: number): Promise<void> {
    const { promptIds, promptIndex, seed, options, signal } = request
    const random = createRandom(seed).fork(`${promptIndex}/${generation}`)
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      const tell = (token: DrawnToken) => {
        if (signal.aborted) return
        request.onToken(generation, token, sequence.finishReason)
        if (sequence.finishReason) resolve()
      }
      const sequence = { ...startSequence(promptIds, random, options, tell), signal, fail: reject }
      waiting.push(sequence)
    })
  }
}

function closed(): PlumblineError {
  return new PlumblineError('QUEUE_CLOSED', 'The model is being stopped.')
}
