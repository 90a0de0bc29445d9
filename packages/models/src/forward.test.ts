import { compile, type ParameterMap, type Value } from '@plumbline/engine'
import { describe, expect, test } from 'vitest'
import { forwardFeeds, ropeFeeds } from './batch.ts'
import type { ModelConfig } from './config.ts'
import { createDecoder } from './decoder.ts'
import { buildCachedForward, buildForward, headName } from './forward.ts'
import { type Completion, type GenerateOptions, generate } from './generate.ts'
import { UNTIED_HEAD } from './head-names.ts'
import { JOIN } from './model-graph.ts'
import { randomModel, randomModelConfigs } from './random-model.test-support.ts'
import { createScorer } from './score.ts'

const cacheLength = 24

function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  return Math.max(0, ...Array.from(expected, (value, i) => Math.abs(value - actual[i])))
}

/** Rows of logits [length, vocabSize] of each sequence, the padding left out. */
function realRows({ data, shape: [, time, width] }: Value, lengths: readonly number[]): number[][] {
  return lengths.map((length, row) =>
    Array.from((data as Float32Array).slice(row * time * width, (row * time + length) * width)),
  )
}

async function fullLogits(config: ModelConfig, parameters: ParameterMap, sequences: readonly (readonly number[])[]) {
  const forward = buildForward(config)
  const program = await compile(forward.graph, { logits: forward.logits() })
  const { logits } = await program.run({ ...Object.fromEntries(parameters), ...forwardFeeds(config, sequences) })
  await program.dispose()
  return realRows(
    logits,
    sequences.map(({ length }) => length),
  )
}

/** The same logits read bit by bit: each call continues every sequence by the tokens of one chunk, right-padded. */
async function cachedLogits(
  config: ModelConfig,
  parameters: ParameterMap,
  lowering: 'plain' | 'fused',
  chunks: readonly (readonly (readonly number[])[])[],
) {
  const forward = buildCachedForward(config, lowering)
  const names = Object.keys(forward.caches)
  const entries = Object.fromEntries(names.map((name) => [`new.${name}`, forward.caches[name]]))
  const program = await compile<string>(forward.graph, { logits: forward.logits(), ...entries })
  const batch = chunks[0].length
  const { keyValueHeads, headSize } = config
  const shape = [batch, keyValueHeads, cacheLength, headSize]
  const caches = Object.fromEntries(
    names.map((name) => [name, { data: new Float32Array(batch * keyValueHeads * cacheLength * headSize), shape }]),
  )
  // The head has this name also where it is tied.
  const withHead = new Map(parameters).set(UNTIED_HEAD, parameters.get(headName(config))!)
  const weights = Object.fromEntries(
    [...forward.graph.parameters.keys()].map((name) => [name, joined(name.split(JOIN), withHead)]),
  )
  const vector = (numbers: readonly number[]) => ({ data: Int32Array.from(numbers), shape: [numbers.length] })
  const lengths = new Array<number>(batch).fill(0)
  const rows: number[][] = lengths.map(() => [])
  for (const chunk of chunks) {
    const time = Math.max(...chunk.map(({ length }) => length))
    const starts = [...lengths]
    chunk.forEach(({ length }, row) => {
      lengths[row] += length
    })
    const matrix = (value: (row: number, i: number) => number) => ({
      data: Int32Array.from({ length: batch * time }, (_, i) => value(Math.floor(i / time), i % time)),
      shape: [batch, time],
    })
    const values = await program.run({
      ...weights,
      ...caches,
      ...ropeFeeds(config, cacheLength),
      ids: matrix((row, i) => chunk[row][i] ?? 0),
      positions: matrix((row, i) => starts[row] + i),
      starts: vector(starts),
      lastPositions: vector(lengths.map((length) => length - 1)),
      totalLength: vector([Math.max(...lengths)]),
      cacheIndices: vector(Array.from({ length: cacheLength }, (_, i) => i)),
    })
    for (const name of names)
      for (let i = 0; i < batch * keyValueHeads; i++)
        for (let t = 0; t < chunk[Math.floor(i / keyValueHeads)].length; t++) {
          const entry = (values[`new.${name}`].data as Float32Array).subarray((i * time + t) * headSize)
          const place = (i * cacheLength + starts[Math.floor(i / keyValueHeads)] + t) * headSize
          caches[name].data.set(entry.subarray(0, headSize), place)
        }
    realRows(
      values.logits,
      chunk.map(({ length }) => length),
    ).forEach((real, row) => {
      rows[row].push(...real)
    })
  }
  await program.dispose()
  return rows
}

