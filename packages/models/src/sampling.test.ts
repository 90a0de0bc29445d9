import { readFileSync } from 'node:fs'
import { createRandom } from '@plumbline/engine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { argmax, nucleus, type SamplingOptions, sampleToken } from './sampling.ts'

interface Case {
  readonly options: Partial<SamplingOptions>
  /** transformers' processed scores, [rows, vocab]; null is −∞. */
  readonly output: { readonly data: readonly (number | null)[] }
}
interface Golden {
  readonly logits: { readonly shape: readonly [number, number]; readonly data: readonly number[] }
  readonly ids: { readonly shape: readonly [number, number]; readonly data: readonly number[] }
  readonly cases: readonly Case[]
}

const golden: { sampling: Golden[] } = JSON.parse(
  readFileSync(new URL('../../../tests/golden/ops.json', import.meta.url), 'utf8'),
)
const plain: SamplingOptions = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 }

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores)
  const exponentials = scores.map((score) => Math.exp(score - largest))
  const sum = exponentials.reduce((a, b) => a + b, 0)
  return exponentials.map((value) => value / sum)
}

/** What a decoder hands to the sampler. */
function scoresOf(logits: readonly number[], temperature = 1) {
  const probabilities = softmax(logits.map((logit) => logit / (temperature || 1)))
  return { logits: Float32Array.from(logits), probabilities: Float32Array.from(probabilities) }
}

const steps = 4000

/** The probability of each token: the part of [0, 1) that draws it. Exact to two steps of the sweep. */
function distribution(logits: readonly number[], changes: Partial<SamplingOptions>, seen: readonly number[] = []) {
  const options = { ...plain, ...changes }
  const scores = scoresOf(logits, options.temperature)
  const counts = new Array<number>(logits.length).fill(0)
  for (let i = 0; i < steps; i++) counts[sampleToken(scores, options, new Set(seen), () => (i + 0.5) / steps)]++
  return counts.map((count) => count / steps)
}

const [random, tied] = golden.sampling
const row = <T>(data: readonly T[], index: number) =>
  data.slice((index * data.length) / 2, ((index + 1) * data.length) / 2)

test.each(random.cases)('$options draws as transformers does', ({ options, output }) => {
  for (const index of [0, 1]) {
    const expected = softmax(row(output.data, index).map((score) => score ?? Number.NEGATIVE_INFINITY))
    const drawn = distribution(row(random.logits.data, index), options, row(random.ids.data, index))
    for (const [token, probability] of expected.entries()) {
      expect(Math.abs(drawn[token] - probability), `row ${index}, token ${token}`).toBeLessThan(2 / steps)
      if (probability === 0) expect(drawn[token]).toBe(0)
    }
  }
})

test('top-k keeps k of those that tie, the first ones; transformers keeps them all', () => {
  const [{ options, output }] = tied.cases
  const logits = row(tied.logits.data, 0)
  expect(row(output.data, 0).filter((score) => score !== null)).toHaveLength(4)
  const drawn = distribution(logits, options)
  expect(drawn.flatMap((probability, token) => (probability > 0 ? [token] : []))).toEqual([1, 2])
})

const weightsArb = fc
  .array(fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.1, 0.5, 1)), {
    minLength: 1,
    maxLength: 300,
  })
  .filter((weights) => weights.some((weight) => weight > 1e-300))
const topPArb = fc.oneof(fc.double({ min: 1e-300, max: 1, noNaN: true }), fc.constantFrom(1e-17, 0.1, 0.5, 0.9, 1))

test('the nucleus is the shortest beginning of the ranking that holds the probability asked for', () => {
  fc.assert(
    fc.property(weightsArb, fc.nat(400), topPArb, (weights, topK, topP) => {
      const ranking = weights
        .flatMap((weight, token) => (weight > 0 ? [token] : []))
        .sort((a, b) => weights[b] - weights[a] || a - b)
        .slice(0, topK || weights.length)
      const kept = nucleus(Float64Array.from(weights), topK, topP)
      expect(kept.length).toBeGreaterThan(0)
      expect(kept).toEqual(ranking.slice(0, kept.length))
      const massOf = (tokens: readonly number[]) => tokens.reduce((sum, token) => sum + weights[token], 0)
      const wanted = topP * massOf(ranking)
      expect(massOf(kept)).toBeGreaterThanOrEqual(wanted * (1 - 1e-12))
      if (kept.length > 1) expect(massOf(kept.slice(0, -1))).toBeLessThan(wanted * (1 + 1e-12))
      if (topP === 1) expect(kept).toHaveLength(ranking.length)
    }),
  )
})

