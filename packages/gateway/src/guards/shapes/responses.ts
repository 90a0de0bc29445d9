import { asObject } from '../../answer.ts'
import { plainError } from '../plain-error.ts'
import { isBlank, shaped } from './chat.ts'
import {
  type CallPiece,
  createParts,
  indexOf,
  keepBeside,
  knowAll,
  type Mutable,
  objectOf,
  objects,
  type Parts,
  type Piece,
  type Shape,
  type ShapedEvent,
  setter,
  textOf,
  typeOf,
  UnknownShape,
} from './shape.ts'

/** An answer has one choice here; its texts are named by where they stand in the output. */
const choice = 0

/** /v1/responses */
export const responses: Shape = {
  readEvent: (json) => {
    const type = typeOf(json)
    const read = Object.hasOwn(events, type) ? events[type] : undefined
    if (read === undefined) throw new UnknownShape(`an event of type ${type.slice(0, 60)}`)
    const parts = createParts(json)
    const event = read(parts, json)
    return event ?? shaped(parts, () => false)
  },
  readWhole: (json) => {
    if (!Array.isArray(json.output)) throw new UnknownShape('there is no output')
    return readResponse(createParts(json), json, false)
  },
}

const eventFields = new Set([
  'type',
  'sequence_number',
  'item_id',
  'output_index',
  'content_index',
  'summary_index',
  'status',
  'obfuscation',
])
const textFields = new Set([...eventFields, 'logprobs'])
const callFields = new Set([...eventFields, 'name'])

/** Of an answer; most of them say what was asked for. */
const responseFields = new Set([
  'id',
  'object',
  'created_at',
  'completed_at',
  'status',
  'error',
  'incomplete_details',
  'model',
  'usage',
  'background',
  'conversation',
  'instructions',
  'max_output_tokens',
  'max_tool_calls',
  'metadata',
  'parallel_tool_calls',
  'previous_response_id',
  'prompt',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'reasoning',
  'safety_identifier',
  'service_tier',
  'store',
  'temperature',
  'text',
  'tool_choice',
  'tools',
  'top_logprobs',
  'top_p',
  'truncation',
  'user',
])

type Source = Piece['source']
type Read = (parts: Parts, json: Mutable) => ShapedEvent | undefined

const delta =
  (source: Source, place: string): Read =>
  (parts, json) => {
    keepBeside('delta', parts, json, textFields, 'an event')
    addPiece(parts, { ...placeOf(json, source, place), holder: json, key: 'delta', isRepeat: false })
    pruneLogprobs(parts, json)
    return shaped(parts, () => isBlank(json.delta))
  }

const done =
  (source: Source, place: string, key: string): Read =>
  (parts, json) => {
    keepBeside(key, parts, json, textFields, 'an event')
    addPiece(parts, { ...placeOf(json, source, place), holder: json, key, isRepeat: true })
    pruneLogprobs(parts, json)
    return undefined
  }

const callDelta: Read = (parts, json) => {
  keepBeside('delta', parts, json, eventFields, 'an event')
  addCall(parts, json.output_index, 'arguments', json, 'delta', false)
  return shaped(parts, () => true)
}

const callDone =
  (key: string): Read =>
  (parts, json) => {
    keepBeside(key, parts, json, callFields, 'an event')
    if (json.name !== undefined) addCall(parts, json.output_index, 'name', json, 'name', true)
    addCall(parts, json.output_index, 'arguments', json, key, true)
    return shaped(parts, () => true)
  }

const part: Read = (parts, json) => {
  keepBeside('part', parts, json, eventFields, 'an event')
  readPart(parts, asObject(json.part) as Mutable, json.output_index, json.content_index ?? json.summary_index, true)
  return undefined
}

const item: Read = (parts, json) => {
  keepBeside('item', parts, json, eventFields, 'an event')
  const held = asObject(json.item) as Mutable
  readItem(parts, held, indexOf(json.output_index, 0, 'output_index'), true)
  return shaped(parts, () => isCall(held))
}

