/** Losses of proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347). */
import { exp, greater, maximum, minimum, mul, neg, scale, sub, type Tensor } from '@plumbline/engine'
import { checkSameShapes, maskOf, weightedSum } from './weighted.ts'

export interface PpoPolicyLossInputs {
  /** log π_old of the sampled tokens, [M]: from the same graph as the new ones, at the sampling temperature. */
  readonly oldLogprobs: Tensor
  /** [M], whitened over the whole batch. */
  readonly advantages: Tensor
  /** [M], each token's share of the accumulated batch: 1 / tokens, 0 for padding. */
  readonly weights: Tensor
  /** ε. */
  readonly clipRange?: number
  /** Of the distributions that the tokens are from, [M]: `entropyFromLogits`. */
  readonly entropies?: Tensor
  /** Weight of the entropy bonus. */
  readonly entropyCoef?: number
}

/** All are [] and add up over micro-batches. */
export interface PpoPolicyLoss {
  readonly loss: Tensor
  /** Share of tokens where the clipped term is the larger. */
  readonly clipFraction: Tensor
  /** KL(old ‖ new) by k2: mean of ½ (log ratio)². */
  readonly approxKl: Tensor
  /** Mean of the ratio. */
  readonly ratio: Tensor
  /** Mean of (ratio − 1)²; `ratioVariance` makes the variance of it. */
  readonly ratioDeviation: Tensor
  /** Mean entropy in nats; absent without `entropies`. */
  readonly entropy?: Tensor
}

/**
 * The clipped surrogate (equation 7) with an entropy bonus (equation 9), ρ = π / π_old of the token:
 *
 *   L = Σ w · max( −A·ρ, −A·clip(ρ, 1 − ε, 1 + ε) )  −  entropyCoef · Σ w · H
 *
 * `policyLogprobs` [M]. Where a weight is 0 the other numbers may be anything finite.
 */
export function ppoPolicyLoss(
  policyLogprobs: Tensor,
  { oldLogprobs, advantages, weights, clipRange = 0.2, entropies, entropyCoef = 0 }: PpoPolicyLossInputs,
): PpoPolicyLoss {
  checkSameShapes('ppoPolicyLoss', { policyLogprobs, oldLogprobs, advantages, weights, entropies })
  // Masked before exp: on padding the ratio could overflow, and ∞ · 0 is not 0.
  const logRatio = mul(sub(policyLogprobs, oldLogprobs), maskOf(weights))
  const ratio = exp(logRatio)
  const gain = neg(advantages)
  const unclipped = mul(gain, ratio)
  const clipped = mul(gain, clamp(ratio, 1 - clipRange, 1 + clipRange))
  const surrogate = weightedSum(maximum(unclipped, clipped), weights)
  const deviation = sub(ratio, ratio.graph.constant(1))
  const entropy = entropies && weightedSum(entropies, weights)
  return {
    loss: entropy && entropyCoef !== 0 ? sub(surrogate, scale(entropy, entropyCoef)) : surrogate,
    clipFraction: weightedSum(greater(clipped, unclipped), weights),
    approxKl: scale(weightedSum(mul(logRatio, logRatio), weights), 0.5),
    ratio: weightedSum(ratio, weights),
    ratioDeviation: weightedSum(mul(deviation, deviation), weights),
    ...(entropy && { entropy }),
  }
}

/** Variance of the ratio over the tokens of a batch (n, not n − 1), from the sums over its micro-batches. */
export function ratioVariance(ratio: number, ratioDeviation: number): number {
  return Math.max(0, ratioDeviation - (ratio - 1) ** 2)
}

export interface PpoValueLossInputs {
  /** Values at rollout, [M]. */
  readonly oldValues: Tensor
  /** What the values should have been, [M]. */
  readonly returns: Tensor
  /** [M], each token's share of the accumulated batch: 1 / tokens, 0 for padding. */
  readonly weights: Tensor
  /** c; Infinity does not clip. */
  readonly valueClipRange?: number
}

/** All are [] and add up over micro-batches. */
export interface PpoValueLoss {
  readonly loss: Tensor
  /** Share of tokens where the clipped term is the larger. */
  readonly clipFraction: Tensor
}

/**
 * Squared error of the values, clipped around those at rollout as in OpenAI's PPO (Huang et al. 2022, "The 37
 * implementation details of PPO", detail 9):
 *
 *   L = ½ Σ w · max( (V − R)², (clip(V, V_old − c, V_old + c) − R)² )
 *
 * `values` [M]. Where a weight is 0 the other numbers may be anything finite.
 */
export function ppoValueLoss(
  values: Tensor,
  { oldValues, returns, weights, valueClipRange = 0.2 }: PpoValueLossInputs,
): PpoValueLoss {
  checkSameShapes('ppoValueLoss', { values, oldValues, returns, weights })
  const mask = maskOf(weights)
  const moved = mul(sub(values, oldValues), mask)
  const target = mul(sub(returns, oldValues), mask) // R − V_old, so that both errors are differences of small numbers
  const unclipped = square(sub(moved, target))
  const clipped = square(sub(clamp(moved, -valueClipRange, valueClipRange), target))
  return {
    loss: scale(weightedSum(maximum(unclipped, clipped), weights), 0.5),
    clipFraction: weightedSum(greater(clipped, unclipped), weights),
  }
}

const square = (x: Tensor) => mul(x, x)

function clamp(x: Tensor, low: number, high: number): Tensor {
  return minimum(maximum(x, x.graph.constant(low)), x.graph.constant(high))
}
