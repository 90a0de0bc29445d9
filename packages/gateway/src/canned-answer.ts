import type { EndpointPath } from './endpoints.ts'

/** A text in place of a model's answer. */
export interface CannedAnswer {
  /** The answer's id, without its endpoint's prefix. */
  readonly record: string
  readonly model: string
  readonly text: string
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** A filter made it necessary. */
  readonly isFiltered?: boolean
}

/** It in its endpoint's shape: as one object, and as the events of a stream. */
export interface CannedShape {
  readonly whole: Record<string, unknown>
  events(withUsage: boolean): string[]
}

const noTokens = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }

/** Undefined for endpoints whose answers are no text. */
export function cannedAnswer(path: EndpointPath, canned: CannedAnswer): CannedShape | undefined {
  if (path === '/v1/chat/completions') return chatAnswer(canned)
  if (path === '/v1/completions') return completionAnswer(canned)
  return path === '/v1/responses' ? responseAnswer(canned) : undefined
}

function chatAnswer({ record, model, text, createdAt, isFiltered }: CannedAnswer): CannedShape {
  const reason = isFiltered ? 'content_filter' : 'stop'
  const head = { id: `chatcmpl-${record}`, created: Math.floor(createdAt / 1000), model }
  const message = { role: 'assistant', content: text, refusal: null }
  return {
    whole: {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, logprobs: null, finish_reason: reason }],
      usage: noTokens,
    },
    events: (withUsage) => chatEvents({ head, message, finishReason: reason, usage: withUsage ? noTokens : undefined }),
  }
}

export interface WholeChat {
  /** What every chunk repeats: id, created, model. */
  readonly head: object
  readonly message: Readonly<Record<string, unknown>>
  readonly finishReason: unknown
  /** In a chunk of its own; undefined for none. */
  readonly usage: unknown
}

/** A chat's answer, which is there as a whole, as the events of a stream. */
export function chatEvents({ head, message, finishReason, usage }: WholeChat): string[] {
  const chunk = (delta: object, finish_reason: unknown) =>
    event({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    })
  const { role = 'assistant', content, ...rest } = message
  const said = Object.entries(rest).filter(([, value]) => value !== null && value !== undefined && value !== '')
  const isReasoning = ([key]: [string, unknown]) => key.startsWith('reasoning')
  const deltas: Record<string, unknown>[] = [
    // A reasoning comes before what it leads to.
    Object.fromEntries(said.filter(isReasoning)),
    content === null || content === undefined || content === '' ? {} : { content },
    Object.fromEntries(said.filter((entry) => !isReasoning(entry))),
  ]
  return [
    chunk({ role, content: '', refusal: null }, null),
    ...deltas.filter((delta) => Object.keys(delta).length > 0).map((delta) => chunk(withPlaces(delta), null)),
    chunk({}, finishReason),
    ...(usage === undefined ? [] : [event({ ...head, object: 'chat.completion.chunk', choices: [], usage })]),
    done,
  ]
}

/** A client puts the pieces of tool calls together by their places, which a whole answer need not name. */
function withPlaces(delta: Readonly<Record<string, unknown>>): object {
  const { tool_calls: calls } = delta
  return Array.isArray(calls) ? { ...delta, tool_calls: calls.map((call, index) => ({ index, ...call })) } : delta
}

function completionAnswer({ record, model, text, createdAt, isFiltered }: CannedAnswer): CannedShape {
  const reason = isFiltered ? 'content_filter' : 'stop'
  const head = { id: `cmpl-${record}`, object: 'text_completion', created: Math.floor(createdAt / 1000), model }
  const choices = [{ index: 0, text, logprobs: null, finish_reason: reason }]
  return {
    whole: { ...head, choices, usage: noTokens },
    events: (withUsage) => [
      event({ ...head, choices }),
      ...(withUsage ? [event({ ...head, choices: [], usage: noTokens })] : []),
      done,
    ],
  }
}

function responseAnswer({ record, model, text, createdAt }: CannedAnswer): CannedShape {
  const part = { type: 'output_text', text, annotations: [], logprobs: [] }
  const item = { id: `msg-${record}`, type: 'message', role: 'assistant', status: 'completed', content: [part] }
  const whole = {
    id: `resp-${record}`,
    object: 'response',
    created_at: Math.floor(createdAt / 1000),
    model,
    status: 'completed',
    error: null,
    incomplete_details: null,
    output: [item],
    parallel_tool_calls: true,
    tool_choice: 'auto',
    tools: [],
    usage: {
      input_tokens: 0,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 0,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 0,
    },
  }
  const begun = { ...whole, status: 'in_progress', output: [], usage: null }
  const place = { item_id: item.id, output_index: 0, content_index: 0 }
  const steps: [type: string, rest: object][] = [
    ['response.created', { response: begun }],
    ['response.in_progress', { response: begun }],
    ['response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', content: [] } }],
    ['response.content_part.added', { ...place, part: { ...part, text: '' } }],
    ['response.output_text.delta', { ...place, delta: text, logprobs: [] }],
    ['response.output_text.done', { ...place, text, logprobs: [] }],
    ['response.content_part.done', { ...place, part }],
    ['response.output_item.done', { output_index: 0, item }],
    ['response.completed', { response: whole }],
  ]
  return {
    whole,
    events: () =>
      steps.map(([type, rest], sequence_number) => `event: ${type}\n${event({ type, sequence_number, ...rest })}`),
  }
}

const done = 'data: [DONE]\n\n'

function event(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`
}
