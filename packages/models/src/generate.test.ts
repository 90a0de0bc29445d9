import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ModelConfig, parseModelConfig } from './config.ts'
import { createDecoder, type Decoder } from './decoder.ts'
import { type Completion, type GenerateOptions, generate, type TokenEvent } from './generate.ts'
import { type LoadedModel, loadModelFolder } from './model-folder.ts'
import { createScorer } from './score.ts'

const golden = fileURLToPath(new URL('../../../tests/golden/models/', import.meta.url))
const families = readdirSync(golden).filter((name) => !name.endsWith('-lora'))

/** One to three letters a token: stop texts end inside and between them. */
const pieceOf = (id: number) => 'abc'.slice(id % 3).concat(id % 2 ? 'd' : '')

/** Text of tokens; the last letter is held until the next token, as an incomplete character would be. */
function createTextStream() {
  let held = ''
  return {
    push(id: number) {
      const all = held + pieceOf(id)
      held = all.slice(-1)
      return all.slice(0, -1)
    },
    end: () => held,
  }
}
const textOf = (ids: readonly number[]) => ids.map(pieceOf).join('')

const defaults: GenerateOptions = {
  maxNewTokens: 12,
  numGenerations: 1,
  temperature: 1,
  topP: 1,
  topK: 0,
  repetitionPenalty: 1,
  seed: 7,
  stop: [],
  stopTokenIds: [],
  createTextStream,
}

const prompts = [[5, 9, 70], [4], [11, 12, 13, 14, 15, 16, 17, 18], [80, 3, 3], [33, 34, 35, 36, 37]]

async function load(name: string): Promise<LoadedModel & { model: ModelConfig }> {
  const loaded = await loadModelFolder(`${golden}${name}`)
  return { ...loaded, model: parseModelConfig(loaded.config) }
}

/** All completions, in the order of prompts and generations. */
async function completions(
  decoder: Decoder,
  ids: readonly (readonly number[])[],
  changes: Partial<GenerateOptions> = {},
) {
  const all: Completion[] = []
  for await (const completion of generate(decoder, ids, { ...defaults, ...changes })) all.push(completion)
  return all.sort((a, b) => a.promptIndex - b.promptIndex || a.generation - b.generation)
}

const withoutNumbers = ({ logprobs, probabilities, ...rest }: Completion) => rest

function expectSame(actual: readonly Completion[], expected: readonly Completion[]): void {
  expect(actual.map(withoutNumbers)).toEqual(expected.map(withoutNumbers))
  actual.forEach(({ logprobs }, i) => {
    expect(logprobs).toHaveLength(expected[i].logprobs.length)
    logprobs.forEach((logprob, token) => {
      expect(Math.abs(logprob - expected[i].logprobs[token])).toBeLessThan(1e-5)
    })
  })
}

let tiny: Awaited<ReturnType<typeof load>>
const decoders = new Map<number, Decoder>()
beforeAll(async () => {
  tiny = await load('llama-tied')
  for (const slots of [1, 2, 3, 16])
    decoders.set(slots, await createDecoder(tiny.model, tiny.parameters, { slots, length: 64 }))
})
afterAll(async () => {
  for (const decoder of decoders.values()) await decoder.dispose()
})
const decoderOf = (slots: number) => decoders.get(slots)!

