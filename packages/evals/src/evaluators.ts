import type { Evaluator } from './evaluator.ts'
import { canary } from './evaluators/canary.ts'
import { facts } from './evaluators/facts.ts'
import { groundedness } from './evaluators/groundedness.ts'
import { harm } from './evaluators/harm.ts'
import { personalData } from './evaluators/personal-data.ts'
import { overRefusal, refusal } from './evaluators/refusal.ts'
import { toxicity } from './evaluators/toxicity.ts'

/** All that run in this process, by name. A judge, which needs a server, is made by `createJudge`. */
export const evaluators = {
  harm,
  toxicity,
  refusal,
  'over-refusal': overRefusal,
  'personal-data': personalData,
  groundedness,
  facts,
  canary,
} satisfies Record<string, Evaluator>

export type EvaluatorName = keyof typeof evaluators
