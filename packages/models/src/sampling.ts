/** Choosing the next token, in the order of Hugging Face: repetition penalty, temperature, top-k, top-p. */

export interface SamplingOptions {
  /** 0 takes the likeliest token. */
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
  /** softmax(logits / temperature), [vocabSize]. */
  readonly probabilities: Float32Array
}

/** Index of the largest number; the first of equals. */
export function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}

/** One token. `uniform` gives numbers in [0, 1); `seen` are the tokens of prompt and completion so far. */
export function sampleToken(
  { logits, probabilities }: NextTokenScores,
  { temperature, topP, topK, repetitionPenalty }: SamplingOptions,
  seen: ReadonlySet<number>,
  uniform: () => number,
): number {
  if (temperature === 0)
    return argmax(repetitionPenalty === 1 ? logits : penalizedLogits(logits, seen, repetitionPenalty))
  const weights =
    repetitionPenalty === 1 ? probabilities : reweighted(logits, probabilities, seen, repetitionPenalty, temperature)
  if (topK === 0 && topP >= 1) return drawFromAll(weights, uniform())
  return drawFrom(nucleus(weights, topK, topP), weights, uniform())
}

function penalize(logit: number, penalty: number): number {
  return logit > 0 ? logit / penalty : logit * penalty
}

function penalizedLogits(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): Float32Array {
  const penalized = logits.slice()
  for (const token of seen) penalized[token] = penalize(logits[token], penalty)
  return penalized
}

/** Weights after the penalty, not summing to one: only the tokens seen change. */
function reweighted(
  logits: Float32Array,
  probabilities: Float32Array,
  seen: ReadonlySet<number>,
  penalty: number,
  temperature: number,
): Float64Array {
  const weights = Float64Array.from(probabilities)
  for (const token of seen) weights[token] *= Math.exp((penalize(logits[token], penalty) - logits[token]) / temperature)
  return weights
}

function total(weights: Float32Array | Float64Array): number {
  let sum = 0
  for (let i = 0; i < weights.length; i++) sum += weights[i]
  return sum
}

function drawFromAll(weights: Float32Array | Float64Array, uniform: number): number {
  let left = uniform * total(weights)
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

/** The tokens that top-k, then top-p, keep: likeliest first, of equals the first. Never empty. */
export function nucleus(weights: Float32Array | Float64Array, topK: number, topP: number): number[] {
  const sum = total(weights)
  // All tokens below this together hold less than 1 − topP, so none of them can be kept: they need no sorting.
  const floor = topK === 0 ? ((1 - topP) * sum) / weights.length : 0
  const candidates: number[] = []
  for (let i = 0; i < weights.length; i++) if (weights[i] > 0 && weights[i] >= floor) candidates.push(i)
  candidates.sort((a, b) => weights[b] - weights[a] || a - b)
  const kept = topK === 0 ? candidates : candidates.slice(0, topK)
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
