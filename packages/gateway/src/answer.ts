import type { Choice } from '@plumbline/contracts'

/** What is known of an answer so far, put together from its events or read from its whole body. */
export interface Answer {
  id: string | undefined
  model: string | undefined
  usage: unknown
  error: { message: string; type: string | null; code: string | null } | undefined
  /** The upstream said that this is all. */
  isEnded: boolean
  readonly choices: Map<number, Choice>
  readonly notes: Set<string>
  /** Characters of all choices. */
  size: number
}

export function createAnswer(): Answer {
  return {
    id: undefined,
    model: undefined,
    usage: null,
    error: undefined,
    isEnded: false,
    choices: new Map(),
    notes: new Set(),
    size: 0,
  }
}

/** More than this of one answer is not recorded. */
const maxChars = 4 * 2 ** 20
/** Choices and tool calls of one answer: an upstream that numbers them higher is not followed. */
const maxIndex = 127

export type Json = Readonly<Record<string, unknown>>

export function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Fields that every body and event may carry. */
export function readHead(answer: Answer, json: Json): void {
  answer.id ??= asText(json.id)?.slice(0, 512) || undefined
  answer.model ??= asText(json.model)?.slice(0, 512)
  if (typeof json.usage === 'object' && json.usage !== null && isShallow(json.usage, 4)) answer.usage = json.usage
  if (json.error !== undefined && json.error !== null) readError(answer, json.error)
}

/** Usage is counts, in a few groups. What is nested deeper could overflow the stack of what writes the record. */
function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((inner) => isShallow(inner, levels - 1))
}

export function readError(answer: Answer, value: unknown): void {
  const error = asObject(value)
  answer.error ??= {
    message: (asText(error.message) ?? asText(value) ?? 'The upstream reports an error.').slice(0, 4000),
    type: asText(error.type)?.slice(0, 200) ?? null,
    code: asText(error.code)?.slice(0, 200) ?? (typeof error.code === 'number' ? String(error.code) : null),
  }
}

export function choiceAt(answer: Answer, index: unknown): Choice | undefined {
  const place = index ?? 0
  if (!Number.isInteger(place) || (place as number) < 0 || (place as number) > maxIndex) return undefined
  let choice = answer.choices.get(place as number)
  if (choice === undefined) {
    choice = {
      index: place as number,
      text: '',
      reasoning: '',
      refusal: '',
      tool_calls: [],
      finish_reason: null,
    }
    answer.choices.set(place as number, choice)
  }
  return choice
}

export function addText(answer: Answer, choice: Choice, field: 'text' | 'reasoning' | 'refusal', value: unknown): void {
  if (typeof value === 'string') choice[field] += room(answer, value)
}

/** A piece of a tool call: the first one has id and name, all may have a part of the arguments. */
export function addToolCall(answer: Answer, choice: Choice, index: number, id: unknown, name: unknown, more: unknown) {
  if (!Number.isInteger(index) || index < 0 || index > maxIndex) return
  while (choice.tool_calls.length <= index) choice.tool_calls.push({ id: null, name: null, arguments: '' })
  const call = choice.tool_calls[index]
  call.id ??= asText(id)?.slice(0, 512) ?? null
  call.name ??= asText(name)?.slice(0, 512) ?? null
  if (typeof more === 'string') call.arguments += room(answer, more)
}

export function setFinish(choice: Choice, reason: unknown): void {
  choice.finish_reason ??= asText(reason)?.slice(0, 100) ?? null
}

function room(answer: Answer, text: string): string {
  const kept = answer.size + text.length <= maxChars ? text : text.slice(0, Math.max(0, maxChars - answer.size))
  answer.size += kept.length
  if (kept.length < text.length) answer.notes.add(`only the first ${maxChars} characters of the answer`)
  return kept
}