const pass: Read = (parts, json) => {
  keepBeside('response', parts, json, eventFields, 'an event')
  const response = objectOf(json.response, 'a response')
  readHead(parts, response)
  if (objects(response.output, 'output').length > 0) throw new UnknownShape('an answer has output before it has begun')
  return shaped(parts, () => false)
}

const end: Read = (parts, json) => {
  keepBeside('response', parts, json, eventFields, 'an event')
  const event = readResponse(parts, objectOf(json.response, 'a response'), true)
  return {
    ...event,
    json,
    finishes: event.finishes.map((finish) => ({ ...finish, block: blockEnd(json, finish.block) })),
  }
}

/** Sources and links of a text hold text too, and are not looked at. */
const dropped: Read = (parts) => ({ ...shaped(parts, () => true), isDropped: true })

const events: Readonly<Record<string, Read>> = {
  'response.created': pass,
  'response.queued': pass,
  'response.in_progress': pass,
  'response.output_item.added': item,
  'response.output_item.done': item,
  'response.content_part.added': part,
  'response.content_part.done': part,
  'response.output_text.delta': delta('text', 'content_index'),
  'response.output_text.done': done('text', 'content_index', 'text'),
  'response.output_text.annotation.added': dropped,
  'response.refusal.delta': delta('refusal', 'content_index'),
  'response.refusal.done': done('refusal', 'content_index', 'refusal'),
  'response.reasoning_text.delta': delta('reasoning', 'content_index'),
  'response.reasoning_text.done': done('reasoning', 'content_index', 'text'),
  'response.reasoning_summary_part.added': part,
  'response.reasoning_summary_part.done': part,
  'response.reasoning_summary_text.delta': delta('reasoning', 'summary_index'),
  'response.reasoning_summary_text.done': done('reasoning', 'summary_index', 'text'),
  'response.function_call_arguments.delta': callDelta,
  'response.function_call_arguments.done': callDone('arguments'),
  'response.custom_tool_call_input.delta': callDelta,
  'response.custom_tool_call_input.done': callDone('input'),
  'response.completed': end,
  'response.incomplete': end,
  'response.failed': end,
}

const itemFields: Readonly<Record<string, ReadonlySet<string>>> = {
  message: new Set(['id', 'type', 'status', 'role', 'content', 'phase']),
  reasoning: new Set(['id', 'type', 'status', 'summary', 'content']),
  function_call: new Set(['id', 'type', 'status', 'call_id', 'name', 'arguments']),
  custom_tool_call: new Set(['id', 'type', 'status', 'call_id', 'name', 'input']),
}

function readHead(parts: Parts, response: Mutable): void {
  keepBeside('output', parts, response, responseFields, 'an answer')
  if (isBlank(response.error)) return
  const { code, message } = asObject(plainError(response).error)
  response.error = { code, message }
  parts.isPruned = true
}

function readResponse(parts: Parts, response: Mutable, isRepeat: boolean): ShapedEvent {
  readHead(parts, response)
  for (const [index, held] of objects(response.output, 'output').entries()) readItem(parts, held, index, isRepeat)
  parts.finishes.push({
    choice,
    block: (replacement) => {
      response.status = 'incomplete'
      response.incomplete_details = { reason: 'content_filter' }
      if (replacement === undefined) return
      const content = [{ type: 'output_text', text: replacement, annotations: [] }]
      const message = { id: 'msg_guard', type: 'message', role: 'assistant', status: 'completed', content }
      response.output = [...objects(response.output, 'output'), message]
    },
  })
  parts.dropped.push(() => {
    response.output = objects(response.output, 'output').filter((held) => !isCall(held))
  })
  return shaped(parts, () => false)
}

function blockEnd(json: Mutable, block: (replacement: string | undefined) => void) {
  return (replacement: string | undefined) => {
    json.type = 'response.incomplete'
    block(replacement)
  }
}

function isCall({ type }: Mutable): boolean {
  return type === 'function_call' || type === 'custom_tool_call'
}

