/** One thing that a model says, as each endpoint writes it: in one piece, and as a stream. */

import { readChatStream, readChatWhole } from './answer-filter.test-support.ts'

export interface Turn {
  readonly reasoning?: string
  readonly text: string
  readonly refusal?: string
  readonly call?: string
}

type Found = Record<string, string>

interface AnswerShape {
  bodyOf(turns: readonly Turn[]): string
  /** `sizes`: characters per delta. */
  eventsOf(turns: readonly Turn[], sizes: readonly number[]): string
  /** What a client has in the end. */
  readWhole(text: string): Found
  readStream(text: string): Found
}

/** By `sizes` in turn, of UTF-16 units or bytes, so that pairs are cut as well. */
export function cut<Text extends string | Buffer>(text: Text, sizes: readonly number[]): Text[] {
  const pieces: Text[] = []
  for (let at = 0, i = 0; at < text.length; i++) {
    const size = sizes[i % sizes.length]
    pieces.push(text.slice(at, at + size) as Text)
    at += size
  }
  return pieces
}

const argumentsOf = (call: string) => JSON.stringify({ q: call })
const line = (json: object) => `data: ${JSON.stringify(json)}\n\n`

/** Choices take turns, as they do in an answer with n of them. */
function mix(streams: readonly (readonly string[])[]): string {
  const mixed: string[] = []
  for (let at = 0; streams.some((stream) => at < stream.length); at++)
    for (const stream of streams) if (at < stream.length) mixed.push(stream[at])
  return `${mixed.join('')}data: [DONE]\n\n`
}

const chat: AnswerShape = {
  bodyOf: (turns) => {
    const choices = turns.map(({ reasoning = '', text, refusal = '', call = '' }, index) => {
      const called = { id: 'c', type: 'function', function: { name: 'look', arguments: argumentsOf(call) } }
      return {
        index,
        message: {
          role: 'assistant',
          content: text,
          ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
          ...(refusal === '' ? {} : { refusal }),
          ...(call === '' ? {} : { tool_calls: [called] }),
        },
        finish_reason: 'stop',
      }
    })
    return JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'm', choices })
  },
  eventsOf: (turns, sizes) => {
    const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' }
    const event = (index: number, delta: object, finish_reason: string | null = null) =>
      line({ ...head, choices: [{ index, delta, finish_reason }] })
    return mix(
      turns.map(({ reasoning = '', text, refusal = '', call = '' }, index) => {
        const called = { index: 0, id: 'c', type: 'function', function: { name: 'look', arguments: '' } }
        const calls = [
          { tool_calls: [called] },
          ...cut(argumentsOf(call), sizes).map((piece) => ({
            tool_calls: [{ index: 0, function: { arguments: piece } }],
          })),
        ]
        return [
          event(index, { role: 'assistant', content: '' }),
          ...cut(reasoning, sizes).map((piece) => event(index, { reasoning_content: piece })),
          ...cut(text, sizes).map((piece) => event(index, { content: piece })),
          ...cut(refusal, sizes).map((piece) => event(index, { refusal: piece })),
          ...(call === '' ? [] : calls.map((delta) => event(index, delta))),
          event(index, {}, 'stop'),
        ]
      }),
    )
  },
  readWhole: readChatWhole,
  readStream: readChatStream,
}

const completions: AnswerShape = {
  bodyOf: (turns) => {
    const choices = turns.map(({ text }, index) => ({ index, text, logprobs: null, finish_reason: 'stop' }))
    return JSON.stringify({ id: 'cmpl-1', object: 'text_completion', created: 1, model: 'm', choices })
  },
  eventsOf: (turns, sizes) => {
    const event = (index: number, text: string, finish_reason: string | null = null) =>
      line({ id: 'cmpl-1', object: 'text_completion', choices: [{ index, text, logprobs: null, finish_reason }] })
    return mix(
      turns.map(({ text }, index) => [
        ...cut(text, sizes).map((piece) => event(index, piece)),
        event(index, '', 'stop'),
      ]),
    )
  },
  readWhole: (text) => readTexts([JSON.parse(text)]),
  readStream: (text) => readTexts(eventsIn(text)),
}

