import { type JobHandler, type RetentionPolicy, type Store, startWorker, type Worker } from '@plumbline/store'
import { z } from 'zod'
import { erasureJob } from './api/subjects.ts'

const erasureSchema = z.object({
  project: z.string(),
  target: z.string(),
  kind: z.enum(['subject', 'record']),
  mode: z.enum(['delete', 'redact']),
  at: z.iso.datetime(),
})
const retentionSchema = z.object({ contentDays: z.number().optional(), metadataDays: z.number().optional() })

const retentionEveryMs = 3_600_000

/** Does what was left to be done later: one person's records, and hourly what has grown too old. */
export async function startGatewayWorker(
  store: Store,
  { policy, now, warn }: { policy: RetentionPolicy; now: () => number; warn: (text: string) => void },
): Promise<Worker> {
  const handlers: Record<string, JobHandler> = {
    [erasureJob]: async (payload, { signal }) => ({
      records: await store.erase(erasureSchema.parse(payload), { signal }),
    }),
    retain: (payload, { signal }) => store.retain(retentionSchema.parse(payload), { now: now(), signal }),
  }
  await store.jobs.schedule({ kind: 'retain', payload: policy, everyMs: retentionEveryMs })
  return startWorker(store.jobs, { handlers, warn })
}
