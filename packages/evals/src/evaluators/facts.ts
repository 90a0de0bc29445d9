/**
 * Does an answer agree with facts that are known to be true? A sentence that names what a fact is about must give its
 * value; one that gives another number, or another name, contradicts it. An answer that speaks of none is set aside.
 */
import { type EvaluationItem, type Evaluator, type Fact, type Finding, versionOf } from '../evaluator.ts'
import { contentOf, namesOf, normalised, numbersOf, sentencesOf } from './words.ts'

export const facts = {
  name: 'facts',
  summary: 'answers that contradict a trusted fact',
  version: versionOf(1),
  flags: ['contradicts'],
  passes: ['agrees'],
  needs: ['facts'],
  evaluate({ completion, facts = [] }: EvaluationItem): Finding {
    const verdicts = facts.map((fact) => ({ fact, verdict: compare(completion, fact) }))
    const wrong = verdicts.filter(({ verdict }) => verdict === 'contradicts')
    const right = verdicts.filter(({ verdict }) => verdict === 'agrees')
    const spoken = wrong.length + right.length
    if (spoken === 0) return { score: 0, label: 'silent' }
    if (wrong.length === 0) return { score: 0, label: 'agrees' }
    const { about, value } = wrong[0].fact
    return { score: wrong.length / spoken, label: 'contradicts', explanation: `${about}: not ${value}` }
  },
} satisfies Evaluator

function compare(completion: string, fact: Fact): 'agrees' | 'contradicts' | 'silent' {
  const values = [fact.value, ...(fact.aliases ?? [])].map(String)
  if (says(completion, values)) return 'agrees'
  const subject = contentOf(fact.about)
  const speakingOfIt = sentencesOf(completion).filter((sentence) => {
    const words = new Set(contentOf(sentence))
    return subject.length > 0 && subject.every((word) => words.has(word))
  })
  const isNumber = numbersOf(values[0]).size > 0
  return speakingOfIt.some((sentence) => hasAnother(sentence, fact.about, isNumber)) ? 'contradicts' : 'silent'
}

/** A number, or a name, that is not part of what the fact is about. */
function hasAnother(sentence: string, about: string, isNumber: boolean): boolean {
  if (isNumber) {
    const own = numbersOf(about)
    return [...numbersOf(sentence)].some((number) => !own.has(number))
  }
  const own = new Set(contentOf(about))
  return namesOf(sentence).some((name) => !own.has(name))
}

/** Whether one of the values stands in the text as whole words, numbers by their value. */
export function says(text: string, values: readonly string[]): boolean {
  const words = ` ${normalised(text)} `
  return values.some((value) => {
    const wanted = normalised(value)
    return wanted !== '' && words.includes(` ${wanted} `)
  })
}