function joined(names: readonly string[], parameters: ParameterMap): Value {
  const parts = names.map((name) => parameters.get(name)!)
  const [first] = parts
  const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0)
  return {
    data: Float32Array.from(parts.flatMap(({ data }) => Array.from(data))),
    shape: [rows, ...first.shape.slice(1)],
  }
}

describe.each(Object.entries(randomModelConfigs))('%s, heads of 16 or more', (_name, raw) => {
  const { config, parameters } = randomModel(raw)
  // Prompts of different lengths, one of a single token, then token by token.
  const chunks = [[[7, 3, 50, 21, 9], [5], [11, 40, 2]], ...[1, 2, 3, 4].map((i) => [[10 + i], [20 + i], [30 + i]])]
  const sequences = [0, 1, 2].map((row) => chunks.flatMap((chunk) => chunk[row]))

  test('logits from a cache, by plain and by fused ops, are those of whole sequences', async () => {
    const full = await fullLogits(config, parameters, sequences)
    const plain = await cachedLogits(config, parameters, 'plain', chunks)
    const fused = await cachedLogits(config, parameters, 'fused', chunks)
    full.forEach((logits, row) => {
      expect(Math.max(...logits) - Math.min(...logits)).toBeGreaterThan(0.5)
      expect(largestDifference(plain[row], logits)).toBeLessThan(1e-5)
      expect(largestDifference(fused[row], logits)).toBeLessThan(1e-5)
      expect(largestDifference(fused[row], plain[row])).toBeLessThan(1e-5)
    })
  })

  test('several tokens behind what is held, for each sequence from where it stands', async () => {
    const ragged = [
      [[7, 3, 50, 21, 9], [5], [11, 40, 2]],
      [[8], [6, 6, 30, 12], [13, 2]],
    ]
    const full = await fullLogits(
      config,
      parameters,
      [0, 1, 2].map((row) => ragged.flatMap((chunk) => chunk[row])),
    )
    const plain = await cachedLogits(config, parameters, 'plain', ragged)
    full.forEach((logits, row) => {
      expect(largestDifference(plain[row], logits)).toBeLessThan(1e-5)
    })
  })

  test('prompts of one token each can be read together', async () => {
    const short = [
      [[7], [5]],
      [[8], [9]],
    ]
    const full = await fullLogits(config, parameters, [
      [7, 8],
      [5, 9],
    ])
    const fused = await cachedLogits(config, parameters, 'fused', short)
    full.forEach((logits, row) => {
      expect(largestDifference(fused[row], logits)).toBeLessThan(1e-5)
    })
  })

  test('slots change nothing, and rollouts equal scores', async () => {
    const prompts = [[4, 8, 15], [16], [23, 42, 4, 8, 15, 16], [42, 42]]
    const options: GenerateOptions = {
      maxNewTokens: 10,
      numGenerations: 2,
      temperature: 1,
      topP: 1,
      topK: 0,
      repetitionPenalty: 1,
      seed: 1,
      stop: [],
      stopTokenIds: [1, 2, 3, 5, 6],
      createTextStream: () => ({ push: () => '', end: () => '' }),
    }
    const scorer = await createScorer(config, parameters)
    const bySlots: string[] = []
    for (const slots of [1, 3, 8]) {
      const decoder = await createDecoder(config, parameters, { slots, length: 16 })
      const all: Completion[] = []
      for await (const completion of generate(decoder, prompts, options)) all.push(completion)
      all.sort((a, b) => a.promptIndex - b.promptIndex || a.generation - b.generation)
      bySlots.push(JSON.stringify(all.map(({ tokenIds }) => tokenIds)))
      const scored = await scorer.logprobs(
        all.map(({ promptIndex, tokenIds }) => ({ promptIds: prompts[promptIndex], completionIds: tokenIds })),
      )
      all.forEach(({ logprobs }, i) => {
        expect(largestDifference(logprobs, scored[i])).toBeLessThan(1e-5)
      })
      await decoder.dispose()
    }
    await scorer.dispose()
    expect(new Set(bySlots).size).toBe(1)
  })
})
