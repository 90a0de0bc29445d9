import { readFileSync } from 'node:fs'
import { expect } from 'vitest'

export interface AdvantagesGolden {
  readonly lengths: number[]
  readonly scores: number[]
  readonly klCoef: number
  readonly klEstimator: 'k1' | 'k3'
  readonly gamma: number
  readonly gaeLambda: number
  readonly whitenRewards: boolean
  readonly policyLogprobs: number[][]
  readonly refLogprobs: number[][]
  readonly values: number[][]
  readonly kl: number[][]
  readonly rewards: number[][]
  readonly nonScoreRewards: number[][]
  readonly advantages: number[][]
  readonly returns: number[][]
  readonly whitened: number[][]
}

export interface PpoGolden {
  readonly lengths: number[]
  readonly clipRange: number
  readonly valueClipRange: number
  readonly entropyCoef: number
  readonly inputs: { readonly logits: number[][][] } & Readonly<
    Record<'responses' | 'oldLogprobs' | 'advantages' | 'oldValues' | 'returns' | 'values', number[][]>
  >
  readonly policyLogprobs: number[][]
  readonly policyLoss: number
  readonly valueLoss: number
  readonly clipFraction: number
  readonly valueClipFraction: number
  readonly approxKl: number
  readonly ratio: number
  readonly ratioVariance: number
  readonly entropy: number
  readonly lossWithEntropy: number
  readonly gradients: Readonly<
    Record<'policyLogprobs' | 'values', number[][]> & Record<'logits' | 'logitsWithEntropy', number[][][]>
  >
}

export interface RewardGolden {
  readonly centerRewardsCoefficient: number
  readonly margins: number[] | null
  readonly chosen: number[]
  readonly rejected: number[]
  readonly loss: number
  readonly accuracy: number
  readonly margin: number
  readonly mean_reward: number
  readonly gradients: { readonly chosen: number[]; readonly rejected: number[] }
}

interface AlignGolden {
  readonly advantages: AdvantagesGolden[]
  readonly whitening: Readonly<Record<'rows' | 'shifted' | 'kept', number[][]>>
  readonly kl: Readonly<Record<'policy' | 'ref' | 'k1' | 'k2' | 'k3', number[]>>
  readonly adaptiveKl: {
    readonly klCoef: number
    readonly target: number
    readonly horizon: number
    readonly episodes: number
    readonly kls: number[]
    readonly coefs: number[]
  }
  readonly ppo: PpoGolden[]
  readonly reward: RewardGolden[]
  readonly rewardScores: {
    readonly rewards: number[]
    readonly scores: number[]
    readonly loss: number
    readonly gradient: number[]
  }
  readonly sft: {
    readonly lengths: number[]
    readonly logits: number[][][]
    readonly targets: number[][]
    readonly loss: number
    readonly accuracy: number
    readonly entropy: number
    readonly gradient: number[][][]
  }
}

/** What TRL 1.9 and torch compute: see tests/golden/align.py. */
export const golden = JSON.parse(
  readFileSync(new URL('../../../../tests/golden/align.json', import.meta.url), 'utf8'),
) as AlignGolden

/** Fails when any two numbers differ by more than 1e-5, absolute below 1 and relative above. */
export function expectClose(actual: ArrayLike<number>, expected: readonly number[], what = ''): void {
  expect(actual.length, what).toBe(expected.length)
  expected.forEach((value, i) => {
    const error = Math.abs(actual[i] - value) / Math.max(1, Math.abs(value))
    expect(error, `${what}[${i}]: ${actual[i]} for ${value}`).toBeLessThanOrEqual(1e-5)
  })
}

export function expectRowsClose(actual: readonly ArrayLike<number>[], expected: number[][], what = ''): void {
  expect(actual.length, what).toBe(expected.length)
  for (const [i, row] of expected.entries()) expectClose(actual[i], row, `${what}[${i}]`)
}
