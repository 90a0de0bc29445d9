import { randomUUID } from 'node:crypto'
import type { FeedbackRow } from './latest.ts'

/** Feedback as the server sends it, with what a test cares about. */
export function feedbackRow(fields: Partial<FeedbackRow> = {}): FeedbackRow {
  const nothing = { category: null, rating: null, text: null, chosen: null, rejected: null, consent: null }
  const who = { actorKind: 'end_user', actor: 'a'.repeat(43) } as const
  const at = '2026-01-02T03:04:05.678Z'
  return {
    id: randomUUID(),
    project: 'default',
    interaction: randomUUID(),
    kind: 'rating',
    ...who,
    ...nothing,
    people: 0,
    at,
    ...fields,
  }
}
