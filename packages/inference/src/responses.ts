import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import {
  type AnswerFormat,
  type Choice,
  type Endpoint,
  type ServedModel,
  type StreamEvent,
  seconds,
  type Usage,
} from './call.ts'
import { sharedFields, unsupportedBut } from './fields.ts'
import { contentField, encodeMessages, roleField } from './messages.ts'
import { answerLength, parseBody, seedOr } from './parse-body.ts'

const inputMessage = z.strictObject({
  type: z.literal('message').optional(),
  role: roleField,
  content: contentField(['input_text', 'output_text']),
  // What an answer's own items carry, so that they can be sent back as they are.
  id: z.string().max(512).optional(),
  status: z.string().max(100).optional(),
})

const schema = z.strictObject({
  ...sharedFields,
  input: z.union([z.string(), z.array(inputMessage).min(1)]),
  instructions: z.string().optional(),
  max_output_tokens: z.number().int().min(1).optional(),
  tools: unsupportedBut([]),
  tool_choice: unsupportedBut('none', 'auto'),
  parallel_tool_calls: z.boolean().optional(),
  text: unsupportedBut({}, { format: { type: 'text' } }),
  truncation: unsupportedBut('disabled'),
  include: unsupportedBut([]),
  top_logprobs: unsupportedBut(0),
  store: unsupportedBut(false),
  background: unsupportedBut(false),
  previous_response_id: unsupportedBut(),
  conversation: unsupportedBut(),
  reasoning: unsupportedBut({}),
  prompt: unsupportedBut(),
  max_tool_calls: unsupportedBut(),
  stream_options: unsupportedBut({}, { include_obfuscation: false }),
})
type Request = z.output<typeof schema>

/** POST /v1/responses, as far as it is text: nothing is kept here, so a conversation is sent whole each time. */
export const responses: Endpoint = (body, model) => {
  const request = parseBody(schema, body, model)
  const { input, instructions } = request
  const asked = typeof input === 'string' ? [{ role: 'user', content: input }] : input
  const system = instructions === undefined ? [] : [{ role: 'system', content: instructions }]
  const messages = [...system, ...asked.map(({ role, content }) => ({ role, content }))]
  const promptIds = encodeMessages(messages, model, 'input')
  return {
    prompts: [promptIds],
    numGenerations: 1,
    seed: seedOr(undefined),
    isStream: request.stream,
    options: {
      temperature: request.temperature,
      topP: request.top_p,
      topK: 0,
      repetitionPenalty: 1,
      stop: [],
      maxNewTokens: answerLength(promptIds, request.max_output_tokens, model, 'input'),
    },
    format: responseFormat(model, request),
  }
}

const place = { output_index: 0, content_index: 0 }

function responseFormat(model: ServedModel, request: Request): AnswerFormat {
  const base = responseBase(model, request)
  const itemId = `msg_${randomUUID()}`
  const part = (text: string) => ({ type: 'output_text', text, annotations: [], logprobs: [] })
  const statusOf = ({ finishReason }: Choice) => (finishReason === 'length' ? 'incomplete' : 'completed')
  const item = (status: string, content: readonly object[]) =>
    ({ id: itemId, type: 'message', status, role: 'assistant', content }) as const
  const done = (choice: Choice, usage: Usage) => ({
    ...base,
    status: statusOf(choice),
    incomplete_details: choice.finishReason === 'length' ? { reason: 'max_output_tokens' } : null,
    output: [item(statusOf(choice), [part(choice.text)])],
    usage: responseUsage(usage),
  })
  let sequence = 0
  const event = (type: string, more: object): StreamEvent => ({
    name: type,
    data: { type, sequence_number: sequence++, ...more },
  })
  const inPart = { item_id: itemId, ...place }
  return {
    whole: ([choice], usage) => done(choice, usage),
    opening: () => ['response.created', 'response.in_progress'].map((type) => event(type, { response: base })),
    begin: () => [
      event('response.output_item.added', { output_index: 0, item: item('in_progress', []) }),
      event('response.content_part.added', { ...inPart, part: part('') }),
    ],
    more: (_, delta) => [event('response.output_text.delta', { ...inPart, delta, logprobs: [] })],
    end: (choice) => [
      event('response.output_text.done', { ...inPart, text: choice.text, logprobs: [] }),
      event('response.content_part.done', { ...inPart, part: part(choice.text) }),
      event('response.output_item.done', { output_index: 0, item: item(statusOf(choice), [part(choice.text)]) }),
    ],
    closing: ([choice], usage) => [event(`response.${statusOf(choice)}`, { response: done(choice, usage) })],
  }
}

/** The fields of a response before it has an output. */
function responseBase(model: ServedModel, request: Request) {
  return {
    id: `resp_${randomUUID()}`,
    object: 'response',
    created_at: seconds(model),
    status: 'in_progress',
    error: null,
    incomplete_details: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    metadata: request.metadata ?? {},
    model: model.name,
    output: [] as object[],
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: request.temperature,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: request.top_p,
    truncation: 'disabled',
    usage: null as object | null,
  }
}

function responseUsage({ promptTokens, completionTokens }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  }
}
