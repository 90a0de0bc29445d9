import type { Interaction, NewFeedback } from '@plumbline/contracts'
import { z } from 'zod'
import { categoryOf } from './langfuse-routes.ts'
import { uuidOf } from './row.ts'

/** Read one by one: one faulty attribute is no reason to lose the span. */
const attributesSchema = z.array(z.unknown()).max(1000).default([])
/** OTLP's JSON: ids are hexadecimal, 64-bit numbers are text. What we do not read is let through. */
const nanos = z.union([z.string().regex(/^\d{1,20}$/), z.number().int().min(0)])
const eventSchema = z.object({
  name: z.string().default(''),
  timeUnixNano: nanos.optional(),
  attributes: attributesSchema,
})
const spanSchema = z.object({
  traceId: z.string().regex(/^[0-9a-f]{32}$/i),
  spanId: z.string().regex(/^[0-9a-f]{16}$/i),
  startTimeUnixNano: nanos,
  endTimeUnixNano: nanos,
  attributes: attributesSchema,
  events: z.array(eventSchema).max(100).default([]),
  status: z.object({ code: z.union([z.number(), z.string()]).optional(), message: z.string().optional() }).default({}),
})
export const tracesSchema = z.object({
  resourceSpans: z
    .array(
      z.object({
        // Each list has a bound: of a million faulty elements zod would keep a million faults.
        scopeSpans: z
          .array(z.object({ spans: z.array(z.unknown()).max(1000).default([]) }))
          .max(1000)
          .default([]),
      }),
    )
    .max(1000)
    .default([]),
})
type Span = z.infer<typeof spanSchema>
type Attributes = Readonly<Record<string, unknown>>

const operations = ['chat', 'text_completion', 'generate_content']

export interface ReadSpan {
  /** Undefined for a span that is no answer of a model. */
  readonly interaction: Interaction | undefined
  readonly feedback: readonly NewFeedback[]
}

/** A span by the GenAI conventions: an answer of a model, and results of evaluations as ratings. Undefined: malformed. */
export function readSpan(
  json: unknown,
  { project, keyId, hash }: { project: string; keyId: string; hash: (name: string) => string },
): ReadSpan | undefined {
  const { success, data: span } = spanSchema.safeParse(json)
  if (!success) return undefined
  const attributes = readAttributes(span.attributes)
  const record = uuidOf(['otlp', project, span.traceId.toLowerCase(), span.spanId.toLowerCase()])
  const isAnswer = operations.includes(text(attributes['gen_ai.operation.name']) ?? '')
  const interaction = isAnswer ? readAnswer(span, attributes, { record, project, keyId, hash }) : undefined
  if (isAnswer && interaction === undefined) return undefined
  const about = isAnswer ? record : text(attributes['gen_ai.response.id'])
  return { interaction, feedback: span.events.flatMap((event) => readEvaluation(event, about, span)) }
}

function readAnswer(
  span: Span,
  attributes: Attributes,
  { record, project, keyId, hash }: { record: string; project: string; keyId: string; hash: (name: string) => string },
): Interaction | undefined {
  const [start, end] = [millis(span.startTimeUnixNano), millis(span.endTimeUnixNano)]
  if (!(end >= start && start < 253_402_300_800_000)) return undefined
  const messages = readMessages(attributes['gen_ai.input.messages'])
  const [answer] = readMessages(attributes['gen_ai.output.messages'])
  const user = text(attributes['user.id'] ?? attributes['enduser.id'])
  const failed = span.status.code === 2 || span.status.code === 'STATUS_CODE_ERROR' || 'error.type' in attributes
  const error = { message: span.status.message ?? '', type: text(attributes['error.type']) ?? null, code: null }
  const [model, asked] = [text(attributes['gen_ai.response.model']), text(attributes['gen_ai.request.model'])]
  const tokens = (name: string) => attributes[`gen_ai.usage.${name}`] ?? null
  const said = answer?.content ?? ''
  return {
    id: text(attributes['gen_ai.response.id'])?.slice(0, 512) ?? record,
    record,
    project,
    key_id: keyId,
    created_at: new Date(start).toISOString(),
    endpoint: 'opentelemetry',
    upstream: text(attributes['server.address']) ?? '',
    upstream_request_id: null,
    request_model: asked?.slice(0, 512) ?? null,
    model: (model ?? asked)?.slice(0, 512) ?? null,
    stream: false,
    status: null,
    termination: failed ? 'upstream_error' : 'completed',
    subjects: user === undefined ? [] : [hash(user)],
    redaction: null,
    request: { model: asked ?? null, messages },
    text: said,
    choices: [{ index: 0, text: said, reasoning: '', refusal: '', tool_calls: [], finish_reason: null }],
    usage: {
      prompt_tokens: tokens('input_tokens'),
      completion_tokens: tokens('output_tokens'),
    } as Interaction['usage'],
    error: failed ? error : null,
    timings: { headers_ms: null, first_token_ms: null, total_ms: end - start },
    guards: [],
    request_bytes: 0,
    response_bytes: 0,
    notes: ['told by OpenTelemetry: no bytes were seen, tools and other parts than text are left out'],
  }
}

