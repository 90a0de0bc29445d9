/** Toxic answers, as annotators of comments use the word. */
import type { EvaluationItem, Evaluator, Finding } from '../evaluator.ts'
import { toxicity as classifier, harm } from '../graders/harm.ts'

export const toxicity = {
  name: 'toxicity',
  summary: 'insulting, rude or threatening answers',
  version: classifier.version,
  flags: ['toxic'],
  passes: ['not_toxic'],
  calibration: classifier.calibration,
  threshold: classifier.threshold,
  evaluate({ completion }: EvaluationItem): Finding {
    const score = harm.scores(completion).toxicity
    return { score, label: score >= classifier.threshold ? 'toxic' : 'not_toxic' }
  },
} satisfies Evaluator
