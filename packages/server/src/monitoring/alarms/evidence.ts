import type { FoundEvaluation, Monitoring, StoredAlarm } from '@plumbline/store'
import { z } from 'zod'

const count = z.number()
/** What an alarm of a risen rate rests on, as it is kept. */
const rateEvidenceSchema = z.object({
  baseline: z.object({ hits: count, n: count, estimate: z.number(), upper: z.number() }),
  hits: count,
  n: count,
  likeliestRate: z.number(),
  evidence: z.number(),
  needed: z.number(),
  until: z.iso.datetime(),
})
export type RateEvidence = z.infer<typeof rateEvidenceSchema>

/** What an alarm of a rate rests on, and the flagged answers that it counted up to its last detection, the newest first. */
export async function readEvidence(
  monitoring: Monitoring,
  { alarm, project, evidence }: StoredAlarm,
  limit: number,
): Promise<{ readonly rate: RateEvidence | undefined; readonly records: readonly FoundEvaluation[] }> {
  const rate = alarm.kind === 'rate' ? rateEvidenceSchema.safeParse(evidence).data : undefined
  if (rate === undefined || alarm.evaluator === null || alarm.version === null) return { rate, records: [] }
  const key = { project, evaluator: alarm.evaluator, version: alarm.version }
  // Those before them are the baseline's.
  const counted = Math.min(limit, rate.hits)
  const records = await monitoring.findEvaluations(key, { outcome: 'flagged', until: rate.until, limit: counted })
  return { rate, records }
}
