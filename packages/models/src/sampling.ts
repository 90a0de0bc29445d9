/**
 * Choosing the next token, in the order of Hugging Face: repetition penalty, temperature, top-k, top-p. Of equal tokens
 * the first counts as the likelier one, so top-k keeps exactly k; transformers keeps all that tie with the k-th.
 */
import { PlumblineError } from '@plumbline/contracts'

export interface SamplingOptions {
  /** 0 takes the likeliest token; so does anything below 1e-5, as in vLLM, since dividing by it overflows. */
  readonly temperature: number
  /** Keeps the likeliest tokens whose probabilities sum to at least this; 1 keeps all. */
  readonly topP: number
  /** Keeps this many of the likeliest tokens; 0 keeps all. */
  readonly topK: number
  /** Divides positive and multiplies negative scores of tokens already seen (Keskar et al. 2019); 1 changes nothing. */
  readonly repetitionPenalty: number
}

export interface NextTokenScores {
  /** Raw scores, [vocabSize]. */
  readonly logits: Float32Array
  /** softmax(logits / temperature), [vocabSize]; computed where it is needed and not given. */
  readonly probabilities?: Float32Array
  /** argmax(logits); computed where it is needed and not given. */
  readonly likeliest?: number
}

/** Index of the largest number; the first of equals. */
export function argmax(values: Float32Array): number {
  let best = 0
  let largest = values[0]
  for (let i = 1; i < values.length; i++) {
    if (!(values[i] > largest)) continue
    largest = values[i]
    best = i
  }
  return best
}

const GREEDY_BELOW = 1e-5

/** Whether the likeliest token is taken at this temperature. */
export const isGreedy = (temperature: number) => temperature < GREEDY_BELOW

/**
 * One token. `uniform` gives numbers in [0, 1); `seen` are the tokens of prompt and completion so far. Throws
 * LOGITS_NOT_FINITE when the scores are no numbers to choose by.
 */
export function sampleToken(
  { logits, probabilities, likeliest }: NextTokenScores,
  { temperature, topP, topK, repetitionPenalty }: SamplingOptions,
  seen: ReadonlySet<number>,
  uniform: () => number,
): number {
  const isPenalized = repetitionPenalty !== 1
  const scores = isPenalized ? penalizedLogits(logits, seen, repetitionPenalty) : logits
  if (isGreedy(temperature)) {
    const best = !isPenalized && likeliest !== undefined ? likeliest : argmax(scores)
    if (!Number.isFinite(scores[best])) throw notFinite()
    return best
  }
  let weights = probabilities ?? exponentials(scores, temperature)
  if (isPenalized && probabilities) weights = reweighted(logits, probabilities, scores, seen, temperature)
  let sum = total(weights)
  if (isPenalized && !(sum > 1e-20 && sum < 1e100)) {
    weights = exponentials(scores, temperature)
    sum = total(weights)
  }
  if (!(sum > 0 && sum < Number.POSITIVE_INFINITY)) throw notFinite()
  if (topK === 0 && topP >= 1) return drawFromAll(weights, sum, uniform())
  return drawFrom(nucleus(weights, topK, topP, sum), weights, uniform())
}

/** The error for scores that are NaN or infinite. */
export function notFinite(): PlumblineError {
  return new PlumblineError('LOGITS_NOT_FINITE', 'the model gives scores that are not finite numbers.', {
    hint: 'Its weights are damaged, or its training diverged: pull it again, or go back to an earlier checkpoint.',
  })
}

function penalizedLogits(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): Float32Array {
  const penalized = logits.slice()
  for (const token of seen) penalized[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty
  return penalized
}

/**
 * The probabilities with those of seen tokens computed anew, not summing to one: cheap, and good unless the penalty
 * takes nearly all of the weight away. Then tokens matter whose probability was 0 in float32.
 */
function reweighted(
  logits: Float32Array,
  probabilities: Float32Array,
  penalized: Float32Array,
  seen: ReadonlySet<number>,
  temperature: number,
): Float64Array {
  const best = argmax(logits)
  const weights = new Float64Array(probabilities)
  for (const token of seen)
    weights[token] = probabilities[best] * Math.exp((penalized[token] - logits[best]) / temperature)
  return weights
}

/** Weights that belong to logits, the largest 1. */
function exponentials(logits: Float32Array, temperature: number): Float64Array {
  const largest = logits[argmax(logits)]
  const weights = new Float64Array(logits.length)
  for (let i = 0; i < weights.length; i++) weights[i] = Math.exp((logits[i] - largest) / temperature)
  return weights
}

function total(weights: Float32Array | Float64Array): number {
  let sum = 0
  for (let i = 0; i < weights.length; i++) sum += weights[i]
  return sum
}

function drawFromAll(weights: Float32Array | Float64Array, sum: number, uniform: number): number {
  let left = uniform * sum
  let last = 0
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] <= 0) continue
    last = i
    left -= weights[i]
    if (left < 0) return i
  }
  return last
}

function drawFrom(tokens: readonly number[], weights: Float32Array | Float64Array, uniform: number): number {
  let left = uniform * tokens.reduce((sum, token) => sum + weights[token], 0)
  for (const token of tokens) {
    left -= weights[token]
    if (left < 0) return token
  }
  return tokens[tokens.length - 1]
}

/**
 * The tokens that top-k, then top-p, keep: likeliest first, of equals the first. Never empty where `sum`, the weights'
 * total, is above 0.
 */
export function nucleus(
  weights: Float32Array | Float64Array,
  topK: number,
  topP: number,
  sum = total(weights),
): number[] {
  // All tokens below this together hold less than 1 − topP, so none of them can be kept: they need no sorting. The last
  // factor is for rounding: the largest weight is never below the mean.
  const floor = topK === 0 ? (((1 - topP) * sum) / weights.length) * (1 - 1e-9) : 0
  const kept = heaviest(weights, topK || weights.length, floor)
  if (topP >= 1) return kept
  const mass = topK === 0 ? sum : kept.reduce((mass, token) => mass + weights[token], 0)
  let before = 0
  const end = kept.findIndex((token) => {
    if (before >= topP * mass) return true
    before += weights[token]
    return false
  })
  return end < 0 ? kept : kept.slice(0, Math.max(1, end))
}

/** The tokens with the `count` highest scores, likeliest first, of equals the first. */
export function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = []
  for (let i = 0; i < logits.length && count > 0; i++) {
    if (best.length === count && !(logits[i] > logits[best[count - 1]])) continue
    let place = best.length
    while (place > 0 && logits[i] > logits[best[place - 1]]) place--
    best.splice(place, 0, i)
    if (best.length > count) best.pop()
  }
  return best
}

/** The `count` heaviest tokens of those above 0 and not below `floor`, heaviest first, of equals the first. */
function heaviest(weights: Float32Array | Float64Array, count: number, floor: number): number[] {
  const byWeight = (a: number, b: number) => weights[b] - weights[a] || a - b
  let kept: number[] = []
  let beaten = 0
  for (let i = 0; i < weights.length; i++) {
    if (!(weights[i] > beaten && weights[i] >= floor)) continue
    kept.push(i)
    // Cut now and then instead of sorting the whole vocabulary for a few.
    if (kept.length < 2 * count + 64) continue
    kept = kept.sort(byWeight).slice(0, count)
    beaten = weights[kept[count - 1]]
  }
  return kept.sort(byWeight).slice(0, count)
}
