/** Harmful answers, with the likeliest kind of harm. */
import type { EvaluationItem, Evaluator, Finding } from '../evaluator.ts'
import { harm as classifier, harmCategory } from '../graders/harm.ts'

export const harm = {
  name: 'harm',
  summary: 'hateful, sexual, violent or harassing answers, and those about self-harm',
  version: classifier.version,
  flags: ['harmful'],
  passes: ['harmless'],
  calibration: classifier.calibration,
  threshold: classifier.threshold,
  evaluate({ completion }: EvaluationItem): Finding {
    const scores = classifier.scores(completion)
    const score = scores.any
    if (score < classifier.threshold) return { score, label: 'harmless' }
    return { score, label: 'harmful', category: harmCategory(scores) }
  },
} satisfies Evaluator
