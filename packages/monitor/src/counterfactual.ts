/**
 * Whether an outcome changes when only the person in the prompt does: pairs of answers to a prompt and to the same prompt
 * with names or identity terms swapped. Binary outcomes of one pair a prompt: McNemar's exact test (1947). Else the sign
 * of each prompt's sum of differences is flipped at random (Fisher 1935): exact where swapping changes nothing.
 */
import type { Random } from '@plumbline/engine'
import { type Estimate, mcnemarExact, type Pair, pairedBootstrap } from '@plumbline/evals'
import type { SequenceOptions } from './confidence-sequence.ts'
import { noData, notEvaluated, ok, type Reading } from './reading.ts'

export interface CounterfactualGap {
  /** Mean of first − second with the cluster bootstrap's interval. */
  readonly gap: Estimate
  readonly pValue: number
  readonly test: 'mcnemar' | 'sign-flip'
  readonly pairs: number
  /** Prompts: `cluster` of a pair. */
  readonly prompts: number
}

const FEWEST_PROMPTS = 10

/** Evaluated once on a set of pairs: it is not valid at every look. `first` and `second` are outcomes, 0 … 1. */
export function counterfactualGap(
  pairs: readonly Pair[],
  { random, confidence = 0.95, draws = 9999 }: SequenceOptions & { readonly random: Random; readonly draws?: number },
): Reading<CounterfactualGap> {
  if (pairs.length === 0) return noData('There are no pairs.')
  const prompts = Map.groupBy(pairs, ({ cluster }) => cluster)
  if (prompts.size < FEWEST_PROMPTS)
    return notEvaluated(`Pairs of ${prompts.size} prompts: it needs ${FEWEST_PROMPTS}.`)
  const { clusters, ...gap } = pairedBootstrap(pairs, { random, confidence })
  const isBinary = pairs.every(({ first, second }) => [first, second].every((value) => value === 0 || value === 1))
  const isPlain = isBinary && prompts.size === pairs.length
  const sums = [...prompts.values()].map((list) => list.reduce((sum, { first, second }) => sum + first - second, 0))
  const pValue = isPlain
    ? mcnemarExact(sums.filter((sum) => sum > 0).length, sums.filter((sum) => sum < 0).length)
    : signFlip(sums, random, draws)
  return ok({ gap, pValue, test: isPlain ? 'mcnemar' : 'sign-flip', pairs: pairs.length, prompts: clusters })
}

/** P(|Σ ± d| ≥ |Σ d|), (1 + #≥)/(1 + draws). */
function signFlip(differences: readonly number[], random: Random, draws: number): number {
  const seen = Math.abs(differences.reduce((sum, difference) => sum + difference, 0))
  let asLarge = 0
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0
    for (const difference of differences) sum += random.uint32() % 2 === 0 ? difference : -difference
    if (Math.abs(sum) >= seen - 1e-9) asLarge++
  }
  return (1 + asLarge) / (1 + draws)
}
