import type { EndpointPath } from '../endpoints.ts'

type Json = Record<string, unknown>

const string = { type: 'string' }
const boolean = { type: 'boolean' }
const count = { type: 'integer', minimum: 1 }
const number = { type: 'number' }
const object = (properties: Json, required: readonly string[] = []): Json => ({ type: 'object', properties, required })
const array = (items: Json): Json => ({ type: 'array', items })
const either = (...anyOf: Json[]): Json => ({ anyOf })

const image = object({ url: string, detail: { enum: ['auto', 'low', 'high'] } })
const part = object({ type: { enum: ['text', 'image_url', 'refusal'] }, text: string, image_url: image })
const call = object({ id: string, type: { const: 'function' }, function: object({ name: string, arguments: string }) })
const message = object(
  {
    role: { enum: ['developer', 'system', 'user', 'assistant', 'tool'] },
    content: either(string, array(part)),
    name: string,
    tool_calls: array(call),
    tool_call_id: string,
  },
  ['role'],
)
const parameters = { type: 'object', description: 'a JSON schema' }
const functionTool = object({
  type: { const: 'function' },
  function: object({ name: string, description: string, parameters, strict: boolean }),
})
const responseFormat = object({
  type: { enum: ['text', 'json_object', 'json_schema'] },
  json_schema: object({ name: string, schema: parameters, strict: boolean }),
})

/** Of all that make text. */
const sampling = { temperature: number, top_p: number, stream: boolean }
const person = { user: string, safety_identifier: string, metadata: { type: 'object' } }
const several = { ...sampling, n: count, stream_options: object({ include_usage: boolean }), max_tokens: count }

const chat = {
  messages: array(message),
  tools: array(functionTool),
  tool_choice: either({ enum: ['none', 'auto', 'required'] }, functionTool),
  response_format: responseFormat,
  stop: either(string, array(string)),
  logprobs: boolean,
  max_completion_tokens: count,
  seed: { type: 'integer' },
  ...several,
  ...person,
}
const item = object({
  type: { enum: ['message', 'function_call', 'function_call_output'] },
  role: { enum: ['developer', 'system', 'user', 'assistant'] },
  content: either(
    string,
    array(object({ type: { enum: ['input_text', 'output_text', 'input_image'] }, text: string })),
  ),
  call_id: string,
  name: string,
  arguments: string,
  output: string,
})
const responses = {
  input: either(string, array(item)),
  instructions: string,
  tools: array(object({ type: string, name: string, description: string, parameters })),
  text: object({ format: object({ type: string, name: string, schema: parameters }) }),
  max_output_tokens: count,
  ...sampling,
  ...person,
}

/** What OpenAI documents of each body, as far as the gateway or its guards look at it; whatever else stands there is sent on. */
export const completionBodies: Readonly<Record<EndpointPath, Json>> = {
  '/v1/chat/completions': chat,
  '/v1/completions': { prompt: either(string, array(string)), suffix: string, logprobs: count, ...several, ...person },
  '/v1/responses': responses,
  '/v1/embeddings': { input: either(string, array(string)), dimensions: count, encoding_format: string, ...person },
}
