export type { AuditEntry, AuditEvent } from './audit.ts'
export { isDataError } from './database.ts'
export type { Erasure } from './erasure.ts'
export { type ExportFormat, exportFormats } from './export/export.ts'
export type { FeedbackRow } from './feedback/latest.ts'
export { readLines, type Write, writeFileWhole } from './files.ts'
export { hmacSha256 } from './hmac.ts'
export { interactionJson, type Page, type PageOptions, type RecordRow } from './interactions.ts'
export type { Job } from './jobs/jobs.ts'
export { type JobHandler, startWorker, type Worker } from './jobs/worker.ts'
export type { NewAlarm, Notification, StoredAlarm } from './monitoring/alarms.ts'
export type { AnswerDay } from './monitoring/drift.ts'
export type { FoundEvaluation, MonitorSums } from './monitoring/figures.ts'
export type { Monitoring } from './monitoring/monitoring.ts'
export type { PairDay, PairRow, PairSum, PairSums } from './monitoring/pairs.ts'
export type { SaidOfAnswer } from './monitoring/said.ts'
export type { Decision, DetectorKey, EvaluationRow, Settlement, StoredDetector } from './monitoring/settle.ts'
export { type CohortRow, type MarkRow, type RateRow, restCohort, type TrafficRow } from './monitoring/sums.ts'
export type { RecordHead, Taken } from './monitoring/take.ts'
export type { Verdict } from './monitoring/verdicts.ts'
export { type RecordFacts, recordFacts } from './record-facts.ts'
export type { RetentionPolicy } from './retention.ts'
export type { LeaseAnswer } from './review/places.ts'
export type { ReviewRequest } from './review/queue.ts'
export type { ReviewLease } from './review/review.ts'
export type { LabelledVerdicts, SampleLabels } from './review/sample-labels.ts'
export type { StoredSecret } from './secrets.ts'
export type { Payload } from './spool/frame.ts'
export { feedbackPayload, gapPayload, interactionPayload, type Shipper, startShipper } from './spool/shipper.ts'
export { openSpool, type Safety, type Spool, SpoolFull, type SpoolOptions, type SpoolState } from './spool/spool.ts'
export {
  type Gap,
  type KeyFacts,
  openShippedStore,
  openStore,
  restoreStore,
  type ShippedStore,
  type Store,
  type StoredKey,
  type StorePlace,
} from './store.ts'
export type { SubjectHasher } from './subject.ts'
