import type { Interaction } from '@plumbline/contracts'

/** Why the content of a record is gone: its age, or a person's wish. */
export type RedactionReason = NonNullable<Interaction['redaction']>['reason']

export interface RedactedBody {
  readonly json: string
  /** Who the record is about still; null when nobody may find it by a person any more. */
  readonly subjects: readonly string[] | null
}

/**
 * A record without what was asked and answered: who paid, which model, how long, how it ended stay. At a person's wish
 * the link to the person goes too.
 */
export function redactBody(json: string, at: string, reason: RedactionReason): RedactedBody {
  const record = JSON.parse(json) as Interaction
  const subjects = reason === 'subject' ? [] : (record.subjects ?? [])
  const redacted: Interaction = {
    ...record,
    request: null,
    text: '',
    choices: [],
    // What an upstream says of an error may repeat the request.
    error: record.error && { ...record.error, message: '' },
    subjects,
    redaction: { at, reason },
  }
  return { json: JSON.stringify(redacted), subjects: subjects.length === 0 ? null : subjects }
}
