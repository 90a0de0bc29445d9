/** Guessing tokens ahead changes when they come and nothing else. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ModelConfig, parseModelConfig } from './config.ts'
import { createDecoder, type Decoder } from './decoder.ts'
import { type Completion, type GenerateOptions, generate, type TokenEvent } from './generate.ts'
import { loadModelFolder } from './model-folder.ts'
import { randomModel, randomModelConfigs } from './random-model.test-support.ts'

const golden = fileURLToPath(new URL('../../../tests/golden/models/', import.meta.url))
const folders = readdirSync(golden).filter((name) => !name.endsWith('-lora'))

/** Numbers and spaces. */
const createTextStream = () => ({ push: (id: number) => `${id} `, end: () => '' })

const defaults: GenerateOptions = {
  maxNewTokens: 40,
  numGenerations: 1,
  temperature: 0,
  topP: 1,
  topK: 0,
  repetitionPenalty: 1,
  seed: 7,
  stop: [],
  stopTokenIds: [],
  createTextStream,
}
const length = 64
const prompt = [5, 9, 30, 5, 9, 30, 5, 9]

/** A decoder that counts its calls and what they hand over for tokens that were guessed. */
function counted(decoder: Decoder) {
  const passes = { count: 0, verified: 0 }
  const counting: Decoder = {
    ...decoder,
    step(...args) {
      passes.count++
      return decoder.step(...args)
    },
    verify(tokens, held, temperature) {
      expect(held + tokens.length).toBeLessThanOrEqual(decoder.length)
      passes.count++
      passes.verified++
      return decoder.verify(tokens, held, temperature)
    },
  }
  return { decoder: counting, passes }
}

interface Outcome {
  readonly completions: readonly Completion[]
  readonly events: readonly TokenEvent[]
  readonly passes: { readonly count: number; readonly verified: number }
}

async function outcome(base: Decoder, prompts: number[][], changes: Partial<GenerateOptions>): Promise<Outcome> {
  const { decoder, passes } = counted(base)
  const [completions, events]: [Completion[], TokenEvent[]] = [[], []]
  const onToken = (event: TokenEvent) => events.push(event)
  for await (const completion of generate(decoder, prompts, { ...defaults, onToken, ...changes }))
    completions.push(completion)
  return { completions, events, passes }
}

/** Runs with and without drafts and holds the two together; what the drafted run took. */
async function expectNoDifference(decoder: Decoder, prompts: number[][], changes: Partial<GenerateOptions> = {}) {
  const plain = await outcome(decoder, prompts, { ...changes, draftTokens: 0 })
  const drafted = await outcome(decoder, prompts, changes)
  expect(plain.passes.verified).toBe(0)
  const withoutLogprobs = ({ completions }: Outcome) => completions.map(({ logprobs, probabilities, ...rest }) => rest)
  expect(withoutLogprobs(drafted)).toEqual(withoutLogprobs(plain))
  expect(drafted.events.map(({ logprob, ...rest }) => rest)).toEqual(plain.events.map(({ logprob, ...rest }) => rest))
  drafted.completions.forEach(({ logprobs, tokenIds }, i) => {
    expect(logprobs).toHaveLength(tokenIds.length)
    logprobs.forEach((logprob, token) => {
      expect(Math.abs(logprob - plain.completions[i].logprobs[token])).toBeLessThan(1e-5)
    })
  })
  return { ...drafted, saved: plain.passes.count - drafted.passes.count }
}

const sampled: Partial<GenerateOptions> = { temperature: 0.8, topK: 4, topP: 0.95, repetitionPenalty: 0.8 }
/** A penalty far below 1 draws what was seen before: text that repeats itself, by chance. */
const repeating: Partial<GenerateOptions> = { ...sampled, repetitionPenalty: 0.4 }

describe.each([
  ...folders.map((name) => [name, () => loadFolder(name)] as const),
  ...Object.entries(randomModelConfigs).map(([name, raw]) => [name, async () => randomModel(raw)] as const),
])('%s', (_, load) => {
  test('the tokens, texts and events of plain decoding, greedy and sampled, in fewer passes', async () => {
    const { config, parameters } = await load()
    const decoder = await createDecoder(config, parameters, { slots: 1, length })
    const options = [defaults, { temperature: 1 }, sampled, repeating]
    let saved = 0
    for (const changes of options)
      for (const seed of [1, 2]) {
        const drafted = await expectNoDifference(decoder, [prompt], { ...changes, seed })
        expect(drafted.saved).toBeGreaterThanOrEqual(0)
        saved += drafted.saved
      }
    expect(saved).toBeGreaterThan(20)
    await decoder.dispose()
  })
})

async function loadFolder(name: string) {
  const { config, parameters } = await loadModelFolder(`${golden}${name}`)
  return { config: parseModelConfig(config) as ModelConfig, parameters }
}

describe('the end, in the middle of a run that was guessed', () => {
  let decoders: Decoder[]
  let free: Outcome & { saved: number }
  beforeAll(async () => {
    const { config, parameters } = randomModel(randomModelConfigs.llama)
    decoders = await Promise.all([1, 3].map((slots) => createDecoder(config, parameters, { slots, length })))
    free = await expectNoDifference(decoders[0], [prompt], repeating)
    expect(free.saved).toBeGreaterThan(3)
  })
  afterAll(async () => {
    for (const decoder of decoders) await decoder.dispose()
  })

  test('the most tokens: any number of them, up to a full cache', async () => {
    for (let maxNewTokens = 1; maxNewTokens <= length - prompt.length; maxNewTokens++) {
      const { completions } = await expectNoDifference(decoders[0], [prompt], { ...repeating, maxNewTokens })
      expect(completions[0].tokenIds).toHaveLength(maxNewTokens)
    }
  })

  test('stop tokens and stop texts', async () => {
    const [{ text, tokenIds }] = free.completions
    const part = fc
      .tuple(fc.nat(text.length - 1), fc.integer({ min: 1, max: 12 }))
      .map(([start, size]) => text.slice(start, start + size))
    const stops = fc.record({
      stop: fc.array(part, { maxLength: 2 }),
      stopTokenIds: fc.array(fc.constantFrom(...tokenIds), { maxLength: 1 }),
    })
    await fc.assert(
      fc.asyncProperty(stops, async (changes) => {
        await expectNoDifference(decoders[0], [prompt], { ...repeating, ...changes })
      }),
      { seed: 1, numRuns: 40 },
    )
  })

  test('an abort at any event: no further one comes', async () => {
    const total = free.events.length
    for (let last = 1; last <= total; last++) {
      const controller = new AbortController()
      let events = 0
      const onToken = () => {
        if (++events === last) controller.abort(new Error('enough'))
      }
      const run = outcome(decoders[0], [prompt], { ...repeating, onToken, signal: controller.signal })
      if (last < total) await expect(run, `event ${last}`).rejects.toThrow('enough')
      // Nothing is left to abort.
      else await run
      expect(events).toBe(last)
    }
    await expectNoDifference(decoders[0], [prompt], repeating)
  })

  test('one that is left alone of several goes on with drafts, in whatever slot it began', async () => {
    const prompts = [[4, 8, 4, 8], [15, 16, 23], prompt, [42, 42]]
    let verified = 0
    for (const seed of [1, 2, 3, 4, 5]) {
      const { passes } = await expectNoDifference(decoders[1], prompts, { ...repeating, stopTokenIds: [4, 23], seed })
      verified += passes.verified
    }
    expect(verified).toBeGreaterThan(0)
  })
})