/** `gen_ai.evaluation.result`: a score is a rating, a label alone a comment. */
function readEvaluation(event: Span['events'][number], about: string | undefined, span: Span): NewFeedback[] {
  if (event.name !== 'gen_ai.evaluation.result') return []
  const attributes = readAttributes(event.attributes)
  const interaction = text(attributes['gen_ai.response.id']) ?? about
  const name = text(attributes['gen_ai.evaluation.name']) ?? ''
  const [score, label] = [
    attributes['gen_ai.evaluation.score.value'],
    text(attributes['gen_ai.evaluation.score.label']),
  ]
  const explanation = text(attributes['gen_ai.evaluation.explanation'])
  if (interaction === undefined || interaction.length > 512) return []
  const common = {
    interaction,
    category: categoryOf(name),
    idempotency_key: `otlp ${span.traceId} ${span.spanId} ${name}`.slice(0, 200),
    actor: { kind: 'system' as const },
  }
  if (typeof score === 'number' && Math.abs(score) <= 1e6) {
    return [{ ...common, kind: 'rating', rating: score, text: explanation?.slice(0, 64_000) || undefined }]
  }
  const said = [label, explanation].filter(Boolean).join(': ').slice(0, 64_000)
  return said === '' ? [] : [{ ...common, kind: 'comment', text: said }]
}

/** `[{role, parts: [{type: "text", content}]}]`, as structure or as JSON text. */
function readMessages(value: unknown): { role: string; content: string }[] {
  const list = typeof value === 'string' ? json(value) : value
  if (!Array.isArray(list)) return []
  return list.slice(0, 1000).map((message) => {
    const { role, parts, content } = Object(message) as Record<string, unknown>
    const texts = (Array.isArray(parts) ? parts : []).map((part) => {
      const { type, content } = Object(part) as Record<string, unknown>
      return type === 'text' && typeof content === 'string' ? content : ''
    })
    return {
      role: typeof role === 'string' ? role : 'user',
      content: typeof content === 'string' ? content : texts.join(''),
    }
  })
}

function json(source: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    return undefined
  }
}

function readAttributes(list: readonly unknown[]): Attributes {
  return Object.fromEntries(
    list.flatMap((pair) => {
      const { key, value } = Object(pair) as Record<string, unknown>
      return typeof key === 'string' ? [[key, readValue(value)]] : []
    }),
  )
}

function readValue(value: unknown): unknown {
  const one = Object(value) as Record<string, unknown>
  if (typeof one.stringValue === 'string') return one.stringValue
  if (typeof one.boolValue === 'boolean') return one.boolValue
  const number = one.doubleValue ?? one.intValue
  if (typeof number === 'number' || typeof number === 'string') return Number(number)
  const { values } = Object(one.arrayValue ?? one.kvlistValue) as { values?: unknown }
  if (!Array.isArray(values)) return undefined
  if (one.arrayValue !== undefined) return values.map(readValue)
  return readAttributes(values)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, 64_000) : undefined
}

function millis(value: string | number): number {
  return Math.floor(Number(value) / 1e6)
}
