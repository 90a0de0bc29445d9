export type { AuditEntry, AuditEvent } from './audit.ts'
export { isDataError } from './database.ts'
export type { Erasure } from './erasure.ts'
export { type ExportFormat, exportFormats } from './export/export.ts'
export type { FeedbackRow } from './feedback/latest.ts'
export { readLines, writeFileWhole } from './files.ts'
export type { Page, PageOptions, RecordRow } from './interactions.ts'
export type { Job } from './jobs/jobs.ts'
export { type JobHandler, startWorker, type Worker } from './jobs/worker.ts'
export type { RetentionPolicy } from './retention.ts'
export type { LeaseAnswer } from './review/places.ts'
export type { ReviewLease } from './review/review.ts'
export type { StoredSecret } from './secrets.ts'
export { feedbackPayload, gapPayload, interactionPayload, type Shipper, startShipper } from './spool/shipper.ts'
export { openSpool, type Spool, SpoolFull, type SpoolState } from './spool/spool.ts'
export {
  type Gap,
  type KeyFacts,
  openStore,
  restoreStore,
  type Store,
  type StoredKey,
  type StorePlace,
} from './store.ts'
export type { SubjectHasher } from './subject.ts'
