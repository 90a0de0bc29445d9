import type { Database } from './database.ts'
import { type BatchOptions, deleteInBatches, redactInBatches } from './erasure.ts'

/** How long what is kept, in days; without a number for ever. */
export interface RetentionPolicy {
  /** Questions and answers: after that a record has its metadata only. */
  readonly contentDays?: number | undefined
  /** The whole record, and counts of what could not be recorded. */
  readonly metadataDays?: number | undefined
}

export interface RetentionResult {
  readonly redacted: number
  readonly deleted: number
}

export interface Retention {
  /** Of one project, or of all. Also clears away expired sessions and finished jobs. The audit log stays. */
  retain(
    policy: RetentionPolicy,
    options: BatchOptions & { readonly now: number; readonly project?: string | undefined },
  ): Promise<RetentionResult>
}

const dayMs = 86_400_000
const finishedJobDays = 30

export function createRetention(database: Database): Retention {
  return {
    retain: async ({ contentDays, metadataDays }, { now, project, ...options }) => {
      const before = (days: number) => new Date(now - days * dayMs).toISOString()
      const where = 'created_at < $1::timestamptz and ($2::text is null or project = $2)'
      const old = (days: number) => [before(days), project ?? null]
      let deleted = 0
      let redacted = 0
      // What goes altogether need not be redacted first.
      if (metadataDays !== undefined) {
        deleted = await deleteInBatches(database, where, old(metadataDays), options)
        await database.query(`delete from plumbline.feedback where ${where}`, old(metadataDays))
        if (project === undefined) {
          await database.query('delete from plumbline.gaps where to_time < $1::timestamptz', [before(metadataDays)])
        }
      }
      if (contentDays !== undefined) {
        const isWhole = `${where} and redacted_at is null`
        const at = new Date(now).toISOString()
        await database.query(
          `update plumbline.feedback set content = null, chosen = null, rejected = null
          where ${where} and coalesce(content, chosen, rejected) is not null`,
          old(contentDays),
        )
        redacted = await redactInBatches(database, isWhole, old(contentDays), { ...options, at, reason: 'retention' })
      }
      await database.query('delete from plumbline.sessions where expires_at < $1::timestamptz', [before(0)])
      await database.query('delete from plumbline.jobs where finished_at < $1::timestamptz', [before(finishedJobDays)])
      return { redacted, deleted }
    },
  }
}
