import { type JobHandler, type RetentionPolicy, type Store, startWorker, type Worker } from '@plumbline/store'
import { z } from 'zod'
import { erasureJob } from './api/subjects.ts'
import { createClockGuard } from './clock-guard.ts'

const seqSchema = z
  .string()
  .regex(/^\d{1,19}$/)
  .default('0')
const erasureSchema = z.object({
  project: z.string(),
  target: z.string(),
  kind: z.enum(['subject', 'record']),
  mode: z.enum(['delete', 'redact']),
  at: z.iso.datetime(),
  // Jobs from before it was noted have none.
  lastRecord: seqSchema,
  lastFeedback: seqSchema,
})
const retentionSchema = z.object({ contentDays: z.number().optional(), metadataDays: z.number().optional() })

const retentionEveryMs = 3_600_000
const vacuumEveryMs = 600_000

interface WorkerWorld {
  readonly policy: RetentionPolicy
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Milliseconds that never go back. */
  readonly clock: () => number
  readonly warn: (text: string) => void
}

/** Does what was left to be done later: one person's records, hourly what has grown too old, and an embedded store's vacuum. */
export async function startGatewayWorker(store: Store, { policy, now, clock, warn }: WorkerWorld): Promise<Worker> {
  const mayDeleteByAge = createClockGuard({ now, clock, warn })
  const handlers: Record<string, JobHandler> = {
    [erasureJob]: async (payload, { signal }) => ({
      records: await store.erase(erasureSchema.parse(payload), { signal }),
    }),
    retain: async (payload, { signal }) =>
      mayDeleteByAge()
        ? store.retain(retentionSchema.parse(payload), { now: now(), signal })
        : { redacted: 0, deleted: 0 },
    vacuum: (_, { signal }) => store.vacuum(signal),
  }
  await store.jobs.schedule({ kind: 'vacuum', payload: null, everyMs: vacuumEveryMs })
  await store.jobs.schedule({ kind: 'retain', payload: policy, everyMs: retentionEveryMs })
  return startWorker(store.jobs, { handlers, warn })
}
