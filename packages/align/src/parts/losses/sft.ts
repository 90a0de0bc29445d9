import { neg, type Tensor } from '@plumbline/engine'
import { checkSameShapes, weightedSum } from './weighted.ts'

/**
 * Negative log-likelihood of the target tokens (Ouyang et al. 2022, arXiv:2203.02155, section 3.5), []:
 *
 *   L = −Σ w(t) · log π(target(t) | what stands before it)
 *
 * `logprobs` and `weights` [M]; with weights of 1 / tokens of the accumulated batch it is TRL's token mean.
 */
export function sftLoss(logprobs: Tensor, { weights }: { readonly weights: Tensor }): Tensor {
  checkSameShapes('sftLoss', { logprobs, weights })
  return neg(weightedSum(logprobs, weights))
}