function readItem(parts: Parts, held: Mutable, index: number, isRepeat: boolean): void {
  const type = typeOf(held)
  if (!Object.hasOwn(itemFields, type)) throw new UnknownShape(`output of type ${type.slice(0, 60)}`)
  if (type === 'reasoning' && !isBlank(held.encrypted_content)) {
    // Readable by the upstream alone, which gets it back: nothing for a client to read.
    knowAll({ ...held, encrypted_content: null }, itemFields[type], 'an output')
  } else knowAll(held, itemFields[type], 'an output')
  if (isCall(held)) {
    addCall(parts, index, 'name', held, 'name', isRepeat)
    addCall(parts, index, 'arguments', held, type === 'function_call' ? 'arguments' : 'input', isRepeat)
    return
  }
  for (const list of ['summary', 'content']) {
    for (const [place, inner] of objects(held[list], list).entries()) readPart(parts, inner, index, place, isRepeat)
  }
}

const partKinds: Readonly<Record<string, readonly [source: Source, key: string, place: string]>> = {
  output_text: ['text', 'text', 'content_index'],
  refusal: ['refusal', 'refusal', 'content_index'],
  reasoning_text: ['reasoning', 'text', 'content_index'],
  summary_text: ['reasoning', 'text', 'summary_index'],
}

function readPart(parts: Parts, held: Mutable, output: unknown, place: unknown, isRepeat: boolean): void {
  const type = typeOf(held)
  const kind = Object.hasOwn(partKinds, type) ? partKinds[type] : undefined
  if (kind === undefined) throw new UnknownShape(`a part of type ${type.slice(0, 60)}`)
  const [source, key, field] = kind
  knowAll(held, new Set(['type', key, 'annotations', 'logprobs']), 'a part')
  for (const unread of ['annotations', 'logprobs']) {
    if (isBlank(held[unread]) || (Array.isArray(held[unread]) && held[unread].length === 0)) continue
    held[unread] = []
    parts.isPruned = true
  }
  addPiece(parts, { ...placeOf({ output_index: output, [field]: place }, source, field), holder: held, key, isRepeat })
}

/** They hold the tokens of the text. */
function pruneLogprobs(parts: Parts, json: Mutable): void {
  if (json.logprobs === undefined || (Array.isArray(json.logprobs) && json.logprobs.length === 0)) return
  json.logprobs = []
  parts.isPruned = true
}

/** A text: of which item of the output, and in that of which part of the summary or, behind those, of the content. */
function placeOf(json: Mutable, source: Source, list: string): Pick<Piece, 'name' | 'source' | 'rank'> {
  const output = indexOf(json.output_index, 0, 'output_index')
  const index = indexOf(json[list], 0, list)
  const rank = output * 1000 + (list === 'summary_index' ? 0 : 500) + index
  return { name: `${source} ${output} ${list} ${index}`, source, rank }
}

interface PiecePlace extends Pick<Piece, 'name' | 'source' | 'rank'> {
  readonly holder: Mutable
  readonly key: string
  readonly isRepeat: boolean
}

function addPiece(parts: Parts, { holder, key, isRepeat, ...place }: PiecePlace): void {
  const text = textOf(holder[key], key) ?? ''
  // The beginning of a part is an empty text, and repeats nothing.
  const repeats = isRepeat && text !== ''
  parts.pieces.push({ choice, ...place, text, isRepeat: repeats, set: setter(holder, key) })
}

function addCall(
  parts: Parts,
  output: unknown,
  partName: CallPiece['part'],
  holder: Mutable,
  key: string,
  isRepeat: boolean,
): void {
  const text = textOf(holder[key], key) ?? ''
  const name = `call ${indexOf(output, 0, 'output_index')}`
  // The same here: its deltas would be given once more.
  const repeats = isRepeat && text !== ''
  parts.calls.push({ choice, name, part: partName, text, isRepeat: repeats, set: setter(holder, key) })
}
