import { randomUUID } from 'node:crypto'
import type { RecordRow } from './interactions.ts'

/** A record as the gateway sends it, with what a test cares about. */
export function recordRow(fields: Partial<RecordRow> = {}): RecordRow {
  const record = fields.record ?? randomUUID()
  const id = `chatcmpl-${record}`
  const json = JSON.stringify({ record, id })
  const facts = { keyId: null, model: null, termination: 'completed', subjects: [] }
  const unknown = { config: null, hasAnswer: null, isGuarded: null }
  return {
    record,
    id,
    project: 'default',
    createdAt: '2026-01-02T03:04:05.678Z',
    ...facts,
    ...unknown,
    json,
    ...fields,
  }
}
