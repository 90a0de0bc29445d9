/**
 * One suite over the model families, on tiny models whose numbers torch and transformers computed
 * (`tests/golden/models.py`): training lowering, gradients, generation, and what may not matter (padding, batch, order).
 */
import { readdirSync } from 'node:fs'
import { compile, gradients, mul, neg, type ParameterMap, sum, type Tensor, type Value } from '@plumbline/engine'
import {
  argmax,
  buildForward,
  buildRaggedForward,
  completionFeeds,
  createDecoder,
  createScorer,
  type ForwardAtRows,
  forwardFeeds,
  loadModelFolder,
  type ModelConfig,
  type PromptCompletion,
  parseModelConfig,
  raggedCompletionFeeds,
  targetLogprobs,
} from '@plumbline/models'
import { describe, expect, test } from 'vitest'
import { type GoldenArray, goldenPath, largestDifference, readGolden } from './golden/read-golden.ts'

const names = readdirSync(goldenPath('models')).filter((name) => !name.endsWith('-lora'))

interface Golden {
  readonly config: ModelConfig
  readonly parameters: ParameterMap
  readonly expected: ReadonlyMap<string, GoldenArray>
  /** The two rows without their padding. */
  readonly sequences: number[][]
}

async function loadGolden(name: string): Promise<Golden> {
  const { config, parameters } = await loadModelFolder(goldenPath(`models/${name}`))
  const expected = readGolden(`models/${name}/expected.safetensors`)
  const [batch, time] = expected.get('input_ids')!.shape
  const sequences = Array.from({ length: batch }, (_, row) => {
    const part = (key: string) => expected.get(key)!.data.slice(row * time, (row + 1) * time)
    const mask = part('attention_mask')
    return part('input_ids').filter((_, i) => mask[i] === 1)
  })
  return { config: parseModelConfig(config), parameters, expected, sequences }
}

/** Runs a forward pass with some hooks, and values by output name. */
async function forwardValues(
  { config, parameters }: Golden,
  sequences: number[][],
  pickOutputs: (hooks: ReadonlyMap<string, Tensor>, logits: Tensor) => Record<string, Tensor>,
) {
  const forward = buildForward(config)
  const program = await compile(forward.graph, pickOutputs(forward.graph.hooks, forward.logits()))
  const values = await program.run({ ...Object.fromEntries(parameters), ...forwardFeeds(config, sequences) })
  await program.dispose()
  return values
}

/** The numbers of the real positions of row `row`, from an array [B, T, …]. */
function realPart({ data, shape }: GoldenArray | Value, row: number, length: number): ArrayLike<number> {
  const width = shape.slice(2).reduce((a, b) => a * b, 1)
  const start = row * shape[1] * width
  return Array.from(data as ArrayLike<number>).slice(start, start + length * width)
}

/** Other ways to store a model whose numbers are in the plain one: their files hold less. */
const storageOnly = ['gpt2-hub', 'llama-bf16', 'llama-f16', 'llama-sharded']

/** Whether there is a golden value; only the storage variants may lack one. */
function isGiven(name: string, value: GoldenArray | undefined): value is GoldenArray {
  if (value === undefined) expect(storageOnly, `${name} lacks golden numbers`).toContain(name)
  return value !== undefined
}

/** The mean loss over all completion tokens and its gradient for each parameter. */
async function lossAndGradients(
  { config, parameters }: Golden,
  build: (config: ModelConfig) => ForwardAtRows,
  feedsOf: typeof completionFeeds,
  rows: readonly PromptCompletion[],
): Promise<Record<string, Float32Array>> {
  const forward = build(config)
  const weights = forward.graph.input('weights', 'float32', ['M'])
  const loss = neg(sum(mul(targetLogprobs(forward), weights)))
  const wrt = [...forward.graph.parameters.values()]
  const grads = gradients(loss, wrt)
  const outputs = { loss, ...Object.fromEntries(wrt.map(({ id }, i) => [`grad.${id}`, grads[i]!])) }
  const program = await compile<string>(forward.graph, outputs)
  const feeds = feedsOf(config, rows)
  const count = feeds.targets.shape[0]
  const mean = { data: new Float32Array(count).fill(1 / count), shape: [count] }
  const values = await program.run({ ...Object.fromEntries(parameters), ...feeds, weights: mean })
  await program.dispose()
  return Object.fromEntries(Object.entries(values).map(([key, { data }]) => [key, data as Float32Array]))
}

/** The largest difference over the largest number. */
function relativeDifference(values: ArrayLike<number>, reference: ArrayLike<number>): number {
  return largestDifference(values, reference) / Math.max(...Array.from(reference, Math.abs))
}

