import { createHash } from 'node:crypto'
import type { NewFeedback } from '@plumbline/contracts'
import type { FeedbackRow } from '@plumbline/store'
import { peopleNeeded } from '../stakes.ts'
import type { Sender } from './sender.ts'

/** Feedback as it is kept. Its id follows from who says what of which answer, so that sending again changes nothing. */
export function feedbackRow(sent: NewFeedback, sender: Sender, now: number): FeedbackRow {
  const { kind, category, rating, text, chosen, rejected, idempotency_key: key, consent } = sent
  const { project, interaction, actorKind, actor } = sender
  const content = key === undefined ? ['content', category, rating, text, chosen, rejected] : ['key', key]
  const isHigh = peopleNeeded(category) > 1
  return {
    id: uuidOf([project, interaction, actor, kind, ...content]),
    project,
    interaction,
    kind,
    category: category ?? null,
    rating: rating ?? null,
    text: text ?? null,
    chosen: chosen ?? null,
    rejected: rejected ?? null,
    actorKind,
    actor,
    consent: consent ?? null,
    people: isHigh ? 2 : kind === 'flag' ? 1 : 0,
    at: new Date(now).toISOString(),
  }
}

/** UUIDv8 (RFC 9562) of a SHA-256: the same for the same values. */
export function uuidOf(values: readonly unknown[]): string {
  const bytes = createHash('sha256').update(JSON.stringify(values)).digest().subarray(0, 16)
  bytes[6] = 0x80 | (bytes[6] & 0x0f)
  bytes[8] = 0x80 | (bytes[8] & 0x3f)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
