import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseModelConfig } from './config.ts'
import { createDecoder, type Decoder } from './decoder.ts'
import { generate } from './generate.ts'
import { createGenerationQueue, type GenerationQueue, type GenerationRequest } from './generation-queue.ts'
import { randomModel, randomModelConfigs } from './random-model.test-support.ts'
import type { SequenceOptions } from './sequence.ts'

const raw = { ...randomModelConfigs.llama, max_position_embeddings: 2048 }
const { parameters } = randomModel(raw)
const config = parseModelConfig(raw)
const places = 3
const maxWaiting = 20

/** Its cache begins smaller than what the tests put into it. */
let decoder: Decoder
let reference: Decoder
let queue: GenerationQueue
/** How many sequences each step had, and the tokens of each piece of a long prompt. */
const calls = { steps: [] as number[], pieces: [] as number[] }
beforeAll(async () => {
  decoder = await createDecoder(config, parameters, { slots: places + 1, length: 16 })
  reference = await createDecoder(config, parameters, { slots: 1, length: 2048 })
  queue = createGenerationQueue(watched(decoder), { maxWaiting })
})
afterAll(async () => {
  await queue?.close()
  await reference?.dispose()
})

function watched(decoder: Decoder): Decoder {
  const { prefill, verify, reserve, copySlot, dispose, slots } = decoder
  return {
    slots,
    get length() {
      return decoder.length
    },
    prefill,
    verify,
    reserve,
    copySlot,
    dispose,
    step(...args) {
      calls.steps.push(args[0].length)
      return decoder.step(...args)
    },
    read(...args) {
      calls.pieces.push(args[1].length)
      return decoder.read(...args)
    },
  }
}

const options: SequenceOptions = {
  temperature: 1,
  topP: 1,
  topK: 0,
  repetitionPenalty: 1,
  maxNewTokens: 24,
  stop: [],
  stopTokenIds: [7],
  createTextStream: () => ({ push: (id: number) => `${id} `, end: () => '' }),
}

interface Asked {
  readonly promptIds: readonly number[]
  readonly seed?: number
  readonly numGenerations?: number
  readonly options?: Partial<SequenceOptions>
}

/** A request, and what comes of it: the tokens, text and reason of each completion. */
function requestOf(
  { promptIds, seed = 1, numGenerations = 1, options: changes }: Asked,
  signal = new AbortController().signal,
) {
  const answers = Array.from({ length: numGenerations }, () => ({ tokenIds: [] as number[], text: '', reason: '' }))
  const request: GenerationRequest = {
    promptIds,
    seed,
    numGenerations,
    promptIndex: 0,
    options: { ...options, ...changes },
    signal,
    onToken(generation, { tokenId, text }, reason) {
      const answer = answers[generation]
      expect(answer.reason, 'no token after the last').toBe('')
      answer.tokenIds.push(tokenId)
      answer.text += text
      answer.reason = reason ?? ''
    },
  }
  return { request, answers }
}

function ask(asked: Asked, signal?: AbortSignal) {
  const { request, answers } = requestOf(asked, signal)
  return { answers, done: queue.submit([request]) }
}

/** The same from `generate`, one sequence at a time, without guesses. */
async function alone({ promptIds, seed = 1, numGenerations = 1, options: changes }: Asked) {
  const answers: { tokenIds: readonly number[]; text: string; reason: string }[] = []
  const all = { ...options, ...changes, seed, numGenerations, draftTokens: 0 }
  for await (const { generation, tokenIds, text, finishReason } of generate(reference, [promptIds], all))
    answers[generation] = { tokenIds, text, reason: finishReason }
  return answers
}

const prompt = (length: number, step = 1) => Array.from({ length }, (_, i) => 8 + ((i * step) % 50))

const cases: readonly Asked[] = [
  { promptIds: prompt(5) },
  { promptIds: prompt(40, 3), seed: 2, numGenerations: 4 },
  { promptIds: prompt(600, 7), seed: 3, numGenerations: 2 },
  { promptIds: prompt(9, 5), options: { temperature: 0, maxNewTokens: 60 } },
  { promptIds: prompt(300, 11), seed: 4, options: { topP: 0.8, stop: ['9 '] } },
  { promptIds: prompt(1, 2), seed: 5, options: { topK: 3, maxNewTokens: 1 } },
]