describe.each(names)('%s', (name) => {
  test('logits and hidden states equal those of transformers', async () => {
    const golden = await loadGolden(name)
    const hooks = ['blocks.0.hook_resid_pre', 'blocks.0.hook_resid_post', 'blocks.1.hook_resid_post']
    const values = await forwardValues(golden, golden.sequences, (known, logits) => ({
      logits,
      ...Object.fromEntries(hooks.map((hook, i) => [`hidden.${i}`, known.get(hook)!])),
    }))
    for (const [key, value] of Object.entries(values)) {
      const expected = golden.expected.get(key)
      if (!isGiven(name, expected)) continue
      golden.sequences.forEach(({ length }, row) => {
        expect(largestDifference(realPart(value, row, length), realPart(expected, row, length)), key).toBeLessThan(2e-5)
      })
    }
  })

  test('the attention pattern equals that of transformers', async () => {
    const golden = await loadGolden(name)
    const expected = golden.expected.get('pattern.0')
    if (!isGiven(name, expected)) return
    const { pattern } = await forwardValues(golden, golden.sequences, (hooks) => ({
      pattern: hooks.get('blocks.0.attn.hook_pattern')!,
    }))
    expect(
      largestDifference((pattern.data as Float32Array).slice(0, expected.data.length), expected.data),
    ).toBeLessThan(1e-6)
  })

  test.each([
    ['padded', buildForward, completionFeeds],
    ['without padding', buildRaggedForward, raggedCompletionFeeds],
  ] as const)('loss and gradients equal those of torch, %s', async (_, build, feedsOf) => {
    const golden = await loadGolden(name)
    const { expected, sequences } = golden
    const rows = sequences.map((ids) => ({ promptIds: ids.slice(0, 1), completionIds: ids.slice(1) }))
    const { loss, ...grads } = await lossAndGradients(golden, build, feedsOf, rows)
    expect(loss[0]).toBeCloseTo(expected.get('loss')!.data[0], 5)
    for (const [key, values] of Object.entries(grads)) {
      const reference = expected.get(key)
      if (isGiven(name, reference)) expect(relativeDifference(values, reference.data), key).toBeLessThan(1e-5)
    }
  })

  test('a prefix that sequences share is computed once and changes nothing, loss and gradients', async () => {
    const golden = await loadGolden(name)
    const [first, second] = golden.sequences
    const rows = [
      { promptIds: first.slice(0, 3), completionIds: first.slice(3) },
      { promptIds: first.slice(0, 3), completionIds: second.slice(0, 2) },
      { promptIds: first.slice(0, 2), completionIds: first.slice(2, 5) },
      { promptIds: second.slice(0, 2), completionIds: second.slice(2) },
      { promptIds: first.slice(0, 3), completionIds: first.slice(3) },
    ]
    const feeds = raggedCompletionFeeds(golden.config, rows)
    expect(feeds.ids.shape[0]).toBeLessThan(rows.flatMap((row) => [...row.promptIds, ...row.completionIds]).length)
    const shared = await lossAndGradients(golden, buildRaggedForward, raggedCompletionFeeds, rows)
    const padded = await lossAndGradients(golden, buildForward, completionFeeds, rows)
    for (const [key, values] of Object.entries(padded))
      expect(relativeDifference(shared[key], values), key).toBeLessThan(1e-5)
  })

  test('scores equal those of torch, in any batch and order', async () => {
    const { config, parameters, expected, sequences } = await loadGolden(name)
    const scorer = await createScorer(config, parameters)
    const rows: PromptCompletion[] = sequences.map((ids) => ({
      promptIds: ids.slice(0, 1),
      completionIds: ids.slice(1),
    }))
    const together = await scorer.logprobs(rows)
    const [, time] = expected.get('logprobs')!.shape
    together.forEach((logprobs, row) => {
      const reference = expected.get('logprobs')!.data.slice(row * time, row * time + logprobs.length)
      expect(largestDifference(logprobs, reference)).toBeLessThan(1e-5)
    })
    const reversed = await scorer.logprobs(rows.toReversed())
    for (const [row, logprobs] of together.entries()) {
      expect(largestDifference(logprobs, reversed[rows.length - 1 - row])).toBeLessThan(1e-5)
      const [single] = await scorer.logprobs([rows[row]])
      expect(largestDifference(logprobs, single)).toBeLessThan(1e-5)
    }
    await scorer.dispose()
  })

  test('greedy generation from a cache equals that of transformers, beside other sequences', async () => {
    const { config, parameters, expected, sequences } = await loadGolden(name)
    const greedy = expected.get('greedy')
    if (!isGiven(name, greedy)) return
    const decoder = await createDecoder(config, parameters, { slots: 3, length: 32 })
    const prompts = [sequences[1].slice(0, 3), sequences[0].slice(0, 6), sequences[1]]
    const lengths = prompts.map(({ length }) => length)
    let scores = await decoder.prefill(0, prompts, [0, 0, 0])
    const tokens: number[] = []
    const logprobs: number[] = []
    for (let i = 0; i < greedy.data.length; i++) {
      const next = prompts.map((_, row) =>
        argmax(scores.logits.subarray(row * config.vocabSize, (row + 1) * config.vocabSize)),
      )
      tokens.push(next[1])
      logprobs.push(scores.logits[config.vocabSize + next[1]] - scores.logNormalizers[1])
      scores = await decoder.step(
        next,
        lengths.map((length) => length + i),
        [0, 0, 0],
      )
    }
    expect(tokens).toEqual(greedy.data)
    expect(largestDifference(logprobs, expected.get('greedy_logprobs')!.data)).toBeLessThan(1e-5)
    await decoder.dispose()
  })
})
