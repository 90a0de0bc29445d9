/**
 * Classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv 1610.06545): if a classifier tells current texts from
 * reference texts on texts it has not seen, they differ, and its weights say in what.
 *
 * Logistic regression on terms, learned on one half and tried on the other, then the other way round. On the half that it
 * has not seen the classifier is fixed, so relabelling that half at random gives an exact p-value of the rank sum (van
 * Elteren 1960 over strata). The halves depend on each other, so p = min(1, 2 · min(p₁, p₂)), which is valid whatever the
 * dependence; a binomial test of cross-validated accuracy is not.
 */
import type { Random } from '@plumbline/engine'
import { fitLogistic, type LogisticModel, predict, type SparseRow } from '@plumbline/evals'
import { type PermutationOptions, permutationPValue, type Stratum, shuffle, strata } from './permutation.ts'

/** λ; rows have length 1, so this is strong enough for halves of some hundred texts. */
const RIDGE = 0.1
const STEPS = 200

export interface TwoSampleInput {
  readonly rows: readonly SparseRow[]
  readonly features: number
  readonly isCurrent: readonly boolean[]
  readonly cohortOf: (index: number) => string
}

export interface ClassifierTest {
  readonly pValue: number
  /** P(a current text scores above a reference text), within strata; 0.5 is no difference. */
  readonly auc: number
  /** Mean of both halves' weights; positive speaks for current. */
  readonly weights: Float64Array
  /** Log-odds of being current, each by the classifier that did not see the text. */
  readonly scores: Float64Array
}

/** Undefined where no half has both samples in a stratum. */
export function classifierTest(input: TwoSampleInput, options: PermutationOptions): ClassifierTest | undefined {
  const { rows, features, isCurrent, cohortOf } = input
  const halves = splitInHalves(isCurrent, cohortOf, options.random)
  const models = halves.map((half) => fitHalf(half, input))
  const scores = new Float64Array(rows.length)
  const tried = halves.map((half, i) => {
    for (const index of half) scores[index] = predict(models[1 - i], rows[index])
    return strata(isCurrent, cohortOf, half)
  })
  if (tried.some((groups) => groups.length === 0)) return undefined
  const pValues = tried.map((groups) => {
    const ranked = groups.map(({ members }) => ranks(members.map((index) => scores[index])))
    return permutationPValue(groups, (labels) => rankSum(ranked, labels), options)
  })
  return {
    pValue: Math.min(1, 2 * Math.min(...pValues)),
    auc: areaUnderCurve(tried.flat(), scores),
    weights: Float64Array.from({ length: features }, (_, i) => (models[0].weights[i] + models[1].weights[i]) / 2),
    scores,
  }
}

/** Every stratum and sample is dealt out evenly. */
function splitInHalves(isCurrent: readonly boolean[], cohortOf: (index: number) => string, random: Random): number[][] {
  const halves: number[][] = [[], []]
  const groups = Map.groupBy(isCurrent.keys(), (index) => `${isCurrent[index]} ${cohortOf(index)}`)
  let next = 0
  for (const members of groups.values()) {
    shuffle(members, random)
    for (const index of members) halves[next++ % 2].push(index)
  }
  return halves
}

function fitHalf(half: readonly number[], { rows, features, isCurrent }: TwoSampleInput): LogisticModel {
  return fitLogistic(
    half.map((index) => rows[index]),
    half.map((index) => (isCurrent[index] ? 1 : 0)),
    features,
    { ridge: RIDGE, signs: [], maxSteps: STEPS },
  )
}

/** Ranks from 1, equal scores sharing the mean of theirs. */
function ranks(scores: readonly number[]): number[] {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a] - scores[b])
  const found = new Array<number>(scores.length)
  for (let start = 0; start < order.length; ) {
    let end = start
    while (end < order.length && scores[order[end]] === scores[order[start]]) end++
    for (const index of order.slice(start, end)) found[index] = (start + 1 + end) / 2
    start = end
  }
  return found
}

/** Σ over strata of the current sample's ranks, each stratum weighed by 1/(size + 1). */
function rankSum(ranked: readonly (readonly number[])[], labels: readonly (readonly boolean[])[]): number {
  let sum = 0
  ranked.forEach((list, s) => {
    let own = 0
    for (let i = 0; i < list.length; i++) if (labels[s][i]) own += list[i]
    sum += own / (list.length + 1)
  })
  return sum
}

/** Pairs that are in the right order, over all pairs within strata. */
function areaUnderCurve(groups: readonly Stratum[], scores: Float64Array): number {
  let [wins, pairs] = [0, 0]
  for (const { members, isCurrent } of groups) {
    const list = ranks(members.map((index) => scores[index]))
    const current = isCurrent.filter(Boolean).length
    const own = list.reduce((sum, rank, i) => sum + (isCurrent[i] ? rank : 0), 0)
    wins += own - (current * (current + 1)) / 2
    pairs += current * (members.length - current)
  }
  return wins / pairs
}
