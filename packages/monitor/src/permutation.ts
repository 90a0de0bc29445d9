/** Permutation tests of "these two samples come from one source", within strata where there are some. */
import type { Random } from '@plumbline/engine'

/** Members of both samples that are compared with each other; `isCurrent` says which sample each is of. */
export interface Stratum {
  readonly members: readonly number[]
  readonly isCurrent: readonly boolean[]
}

/** By cohort, or one of all; strata with one sample alone can show nothing and are left out. */
export function strata(
  isCurrent: readonly boolean[],
  cohortOf: (index: number) => string,
  members: readonly number[],
): Stratum[] {
  return [...Map.groupBy(members, cohortOf).values()]
    .map((indices) => ({ members: indices, isCurrent: indices.map((index) => isCurrent[index]) }))
    .filter(({ isCurrent: sides }) => sides.includes(true) && sides.includes(false))
}

export interface PermutationOptions {
  readonly random: Random
  readonly draws: number
  /**
   * Draws end when so many have reached what was seen. A decision at α is the same with all draws if this is more than
   * α · draws; beyond it p is known to about 1/√enough of itself. Without it all are drawn.
   */
  readonly enough?: number
}

/** Draws for a decision at α: eight times as many as the smallest p-value asks for, and when they may end. */
export function drawsAt(alpha: number): Required<Pick<PermutationOptions, 'draws' | 'enough'>> {
  const draws = Math.min(50_000, Math.max(999, Math.ceil(8 / alpha)))
  // One more than is needed, as α · draws is rounded.
  return { draws, enough: Math.max(20, 2 + Math.floor(draws * alpha)) }
}

/**
 * P(statistic ≥ what was seen) when the samples are relabelled at random within each stratum: (1 + #≥)/(1 + draws)
 * (Phipson & Smyth 2010), or enough/drawn where the draws ended early (Besag & Clifford 1991). Exact at any number of
 * draws. Equal up to rounding counts as equal.
 */
export function permutationPValue(
  groups: readonly Stratum[],
  statistic: (labels: readonly (readonly boolean[])[]) => number,
  { random, draws, enough = Number.POSITIVE_INFINITY }: PermutationOptions,
): number {
  const seen = statistic(groups.map(({ isCurrent }) => isCurrent))
  const slack = 1e-9 * Math.max(1e-9, Math.abs(seen))
  const labels = groups.map(({ isCurrent }) => [...isCurrent])
  let asLarge = 0
  for (let drawn = 1; drawn <= draws; drawn++) {
    for (const list of labels) shuffle(list, random)
    if (statistic(labels) >= seen - slack) asLarge++
    if (asLarge >= enough) return asLarge / drawn
  }
  return (1 + asLarge) / (1 + draws)
}

/** In place (Fisher & Yates). */
export function shuffle<T>(list: T[], random: Random): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.integer(i + 1)
    ;[list[i], list[j]] = [list[j], list[i]]
  }
}
