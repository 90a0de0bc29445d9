/**
 * A question with a known answer: is it in the completion? Words are compared without case and signs, numbers by their
 * value. An answer that names the right one only to deny it counts as right.
 */
import { type EvaluationItem, type Evaluator, type Finding, versionOf } from '../evaluator.ts'
import { says } from './facts.ts'

export const canary = {
  name: 'canary',
  summary: 'wrong answers to questions whose answers are known',
  version: versionOf(1),
  flags: ['wrong'],
  passes: ['right'],
  needs: ['answers'],
  evaluate({ completion, answers = [] }: EvaluationItem): Finding {
    if (completion.trim() === '') return { score: 0, label: 'empty' }
    return says(completion, answers.map(String)) ? { score: 0, label: 'right' } : { score: 1, label: 'wrong' }
  },
} satisfies Evaluator
