/** Losses of a reward model, r the score that it gives to a whole answer. */
import { add, greater, mul, neg, scale, softplus, sub, type Tensor } from '@plumbline/engine'
import { checkSameShapes, weightedSum } from './weighted.ts'

export interface RewardLossInputs {
  /** [P], each pair's share of the accumulated batch: 1 / pairs, 0 for padding. */
  readonly weights: Tensor
  /** By how much chosen is known to be better, [P]. */
  readonly margins?: Tensor
  /** c; 0.01 is what the paper advises. */
  readonly centerRewardsCoefficient?: number
}

/** All are [] and add up over micro-batches. */
export interface PairwiseRewardLoss {
  readonly loss: Tensor
  /** Share of pairs whose chosen answer scores higher; a tie is a miss. */
  readonly accuracy: Tensor
  /** Mean of r_c − r_r. */
  readonly margin: Tensor
  /** Mean over all answers, chosen and rejected. */
  readonly meanReward: Tensor
}

/**
 * Bradley–Terry over pairs (Ouyang et al. 2022, arXiv:2203.02155, equation 1) with the margin of Llama 2 (Touvron et
 * al. 2023, arXiv:2307.09288, equation 2) and the centring of Eisenstein et al. 2023 (arXiv:2312.09244, equation 2):
 *
 *   L = Σ w · ( −log σ(r_c − r_r − margin) + c · (r_c + r_r)² )
 *
 * `chosenRewards` and `rejectedRewards` [P].
 */
export function rewardLoss(
  chosenRewards: Tensor,
  rejectedRewards: Tensor,
  { weights, margins, centerRewardsCoefficient = 0 }: RewardLossInputs,
): PairwiseRewardLoss {
  checkSameShapes('rewardLoss', { chosenRewards, rejectedRewards, weights, margins })
  const difference = sub(chosenRewards, rejectedRewards)
  const total = add(chosenRewards, rejectedRewards)
  // −log σ(x) = softplus(−x), which does not overflow
  const pairLoss = softplus(neg(margins ? sub(difference, margins) : difference))
  const centred = add(pairLoss, scale(mul(total, total), centerRewardsCoefficient))
  return {
    loss: weightedSum(centerRewardsCoefficient === 0 ? pairLoss : centred, weights),
    accuracy: weightedSum(greater(chosenRewards, rejectedRewards), weights),
    margin: weightedSum(difference, weights),
    meanReward: scale(weightedSum(total, weights), 0.5),
  }
}

export interface RewardScoreLossInputs {
  /** What the answers were given, [N]. */
  readonly scores: Tensor
  /** [N], each answer's share of the accumulated batch. */
  readonly weights: Tensor
}

/** Mean squared error to given scores, []: L = Σ w · (r − score)². `rewards` [N]. */
export function rewardScoreLoss(rewards: Tensor, { scores, weights }: RewardScoreLossInputs): Tensor {
  checkSameShapes('rewardScoreLoss', { rewards, scores, weights })
  const error = sub(rewards, scores)
  return weightedSum(mul(error, error), weights)
}