// biome-ignore lint/suspicious/noExplicitAny: what a server says, as a client takes it
type Said = any

function readTexts(answers: readonly Said[]): Found {
  const found: Found = {}
  for (const { choices } of answers) {
    for (const { index, text, finish_reason } of choices) {
      add(found, `${index} text`, text)
      add(found, `${index} finish`, finish_reason)
    }
  }
  return found
}

function eventsIn(text: string): Said[] {
  return text
    .split('\n')
    .filter((one) => one.startsWith('data: {'))
    .map((one) => JSON.parse(one.slice(6)))
}

function add(found: Found, key: string, more: unknown): void {
  if (typeof more === 'string' && more !== '') found[key] = (found[key] ?? '') + more
}

const response = { id: 'resp_1', object: 'response', created_at: 1, model: 'm', status: 'completed' }
const partTexts: Readonly<Record<string, string>> = {
  output_text: 'text',
  refusal: 'refusal',
  reasoning_text: 'text',
  summary_text: 'text',
}
/** By the type of a part: how its events are called. */
const partEvents: Readonly<Record<string, readonly [part: string, text: string, index: string]>> = {
  output_text: ['response.content_part', 'response.output_text', 'content_index'],
  refusal: ['response.content_part', 'response.refusal', 'content_index'],
  reasoning_text: ['response.content_part', 'response.reasoning_text', 'content_index'],
  summary_text: ['response.reasoning_summary_part', 'response.reasoning_summary_text', 'summary_index'],
}

/** What follows within one answer here, as it has one choice. */
function itemsOf(turns: readonly Turn[]): Said[] {
  return turns.flatMap(({ reasoning = '', text, refusal = '', call = '' }, turn) => {
    const half = reasoning.length >> 1
    const content = [
      { type: 'output_text', text, annotations: [] },
      ...(refusal === '' ? [] : [{ type: 'refusal', refusal }]),
    ]
    return [
      ...(reasoning === ''
        ? []
        : [
            {
              id: `rs_${turn}`,
              type: 'reasoning',
              summary: [{ type: 'summary_text', text: reasoning.slice(0, half) }],
              content: [{ type: 'reasoning_text', text: reasoning.slice(half) }],
            },
          ]),
      { id: `msg_${turn}`, type: 'message', role: 'assistant', status: 'completed', content },
      ...(call === ''
        ? []
        : [{ id: `fc_${turn}`, type: 'function_call', call_id: 'c', name: 'look', arguments: argumentsOf(call) }]),
    ]
  })
}

function itemEvents(item: Said, output_index: number, sizes: readonly number[]): object[] {
  const at = { item_id: item.id, output_index }
  const events = (part: Said, index: number): object[] => {
    const [partEvent, textEvent, place] = partEvents[part.type]
    const key = partTexts[part.type]
    const here = { ...at, [place]: index }
    return [
      { type: `${partEvent}.added`, ...here, part: { ...part, [key]: '' } },
      ...cut(part[key], sizes).map((delta) => ({ type: `${textEvent}.delta`, ...here, delta })),
      { type: `${textEvent}.done`, ...here, [key]: part[key] },
      { type: `${partEvent}.done`, ...here, part },
    ]
  }
  const emptied = Object.fromEntries(
    Object.entries(item).map(([key, value]) => [key, Array.isArray(value) ? [] : key === 'arguments' ? '' : value]),
  )
  const call = 'response.function_call_arguments'
  const calls =
    item.arguments === undefined
      ? []
      : [
          ...cut(item.arguments, sizes).map((delta) => ({ type: `${call}.delta`, ...at, delta })),
          { type: `${call}.done`, ...at, name: item.name, arguments: item.arguments },
        ]
  return [
    { type: 'response.output_item.added', output_index, item: emptied },
    ...[...(item.summary ?? [])].flatMap(events),
    ...[...(item.content ?? [])].flatMap(events),
    ...calls,
    { type: 'response.output_item.done', output_index, item },
  ]
}

