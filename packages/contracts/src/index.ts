export {
  auditPageSchema,
  auditQuerySchema,
  createdKeySchema,
  erasureStartedSchema,
  feedbackSecretSchema,
  interactionPageSchema,
  interactionQuerySchema,
  jobSchema,
  keyIdSchema,
  keyPageSchema,
  keyQuerySchema,
  reloadedSchema,
  revokedKeySchema,
  sessionEndedSchema,
  sessionSchema,
  subjectSchema,
} from './admin-api.ts'
export {
  type AlignReport,
  type AlignStage,
  alignReportSchema,
  alignStageSchema,
  type Estimate,
  estimateSchema,
  type MetricSeries,
  metricSeriesSchema,
  type OutcomeCounts,
  type OutcomeLabel,
  outcomeCountsSchema,
  outcomeLabelSchema,
  type PromptKind,
  promptKindSchema,
} from './align-report.ts'
export {
  type KeyLimits,
  type KeyScope,
  keyLimitsSchema,
  keyScopeSchema,
  newKeySchema,
  projectSchema,
} from './api-key.ts'
export { type ErrorDetails, located, PlumblineError } from './errors.ts'
export {
  type AttemptNote,
  attemptNoteSchema,
  type Choice,
  choiceSchema,
  type GuardVerdict,
  guardVerdictSchema,
  type Interaction,
  interactionSchema,
  type Termination,
  terminationSchema,
  toolCallSchema,
} from './interaction.ts'
export { findJsonFault, type JsonFault } from './json-position.ts'
export { nearest } from './nearest.ts'