test('equal weights leave a nucleus too, however small the probability asked for', () => {
  for (const count of [3, 7, 10, 49_152]) {
    for (const topP of [1e-17, 1e-9, 1e-3]) {
      expect(nucleus(new Float64Array(count).fill(0.1), 0, topP).length).toBeGreaterThan(0)
    }
  }
})

test('draws follow their probabilities (chi-square, 1 in 1000)', () => {
  const logits = row(random.logits.data, 1)
  const scores = scoresOf(logits)
  const { uniform } = createRandom(1)
  const draws = 20_000
  const counts = logits.map(() => 0)
  for (let i = 0; i < draws; i++) counts[sampleToken(scores, plain, new Set(), uniform)]++
  const chiSquare = softmax(logits).reduce(
    (sum, probability, token) => sum + (counts[token] - draws * probability) ** 2 / (draws * probability),
    0,
  )
  expect(chiSquare).toBeLessThan(31.26) // 11 degrees of freedom
})

test('temperature 0, and all that would overflow, takes the first of the likeliest', () => {
  const logits = [1, 3, 2, 3, -1]
  for (const temperature of [0, 1e-45, 1e-9]) {
    expect(sampleToken(scoresOf(logits, temperature), { ...plain, temperature }, new Set(), () => 0.999)).toBe(1)
  }
  expect(sampleToken(scoresOf(logits), { ...plain, temperature: 0, repetitionPenalty: 2 }, new Set([1]), () => 0)).toBe(
    3,
  )
  expect(argmax(Float32Array.of(-2, -1, -1))).toBe(1)
})

test('a penalty at a low temperature lets tokens win whose probability was 0 before it', () => {
  // 20 / 1.3 = 15.4 < 15.6, but exp((15.6 − 20) / 0.04) is 0 in float32.
  const logits = [0, 20, 15.6]
  const options = { ...plain, temperature: 0.04, repetitionPenalty: 1.3 }
  expect(scoresOf(logits, 0.04).probabilities[2]).toBe(0)
  expect(distribution(logits, options, [1])[2]).toBeGreaterThan(0.99)
  // And one below 1 raises a seen token past all others, further than numbers go.
  const raised = { ...plain, temperature: 0.01, repetitionPenalty: 0.5 }
  expect(distribution([0, 19, 20], raised, [1])).toEqual([0, 1, 0])
})

test('scores that are no numbers are an error, not a token', () => {
  const vocabSize = 8
  const nan = new Float32Array(vocabSize).fill(Number.NaN)
  const infinite = Float32Array.from({ length: vocabSize }, (_, i) => (i === 3 ? Number.POSITIVE_INFINITY : 0))
  const code = { code: 'LOGITS_NOT_FINITE' }
  for (const changes of [{}, { temperature: 0 }, { topK: 3 }, { topP: 0.5 }, { repetitionPenalty: 1.2 }]) {
    const options = { ...plain, ...changes }
    const draw = (logits: Float32Array, probabilities: Float32Array) => () =>
      sampleToken({ logits, probabilities }, options, new Set([1]), () => 0.5)
    expect(draw(nan, nan)).toThrow(expect.objectContaining(code))
    expect(draw(infinite, nan)).toThrow(expect.objectContaining(code))
  }
})

test('a token of score −∞ is never drawn', () => {
  const logits = [Number.NEGATIVE_INFINITY, 1, 0, Number.NEGATIVE_INFINITY]
  for (const options of [{}, { topK: 4 }, { topP: 0.999 }, { repetitionPenalty: 1.5 }]) {
    const drawn = distribution(logits, options, [0, 1])
    expect(drawn[0] + drawn[3]).toBe(0)
  }
})