const responses: AnswerShape = {
  bodyOf: (turns) => JSON.stringify({ ...response, output: itemsOf(turns) }),
  eventsOf: (turns, sizes) =>
    [
      { type: 'response.created', response: { ...response, status: 'in_progress', output: [] } },
      ...itemsOf(turns).flatMap((item, index) => itemEvents(item, index, sizes)),
      { type: 'response.completed', response: { ...response, output: itemsOf(turns) } },
    ]
      .map((event, sequence_number) => line({ ...event, sequence_number }))
      .join(''),
  readWhole: (text) => readResponse(JSON.parse(text)),
  readStream: readResponseEvents,
}

function readResponse({ output, status, incomplete_details }: Said): Found {
  const found: Found = { finish: incomplete_details?.reason ?? status }
  for (const item of output) readItem(found, item)
  return found
}

function readItem(found: Found, { id, summary = [], content = [], name, arguments: given }: Said): void {
  for (const part of [...summary.entries(), ...content.entries()]) readPart(found, id, part[0], part[1])
  add(found, `${id} name`, name)
  add(found, `${id} arguments`, given)
}

function readPart(found: Found, id: string, index: number, part: Said): void {
  add(found, `${id} ${partEvents[part.type][1]} ${index}`, part[partTexts[part.type]])
}

/**
 * What the last event says. The deltas put together, what each text, part or item closes with, and the last event must
 * all say the same; but a replacement for an answer without text stands in the last one alone.
 */
function readResponseEvents(stream: string): Found {
  const deltas: Found = {}
  const closed: Found = {}
  let last: Found = {}
  for (const event of eventsIn(stream)) {
    const { type, item_id, output_index: _, content_index, summary_index, delta, part, item } = event
    const [, kind, stage] = /^(.*)\.(\w+)$/.exec(type)!
    const isCall = kind === 'response.function_call_arguments'
    const key = isCall ? `${item_id} arguments` : `${item_id} ${kind} ${content_index ?? summary_index}`
    if (stage === 'delta') add(deltas, key, delta)
    else if (item !== undefined) {
      if (stage === 'added') readItem(deltas, item)
      else same(closed, (found) => readItem(found, item))
    } else if (part !== undefined) {
      if (stage === 'done') same(closed, (found) => readPart(found, item_id, content_index ?? summary_index, part))
    } else if (stage === 'done')
      same(closed, (found) => add(found, key, event.text ?? event.refusal ?? event.arguments))
    else if (event.response !== undefined) last = readResponse(event.response)
  }
  const { finish: _, ...ended } = last
  const said = Object.fromEntries(Object.entries(ended).filter(([key]) => !key.startsWith('msg_guard ')))
  for (const other of [deltas, closed]) {
    if (JSON.stringify(sorted(other)) !== JSON.stringify(sorted(said)))
      throw new Error(`${JSON.stringify(other)} is not ${JSON.stringify(said)}`)
  }
  return last
}

/** Adds what is read, which may stand there already if it says the same. */
function same(closed: Found, read: (found: Found) => void): void {
  const found: Found = {}
  read(found)
  for (const [key, text] of Object.entries(found)) {
    if (closed[key] !== undefined && closed[key] !== text) throw new Error(`${key}: ${text} is not ${closed[key]}`)
    closed[key] = text
  }
}

const sorted = (found: Found) => Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1))

export const answerShapes: Readonly<Record<string, AnswerShape>> = {
  '/v1/chat/completions': chat,
  '/v1/completions': completions,
  '/v1/responses': responses,
}