describe('what is drawn', () => {
  test('the same seed gives the same tokens and the same bits, another seed others', async () => {
    const first = await completions(decoderOf(16), prompts)
    expect(await completions(decoderOf(16), prompts)).toEqual(first)
    const other = await completions(decoderOf(16), prompts, { seed: 8 })
    expect(other.map(({ tokenIds }) => tokenIds)).not.toEqual(first.map(({ tokenIds }) => tokenIds))
  })

  test('the generations of one prompt differ', async () => {
    const drawn = await completions(decoderOf(16), [prompts[0]], { numGenerations: 8 })
    expect(new Set(drawn.map(({ tokenIds }) => tokenIds.join())).size).toBe(8)
    expect(drawn.map(({ generation }) => generation)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test('slots, and with them batches, shared prefixes and the place in the queue, change nothing', async () => {
    const options = { numGenerations: 3, stopTokenIds: [2, 40, 41, 42, 43, 44] }
    const expected = await completions(decoderOf(1), prompts, options)
    // Unequal lengths, or sequences would all leave at once.
    expect(new Set(expected.map(({ tokenIds }) => tokenIds.length)).size).toBeGreaterThan(2)
    for (const slots of [2, 3, 16]) expectSame(await completions(decoderOf(slots), prompts, options), expected)
  })

  test('n completions of a shared prefix are those of the prompt given n times, at temperature 0', async () => {
    const shared = await completions(decoderOf(16), prompts, { temperature: 0, numGenerations: 2 })
    const apart = await completions(decoderOf(3), [...prompts, ...prompts], { temperature: 0 })
    prompts.forEach((_, i) => {
      for (const [mine, other] of [
        [shared[2 * i], apart[i]],
        [shared[2 * i + 1], apart[prompts.length + i]],
      ])
        expectSame([{ ...mine, promptIndex: 0, generation: 0 }], [{ ...other, promptIndex: 0, generation: 0 }])
    })
  })

  test('prompts alone and in any order are continued alike, at temperature 0', async () => {
    const ids = fc.array(fc.integer({ min: 3, max: 95 }), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(ids, { minLength: 1, maxLength: 7 }),
        fc.constantFrom(1, 2, 3, 16),
        fc.integer({ min: 1, max: 8 }),
        async (random, slots, maxNewTokens) => {
          const options = { temperature: 0, maxNewTokens, stopTokenIds: [2, 17, 18, 19, 20] }
          const together = await completions(decoderOf(slots), random, options)
          expect(together).toHaveLength(random.length)
          const reversed = await completions(decoderOf(3), random.toReversed(), options)
          expectSame(
            reversed.reverse().map((completion, promptIndex) => ({ ...completion, promptIndex })),
            together,
          )
          for (const [promptIndex, prompt] of random.entries()) {
            const [alone] = await completions(decoderOf(1), [prompt], options)
            expectSame([{ ...alone, promptIndex }], [together[promptIndex]])
          }
        },
      ),
      { numRuns: 25, seed: 1 },
    )
  })

  test('prompts that begin alike read their beginning once, and are continued as each alone', async () => {
    const system = Array.from({ length: 10 }, (_, i) => 50 + i)
    const alike = prompts.map((prompt) => [...system, ...prompt])
    const options = { numGenerations: 2, stopTokenIds: [2, 40, 41, 42, 43, 44] }
    const expected = await completions(decoderOf(1), alike, options)
    for (const slots of [2, 3, 16]) {
      const decoder = decoderOf(slots)
      let read = 0
      const counting: Decoder = Object.create(decoder, {
        prefill: {
          value: (...args: Parameters<Decoder['prefill']>) => {
            const [, given, , start = 0] = args
            read += given.reduce((sum, { length }) => sum + length - start, 0)
            return decoder.prefill(...args)
          },
        },
      })
      expectSame(await completions(counting, alike, options), expected)
      // Where all fit the beginning is read once; where they take turns, whoever enters an empty batch reads it again.
      const own = prompts.flat().length
      if (slots === 16) expect(read).toBe(own + system.length)
      if (slots === 3) expect(read).toBeLessThan(own + prompts.length * system.length)
    }
  })

  test('probabilities are those that tokens were drawn with: at temperature 1 the exponentials of logprobs', async () => {
    for (const { logprobs, probabilities } of await completions(decoderOf(3), prompts))
      expect(probabilities.map((p, i) => Math.abs(Math.log(p) - logprobs[i]) < 1e-5)).toEqual(logprobs.map(() => true))
    const [cold] = await completions(decoderOf(1), prompts, { temperature: 0.01 })
    expect(Math.min(...cold.probabilities)).toBeGreaterThan(0.5)
    expect(Math.min(...cold.logprobs)).toBeLessThan(Math.log(0.5))
  })

  test('logprobs are those of the model itself, whatever temperature and cut-offs say', async () => {
    const greedy = await completions(decoderOf(16), prompts, { temperature: 0 })
    const cut = await completions(decoderOf(16), prompts, { temperature: 3, topK: 1 })
    expectSame(cut, greedy)
  })
})

test.each(families)('%s: rollout log-probabilities equal scored ones', async (name) => {
  const { model, parameters } = await load(name)
  const decoder = await createDecoder(model, parameters, { slots: 4, length: 40 })
  const scorer = await createScorer(model, parameters)
  const drawn = await completions(decoder, prompts, { numGenerations: 2, maxNewTokens: 20, temperature: 1.3 })
  const scored = await scorer.logprobs(
    drawn.map(({ promptIndex, tokenIds }) => ({ promptIds: prompts[promptIndex], completionIds: tokenIds })),
  )
  drawn.forEach(({ logprobs }, i) => {
    expect(logprobs).toHaveLength(20)
    logprobs.forEach((logprob, token) => {
      expect(Math.abs(logprob - scored[i][token])).toBeLessThan(1e-4)
    })
  })
  await decoder.dispose()
  await scorer.dispose()
})

test.each(families)('%s: weights that are read where they lie give what packed ones do', async (name) => {
  const { model, parameters } = await load(name)
  const drawn: Completion[][] = []
  for (const tokens of [1, undefined]) {
    const decoder = await createDecoder(model, parameters, { slots: 3, length: 40, tokens })
    drawn.push(await completions(decoder, prompts))
    await decoder.dispose()
  }
  expectSame(drawn[0], drawn[1])
})

describe('where it ends', () => {
  test('at the most tokens: finish reason length, and all of the text', async () => {
    for (const maxNewTokens of [1, 2, 9]) {
      for (const { tokenIds, logprobs, text, finishReason } of await completions(decoderOf(2), prompts, {
        maxNewTokens,
      })) {
        expect(tokenIds).toHaveLength(maxNewTokens)
        expect(logprobs).toHaveLength(maxNewTokens)
        expect(text).toBe(textOf(tokenIds))
        expect(finishReason).toBe('length')
      }
    }
  })

  test('at a stop token, which stays among the tokens and out of the text', async () => {
    const free = await completions(decoderOf(2), prompts)
    const stop = free[2].tokenIds[4]
    const stopped = await completions(decoderOf(2), prompts, { stopTokenIds: [stop] })
    stopped.forEach(({ tokenIds, text, finishReason }, i) => {
      const end = free[i].tokenIds.indexOf(stop)
      expect(tokenIds).toEqual(end < 0 ? free[i].tokenIds : free[i].tokenIds.slice(0, end + 1))
      expect(text).toBe(textOf(end < 0 ? tokenIds : tokenIds.slice(0, -1)))
      expect(finishReason).toBe(end < 0 ? 'length' : 'stop')
    })
  })

  test('at stop texts, wherever they begin and end: the text is cut before them and no part of one is streamed', async () => {
    const [free] = await completions(decoderOf(1), [prompts[0]], { maxNewTokens: 24 })
    const part = fc
      .tuple(fc.nat(free.text.length - 1), fc.integer({ min: 1, max: 6 }))
      .map(([start, size]) => free.text.slice(start, start + size))
    const stops = fc.array(fc.oneof(part, fc.constantFrom('zz', 'dz', `${free.text}d`)), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(stops, async (stop) => {
        const events: TokenEvent[] = []
        const onToken = (event: TokenEvent) => events.push(event)
        const [stopped] = await completions(decoderOf(1), [prompts[0]], { maxNewTokens: 24, stop, onToken })
        const firstIn = (text: string) =>
          Math.min(...stop.map((each) => text.indexOf(each)).filter((index) => index >= 0))
        // The text as it is known after each token.
        const known = free.tokenIds.map((_, i) => {
          const text = textOf(free.tokenIds.slice(0, i + 1))
          return i === free.tokenIds.length - 1 ? text : text.slice(0, -1)
        })
        const end = known.findIndex((text) => Number.isFinite(firstIn(text)))
        expect(stopped.tokenIds).toEqual(end < 0 ? free.tokenIds : free.tokenIds.slice(0, end + 1))
        expect(stopped.text).toBe(end < 0 ? free.text : known[end].slice(0, firstIn(known[end])))
        expect(stopped.finishReason).toBe(end < 0 ? 'length' : 'stop')
        expect(events.map(({ tokenId }) => tokenId)).toEqual(stopped.tokenIds)
        expect(events.map(({ text }) => text).join('')).toBe(stopped.text)
      }),
      { seed: 1, numRuns: 150 },
    )
  })

  test('a stop text whose last letter only comes out at the end is found', async () => {
    const [free] = await completions(decoderOf(1), [prompts[0]])
    const stop = [free.text.slice(-2)]
    const maxNewTokens = free.tokenIds.length
    const [stopped] = await completions(decoderOf(1), [prompts[0]], { stop, maxNewTokens })
    expect(stopped.text).toBe(free.text.slice(0, free.text.indexOf(stop[0])))
    expect(stopped.finishReason).toBe('stop')
  })

  test('each event names its sequence, and its texts join to that completion', async () => {
    const texts = new Map<string, string>()
    const onToken = ({ promptIndex, generation, text }: TokenEvent) => {
      const key = `${promptIndex}/${generation}`
      texts.set(key, (texts.get(key) ?? '') + text)
    }
    const drawn = await completions(decoderOf(3), prompts, { numGenerations: 2, stop: ['dd', 'ca'], onToken })
    for (const { promptIndex, generation, text } of drawn) expect(texts.get(`${promptIndex}/${generation}`)).toBe(text)
    expect(texts.size).toBe(10)
  })
})

describe('what is refused or broken off', () => {
  test('a prompt without tokens, and one that leaves no room, before any work', async () => {
    const run = (ids: number[][], maxNewTokens: number) => completions(decoderOf(2), ids, { maxNewTokens })
    await expect(run([[5], []], 4)).rejects.toMatchObject({ code: 'EMPTY_PROMPT', message: 'prompt 2 has no tokens.' })
    const long = Array.from({ length: 60 }, (_, i) => 3 + i)
    await expect(run([[5], long], 5)).rejects.toMatchObject({
      code: 'PROMPT_TOO_LONG',
      message: 'prompt 2 has 60 tokens; with 5 new ones it exceeds the 64 that fit.',
    })
    const [full] = await run([long], 4)
    expect(full.tokenIds).toHaveLength(4)
  })

  test('an abort ends it with the reason; the decoder goes on to serve', async () => {
    const expected = await completions(decoderOf(2), prompts)
    const controller = new AbortController()
    let tokens = 0
    const onToken = () => {
      if (++tokens === 7) controller.abort(new Error('enough'))
    }
    await expect(completions(decoderOf(2), prompts, { signal: controller.signal, onToken })).rejects.toThrow('enough')
    expect(tokens).toBeLessThan(10)
    expect(await completions(decoderOf(2), prompts)).toEqual(expected)
  })

  test('a reader that has enough leaves the decoder as good as new', async () => {
    const expected = await completions(decoderOf(2), prompts)
    for await (const _ of generate(decoderOf(2), prompts, defaults)) break
    expect(await completions(decoderOf(2), prompts)).toEqual(expected)
  })

  test('weights that became NaN are an error, not tokens', async () => {
    const norm = tiny.parameters.get('model.norm.weight')!
    const broken = new Map(tiny.parameters).set(norm.name, {
      ...norm,
      data: norm.data.slice().fill(Number.NaN) as never,
    })
    const decoder = await createDecoder(tiny.model, broken, { slots: 2, length: 32 })
    for (const changes of [{}, { temperature: 0 }, { topP: 0.9 }])
      await expect(completions(decoder, prompts, changes)).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' })
    await decoder.dispose()
  })

  test('a token whose numbers are broken leaves nothing in the slot for who comes next', async () => {
    const embeddings = tiny.parameters.get('model.embed_tokens.weight')!
    const data = Float32Array.from(embeddings.data)
    data.fill(Number.NaN, 90 * tiny.model.hiddenSize, 91 * tiny.model.hiddenSize)
    const untied = { ...tiny.model, hasTiedHead: false }
    const broken = new Map(tiny.parameters)
      .set(embeddings.name, { ...embeddings, data: data as never })
      .set('lm_head.weight', { ...embeddings, name: 'lm_head.weight' })
    const decoder = await createDecoder(untied, broken, { slots: 2, length: 32 })
    const clean = await completions(decoder, prompts, { temperature: 0 })
    const poisoned = [[5, 90, 9, 11, 12, 13, 14, 15, 16, 17]]
    await expect(completions(decoder, poisoned, { temperature: 0 })).rejects.toMatchObject({
      code: 'LOGITS_NOT_FINITE',
    })
    expectSame(await completions(decoder, prompts, { temperature: 0 }), clean)
    await decoder.dispose()
  })

  test('a model without a head over the vocabulary cannot generate', async () => {
    const { model, parameters } = await load('llama-untied')
    const headless = new Map([...parameters].filter(([name]) => name !== 'lm_head.weight'))
    await expect(createDecoder(model, headless, { slots: 1, length: 8 })).rejects.toMatchObject({
      code: 'NOT_A_LANGUAGE_MODEL',
      message: expect.stringContaining('lm_head.weight'),
    })
  })
})
