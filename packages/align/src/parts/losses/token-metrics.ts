/** Metrics over tokens, from the scores over the vocabulary. */
import { add, argmax, exp, greater, logSoftmax, mul, neg, sub, sum, type Tensor } from '@plumbline/engine'
import { checkSameShapes, weightedSum } from './weighted.ts'

/** Entropy of each next-token distribution in nats: −Σ p·log p, logits [..., V] → [...]. Logits must be finite. */
export function entropyFromLogits(logits: Tensor): Tensor {
  const logProbabilities = logSoftmax(logits)
  return neg(sum(mul(exp(logProbabilities), logProbabilities), { axes: [-1] }))
}

/** Share of tokens that the model ranks first: logits [M, V], targets [M] int32, weights [M] → []. */
export function tokenAccuracy(
  logits: Tensor,
  { targets, weights }: { readonly targets: Tensor; readonly weights: Tensor },
): Tensor {
  const predicted = argmax(logits)
  checkSameShapes('tokenAccuracy', { logits: predicted, targets, weights })
  const differs = add(greater(predicted, targets), greater(targets, predicted))
  return weightedSum(sub(weights.graph.constant(1), differs), weights)
}
