import type { Grader } from './grader.ts'
import { refusal } from './graders/refusal.ts'

/** All graders by name. */
export const graders = { refusal } satisfies Record<string, Grader>

export type GraderName = keyof typeof graders
