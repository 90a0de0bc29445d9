/**
 * Is each sentence of an answer supported by the context that it was drawn from? By overlap alone: a sentence is
 * supported when enough of its content words stand in the context, none of its numbers is missing there, and no more
 * than one of its names is. It does not read: a sentence that turns a claim round in the context's own words passes.
 */
import { type EvaluationItem, type Evaluator, type Finding, versionOf } from '../evaluator.ts'
import { contentOf, namesOf, numbersOf, sentencesOf } from './words.ts'

/** Share of a sentence's content words that must stand in the context. */
const WANTED_OVERLAP = 0.6
/** A shorter sentence ("Yes, I can help.") claims nothing that could be checked. */
const MIN_WORDS = 3

export const groundedness = {
  name: 'groundedness',
  summary: 'sentences of the answer without support in the given context',
  version: versionOf(1, WANTED_OVERLAP, MIN_WORDS),
  flags: ['ungrounded'],
  passes: ['grounded'],
  needs: ['context'],
  evaluate({ completion, context = '' }: EvaluationItem): Finding {
    const known = new Set(contentOf(context))
    const claims = sentencesOf(completion).filter((sentence) => contentOf(sentence).length >= MIN_WORDS)
    if (claims.length === 0) return { score: 0, label: 'no_claim' }
    const unsupported = claims.filter((sentence) => !isSupported(sentence, known))
    const score = unsupported.length / claims.length
    if (score === 0) return { score, label: 'grounded' }
    return {
      score,
      label: 'ungrounded',
      explanation: `${unsupported.length} of ${claims.length} sentences without support, the first: ${unsupported[0].slice(0, 200)}`,
    }
  },
} satisfies Evaluator

function isSupported(sentence: string, known: ReadonlySet<string>): boolean {
  const words = contentOf(sentence)
  const found = words.filter((word) => known.has(word)).length
  const hasItsNumbers = [...numbersOf(sentence)].every((number) => known.has(number))
  const strangeNames = new Set(namesOf(sentence).filter((name) => !known.has(name))).size
  return hasItsNumbers && strangeNames <= 1 && found / words.length >= WANTED_OVERLAP
}