test('together, in any order, with more of them than places: the tokens are those of each alone', async () => {
  const asked = cases.map((one) => ask(one))
  await Promise.all(asked.map(({ done }) => done))
  for (const [i, { answers }] of asked.entries()) expect(answers, `case ${i}`).toEqual(await alone(cases[i]))
  expect(Math.max(...calls.steps)).toBe(places)
  expect(calls.pieces.toSorted((a, b) => a - b)).toEqual([1, 44, 88, 256, 256, 256])
  expect(queue.size).toBe(0)
})

test('a request enters a batch that runs, and a short one is finished before a long prompt is read', async () => {
  calls.steps.length = 0
  const order: string[] = []
  const long = ask({ promptIds: prompt(1500), options: { stopTokenIds: [] } })
  const first = ask({ promptIds: prompt(4), options: { maxNewTokens: 3, stopTokenIds: [] } })
  long.done.then(() => order.push('long'))
  await first.done
  order.push('first')
  const second = ask({ promptIds: prompt(6), options: { stopTokenIds: [] } })
  await second.done
  await long.done
  expect(order).toEqual(['first', 'long'])
  expect(Math.max(...calls.steps)).toBe(2)
})

test('an abort ends a completion at once and frees its place; so does one that waits or is being read', async () => {
  const endless = { maxNewTokens: 1900, stopTokenIds: [] }
  const controllers = Array.from({ length: places + 2 }, () => new AbortController())
  const running = controllers.map(({ signal }, i) =>
    ask({ promptIds: prompt(i === 1 ? 100 : 4), options: endless }, signal),
  )
  const outcomes = Promise.allSettled(running.map(({ done }) => done))
  const next = ask({ promptIds: prompt(5) })
  const reading = new AbortController()
  const read = ask({ promptIds: prompt(1800) }, reading.signal)
  for (const controller of [...controllers, reading]) controller.abort(new Error('gone'))
  await expect(read.done).rejects.toThrow('gone')
  await next.done
  expect(next.answers).toEqual(await alone({ promptIds: prompt(5) }))
  expect((await outcomes).map(({ status }) => status)).toEqual(running.map(() => 'rejected'))
  expect(queue.size).toBe(0)
})

test('what does not fit is refused whole, and what is inside goes on', async () => {
  const inside = ask({ promptIds: prompt(3), numGenerations: places + maxWaiting })
  await expect(ask({ promptIds: prompt(3) }).done).rejects.toMatchObject({ code: 'QUEUE_FULL' })
  await inside.done
  expect(inside.answers.every(({ reason }) => reason !== '')).toBe(true)
})

test('alternatives are the likeliest tokens with their log-probabilities', async () => {
  const seen: { tokenId: number; logprob: number; alternatives: readonly { tokenId: number; logprob: number }[] }[] = []
  const { request } = requestOf({ promptIds: prompt(4) })
  const greedy = { ...options, temperature: 0, topLogprobs: 5, maxNewTokens: 4 }
  await queue.submit([{ ...request, options: greedy, onToken: (_, token) => seen.push(token) }])
  for (const { tokenId, logprob, alternatives } of seen) {
    expect(alternatives[0]).toEqual({ tokenId, logprob })
    expect(alternatives.map((one) => one.logprob)).toEqual(
      alternatives.map((one) => one.logprob).toSorted((a, b) => b - a),
    )
    expect(new Set(alternatives.map((one) => one.tokenId)).size).toBe(5)
  }
  expect(seen).toHaveLength(4)
})

test('a failure of the model fails what is inside, and the next request is answered', async () => {
  const bad = { ...options, createTextStream: () => ({ push: () => broken(), end: () => '' }) }
  const other = ask({ promptIds: prompt(4), options: { maxNewTokens: 500, stopTokenIds: [] } })
  const { request } = requestOf({ promptIds: prompt(3) })
  await expect(queue.submit([{ ...request, options: bad }])).rejects.toThrow('broken')
  await expect(other.done).rejects.toThrow('broken')
  const next = ask({ promptIds: prompt(5) })
  await next.done
  expect(next.answers).toEqual(await alone({ promptIds: prompt(5) }))
})

function broken(): string {
  throw new Error('broken')
}

test('closing fails what is inside; nothing is taken afterwards', async () => {
  const own = createGenerationQueue(await createDecoder(config, parameters, { slots: 2, length: 16 }), {
    maxWaiting: 1,
  })
  const { request } = requestOf({ promptIds: prompt(3) })
  const inside = own.submit([{ ...request, options: { ...options, maxNewTokens: 1900, stopTokenIds: [] } }])
  const [outcome] = await Promise.allSettled([inside, own.close()])
  expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'QUEUE_CLOSED' } })
  await expect(own.submit([request])).rejects.toMatchObject({ code: 'QUEUE_CLOSED' })
})
