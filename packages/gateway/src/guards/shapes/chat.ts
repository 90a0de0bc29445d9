import { asObject } from '../../answer.ts'
import {
  createParts,
  indexOf,
  keepBeside,
  knowAll,
  type Mutable,
  objectOf,
  objects,
  type Parts,
  ranks,
  type Shape,
  type ShapedEvent,
  setter,
  textOf,
  UnknownShape,
} from './shape.ts'

const topFields = new Set([
  'id',
  'object',
  'created',
  'model',
  'service_tier',
  'system_fingerprint',
  'usage',
  'obfuscation',
])
const choiceFields = new Set(['index', 'finish_reason', 'logprobs'])
const messageFields = new Set([
  'role',
  'content',
  'reasoning_content',
  'reasoning',
  'refusal',
  'tool_calls',
  'function_call',
  'annotations',
  'reasoning_details',
])
const callFields = new Set(['index', 'id', 'type', 'function', 'custom'])

/** /v1/chat/completions */
export const chat: Shape = {
  readEvent: (json) => readChoices(json, 'delta'),
  readWhole: (json) => readChoices(wholeOf(json), 'message'),
}

/** /v1/completions */
export const completions: Shape = { readEvent: readTexts, readWhole: (json) => readTexts(wholeOf(json)) }

/** Of a stream alone some events have no choices. */
function wholeOf(json: Mutable): Mutable {
  if (!Array.isArray(json.choices)) throw new UnknownShape('there are no choices')
  return json
}

function readChoices(json: Mutable, field: 'delta' | 'message'): ShapedEvent {
  const parts = createParts(json)
  keepBeside('choices', parts, json, topFields, 'an answer')
  for (const [place, item] of objects(json.choices, 'choices').entries()) {
    keepBeside(field, parts, item, choiceFields, 'a choice')
    pruneLogprobs(parts, item)
    const choice = indexOf(item.index, place, 'the index of a choice')
    item[field] ??= {}
    const message = objectOf(item[field], `a ${field}`)
    readMessage(parts, choice, message, field)
    readFinish(parts, choice, item, (replacement) => {
      message.content = replacement
      if (field === 'message') message.role ??= 'assistant'
    })
    parts.dropped.push((stopped) => {
      if (stopped !== choice) return
      delete message.tool_calls
      delete message.function_call
    })
  }
  return shaped(parts, () =>
    objects(json.choices, 'choices').every((item) => {
      const { role: _, ...message } = asObject(item[field])
      return isBlank(item.finish_reason) && Object.values(message).every(isBlank)
    }),
  )
}

function readMessage(parts: Parts, choice: number, message: Mutable, field: string): void {
  knowAll(message, messageFields, `a ${field}`)
  if (!isBlank(message.role) && message.role !== 'assistant')
    throw new UnknownShape(`a ${field} has another role than assistant`)
  for (const unread of ['annotations', 'reasoning_details']) {
    if (!isBlank(message[unread])) parts.isPruned = true
    delete message[unread]
  }
  readReasoning(parts, choice, message)
  if (Array.isArray(message.content)) {
    for (const part of objects(message.content, 'content')) {
      knowAll(part, new Set(['type', 'text']), 'a part of the content')
      if (part.type !== 'text') throw new UnknownShape('a part of the content is no text')
      addText(parts, choice, part, 'text', 'text')
    }
  } else addText(parts, choice, message, 'content', 'text')
  addText(parts, choice, message, 'refusal', 'refusal')
  for (const [place, call] of objects(message.tool_calls, 'tool_calls').entries()) {
    knowAll(call, callFields, 'a tool call')
    const index = indexOf(call.index, place, 'the index of a tool call')
    for (const kind of ['function', 'custom']) {
      if (!isBlank(call[kind])) addCall(parts, choice, `call ${index}`, objectOf(call[kind], `a ${kind}`))
    }
  }
  if (!isBlank(message.function_call)) addCall(parts, choice, 'call', objectOf(message.function_call, 'a call'))
}

/** Two names for one thing; where a server sends both they must say the same. */
function readReasoning(parts: Parts, choice: number, message: Mutable): void {
  const names = ['reasoning_content', 'reasoning'].filter((name) => !isBlank(message[name]))
  if (names.length === 2 && message.reasoning !== message.reasoning_content) {
    throw new UnknownShape('a message has two reasonings')
  }
  if (names.length === 0) return
  const text = textOf(message[names[0]], names[0])!
  parts.pieces.push({
    choice,
    name: 'reasoning',
    source: 'reasoning',
    rank: ranks.reasoning,
    text,
    set: (given) => {
      for (const name of names) message[name] = given
    },
  })
}

function addText(parts: Parts, choice: number, holder: Mutable, key: string, source: 'text' | 'refusal'): void {
  const text = textOf(holder[key], key)
  if (text === undefined) return
  parts.pieces.push({ choice, name: source, source, rank: ranks[source], text, set: setter(holder, key) })
}

function addCall(parts: Parts, choice: number, name: string, called: Mutable): void {
  knowAll(called, new Set(['name', 'arguments', 'input']), 'a call')
  const add = (key: string, part: 'name' | 'arguments') => {
    const text = textOf(called[key], key)
    if (text !== undefined) parts.calls.push({ choice, name, part, text, set: setter(called, key) })
  }
  add('name', 'name')
  add('arguments', 'arguments')
  add('input', 'arguments')
}

function readTexts(json: Mutable): ShapedEvent {
  const parts = createParts(json)
  keepBeside('choices', parts, json, topFields, 'an answer')
  for (const [place, item] of objects(json.choices, 'choices').entries()) {
    keepBeside('text', parts, item, choiceFields, 'a choice')
    pruneLogprobs(parts, item)
    const choice = indexOf(item.index, place, 'the index of a choice')
    addText(parts, choice, item, 'text', 'text')
    readFinish(parts, choice, item, setter(item, 'text'))
  }
  return shaped(parts, () =>
    objects(json.choices, 'choices').every((item) => isBlank(item.finish_reason) && isBlank(item.text)),
  )
}

/** Their tokens are the text once more, with what guards take out of it. */
function pruneLogprobs(parts: Parts, item: Mutable): void {
  if (isBlank(item.logprobs)) return
  item.logprobs = null
  parts.isPruned = true
}

function readFinish(parts: Parts, choice: number, item: Mutable, replace: (replacement: string) => void): void {
  if (isBlank(item.finish_reason)) return
  textOf(item.finish_reason, 'finish_reason')
  parts.finishes.push({
    choice,
    block: (replacement) => {
      item.finish_reason = 'content_filter'
      if (replacement !== undefined) replace(replacement)
    },
  })
}

export function shaped({ dropped, ...parts }: Parts, isHollow: () => boolean): ShapedEvent {
  return {
    ...parts,
    isHollow,
    dropCalls: (choice) => {
      for (const drop of dropped) drop(choice)
    },
  }
}

export function isBlank(value: unknown): boolean {
  return value === null || value === undefined || value === ''
}
