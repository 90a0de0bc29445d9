/** Texts as words and pairs of words, for tests that compare two sets of texts. */
import type { SparseRow } from '@plumbline/evals'

/** More of a text is not read: one huge answer must not hold up the others. */
const LONGEST_TEXT = 4000
const LONGEST_WORD = 40
/** A term of fewer texts says little and costs as much. */
const FEWEST_TEXTS = 3
const MOST_TERMS = 2000

/** Distinct terms of a text, lower case: words of letters, marks and digits, and neighbours joined by a space. */
export function terms(text: string): Set<string> {
  const words =
    text
      .slice(0, LONGEST_TEXT)
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  const kept = words.filter((word) => word.length <= LONGEST_WORD)
  return new Set([...kept, ...kept.slice(1).map((word, i) => `${kept[i]} ${word}`)])
}

export interface TermTable {
  readonly vocabulary: readonly string[]
  /** Per text, its terms' indices, each with the value 1/√(terms): rows of length 1. */
  readonly rows: readonly SparseRow[]
}

/** The terms that most texts have, over both sets together, so that the choice of terms knows nothing of the sets. */
export function termTable(texts: readonly string[]): TermTable {
  const found = texts.map(terms)
  const counts = new Map<string, number>()
  for (const set of found) for (const term of set) counts.set(term, (counts.get(term) ?? 0) + 1)
  const vocabulary = [...counts]
    .filter(([, count]) => count >= FEWEST_TEXTS)
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, MOST_TERMS)
    .map(([term]) => term)
  const indexOf = new Map(vocabulary.map((term, i) => [term, i]))
  const rows = found.map((set) => {
    const indices = [...set].flatMap((term) => indexOf.get(term) ?? []).sort((a, b) => a - b)
    return { indices, values: indices.map(() => 1 / Math.sqrt(indices.length)) }
  })
  return { vocabulary, rows }
}
