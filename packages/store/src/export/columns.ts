import type { Interaction } from '@plumbline/contracts'

/** How a column of a Parquet file is kept, and where it comes from. What is nested is JSON text, which every reader knows. */
interface Column {
  readonly type: 'STRING' | 'INT32' | 'DOUBLE' | 'BOOLEAN' | 'TIMESTAMP'
  value(record: Interaction): unknown
}

const json = (value: unknown) => (value === undefined || value === null ? null : JSON.stringify(value))

/** An interaction as a flat row. Absent values are null: records of earlier versions lack some. */
export const interactionColumns = {
  record: { type: 'STRING', value: ({ record }) => record },
  id: { type: 'STRING', value: ({ id }) => id },
  project: { type: 'STRING', value: ({ project }) => project },
  key_id: { type: 'STRING', value: ({ key_id }) => key_id },
  created_at: { type: 'TIMESTAMP', value: ({ created_at }) => new Date(created_at) },
  endpoint: { type: 'STRING', value: ({ endpoint }) => endpoint },
  upstream: { type: 'STRING', value: ({ upstream }) => upstream },
  attempts: { type: 'STRING', value: ({ attempts }) => json(attempts) },
  config: { type: 'STRING', value: ({ config }) => config },
  upstream_request_id: { type: 'STRING', value: ({ upstream_request_id }) => upstream_request_id },
  request_model: { type: 'STRING', value: ({ request_model }) => request_model },
  model: { type: 'STRING', value: ({ model }) => model },
  stream: { type: 'BOOLEAN', value: ({ stream }) => stream },
  status: { type: 'INT32', value: ({ status }) => status },
  termination: { type: 'STRING', value: ({ termination }) => termination },
  subjects: { type: 'STRING', value: ({ subjects }) => json(subjects) },
  redaction: { type: 'STRING', value: ({ redaction }) => json(redaction) },
  request: { type: 'STRING', value: ({ request }) => json(request) },
  text: { type: 'STRING', value: ({ text }) => text },
  choices: { type: 'STRING', value: ({ choices }) => json(choices) },
  usage: { type: 'STRING', value: ({ usage }) => json(usage) },
  error: { type: 'STRING', value: ({ error }) => json(error) },
  headers_ms: { type: 'DOUBLE', value: ({ timings }) => timings?.headers_ms },
  first_token_ms: { type: 'DOUBLE', value: ({ timings }) => timings?.first_token_ms },
  total_ms: { type: 'DOUBLE', value: ({ timings }) => timings?.total_ms },
  guards: { type: 'STRING', value: ({ guards }) => json(guards) },
  best_of: { type: 'STRING', value: ({ best_of }) => json(best_of) },
  request_bytes: { type: 'INT32', value: ({ request_bytes }) => request_bytes },
  response_bytes: { type: 'INT32', value: ({ response_bytes }) => response_bytes },
  notes: { type: 'STRING', value: ({ notes }) => json(notes) },
} satisfies Record<string, Column>
