import type { Interaction } from '@plumbline/contracts'
import { type RecordRow, recordFacts } from '@plumbline/store'

const dayMs = 86_400_000
/** Ids settle what is sampled, so those of tests are the same in each run. */
let rows = 0

/** An answer as the gateway records it, with what a test cares about. */
export function answerRow({
  project = 'default',
  at,
  prompt = 'What is a plumb line?',
  text,
  model = 'm-1',
  metadata = {},
  guards = [],
}: {
  readonly project?: string
  readonly at: string
  readonly prompt?: string
  readonly text: string
  readonly model?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly guards?: Interaction['guards']
}): RecordRow {
  const record = `00000000-0000-4000-8000-${String(++rows).padStart(12, '0')}`
  const request = { model, metadata, messages: [{ role: 'user', content: prompt }] }
  const fields = {
    record,
    id: `chatcmpl-${record}`,
    project,
    config: 'c0ffee',
    created_at: at,
    text,
    choices: [{ index: 0, text, reasoning: '', refusal: '', tool_calls: [], finish_reason: 'stop' }],
    guards,
  }
  // The request comes last, as the gateway writes it.
  const json = JSON.stringify({ ...fields, request })
  return {
    record,
    id: fields.id,
    project,
    createdAt: at,
    keyId: null,
    model,
    termination: 'completed',
    subjects: [],
    ...recordFacts(fields),
    json,
  }
}

/** A record of a request to which no model gave an answer. */
export function failedRow(project: string, at: string): RecordRow {
  const row = answerRow({ project, at, text: '' })
  const nothing = { choices: [], guards: [] }
  const json = JSON.stringify({ record: row.record, id: row.id, text: '', ...nothing, request: {} })
  return { ...row, ...recordFacts(nothing), json, termination: 'upstream_error' }
}

/** ISO times spread over a day, the `n`th of the month. */
export function timesOf(n: number, count: number): string[] {
  const start = Date.UTC(2026, 0, n)
  return Array.from({ length: count }, (_, i) => new Date(start + (i * dayMs) / count).toISOString())
}
