import { asObject, type Json } from '../../answer.ts'
import { type Delivered, lineByLine, mapReadings, readingsIn } from '../readings.ts'
import { isBlank } from './chat.ts'
import {
  callerJson,
  elsewhere,
  isCitation,
  isMisspeltInItem,
  isName,
  looksLikeName,
  media,
  namedByCaller,
  notText,
  partLists,
  readableTypes,
  sourceOf,
  toolLists,
  topSources,
  untypedFields,
} from './request-fields.ts'
import { isEmpty, type Mutable, typeOf } from './shape.ts'

/** A text in a request: whose it is, and how to put what guards leave of it in its place. */
export interface RequestText {
  readonly source: string
  readonly text: string
  set(delivered: Delivered): void
}

export interface ReadRequest {
  readonly texts: readonly RequestText[]
  /** The last thing the user said. */
  readonly prompt: string
  /** What no guard can read: images, token ids, a conversation that is kept elsewhere. */
  readonly unreadable: readonly string[]
  /** Each takes out what says a text once more, as the log-probabilities of an earlier answer: no guard has read that. */
  readonly repeats: readonly (() => void)[]
}

/** Every string of a request that can reach the model, whatever the endpoint; what stands in no known place is read too. */
export function readRequest(json: Mutable): ReadRequest {
  const reader = new RequestReader()
  for (const key of Object.keys(json)) reader.readTop(json, key)
  const { texts, unreadable, repeats } = reader
  const prompt = texts.findLast(({ source }) => source === 'user')?.text ?? ''
  return { texts, prompt, unreadable: [...new Set(unreadable)], repeats }
}

type Holder = Mutable | unknown[]

class RequestReader {
  readonly texts: RequestText[] = []
  readonly unreadable: string[] = []
  readonly repeats: (() => void)[] = []
  private readonly cited = new WeakSet<Json>()

  readTop(json: Mutable, key: string): void {
    const value = json[key]
    // An object is one that the upstream keeps, or has more than text in it.
    if (key === 'prompt') this.unreadable.push(...objectsIn(value).map(() => key))
    const isConversation =
      (key === 'messages' || key === 'input') && Array.isArray(value) && objectsIn(value).length > 0
    if (elsewhere.includes(key) && !isBlank(value)) this.unreadable.push(key)
    else if (isConversation) this.readConversation(value)
    else if (!notText.has(key)) {
      if (hasNumbers(value)) this.unreadable.push('token ids')
      this.read(json, key, topSources[key] ?? 'request')
    }
  }

  private readConversation(items: unknown[]): void {
    this.checkParts(items)
    for (const [at, item] of items.entries()) {
      this.read(items, at, asObject(item) === item ? sourceOf(item as Json) : 'user')
    }
  }

  private read(holder: Holder, key: string | number, source: string): void {
    const value = (holder as Mutable)[key]
    if (typeof value === 'string') {
      const set = (delivered: Delivered) => put(holder, key, delivered(0, value.length))
      this.texts.push({ source, text: value, set })
    } else if (Array.isArray(value)) {
      if (source !== 'request' && hasNumbers(value)) this.unreadable.push('token ids')
      for (const at of value.keys()) this.read(value, at, source)
    } else if (typeof value === 'object' && value !== null) {
      const isCallersOwn = source === 'request' && namedByCaller.has(String(key))
      for (const inner of Object.keys(value)) {
        if (isCallersOwn) this.read(value as Mutable, inner, source)
        else this.readField(value as Mutable, inner, source)
      }
      // Behind what they name, as their change makes another object.
      this.readNames(holder, key, source, isCallersOwn ? () => true : (name) => !isPlain(name))
    }
  }

  private readField(item: Mutable, key: string, source: string): void {
    const value = item[key]
    if (source === 'request') {
      if (media.has(key) && !isBlank(value)) this.unreadable.push(key)
      else if (!isName(key, value)) this.read(item, key, source)
      return
    }
    if (partLists.has(key)) this.checkParts(value)
    for (const entry of objectsIn(value)) if (isCitation(item, key, entry)) this.cited.add(entry)
    if (key === 'file_id' && this.cited.has(item) && typeof value === 'string' && looksLikeName(value)) return
    if ((media.has(key) && !isBlank(value)) || isMisspeltInItem(key)) this.unreadable.push(key)
    else if (callerJson.has(key)) this.readJson(item, key, source)
    else if (key === 'tools' && toolLists.has(typeOf(item))) this.readTools(item)
    else if (key === 'logprobs' && typeOf(item) === 'output_text') {
      if (!isEmpty(value)) this.repeats.push(() => put(item, key, []))
    } else if (!isName(key, value)) this.read(item, key, source)
  }

  /** Others describe these tools, such as an MCP server: what they say is not the operator's. */
  private readTools(item: Mutable): void {
    const before = this.texts.length
    this.read(item, 'tools', 'request')
    for (const text of this.texts.splice(before)) this.texts.push({ ...text, source: 'tool' })
  }

  /** Numbers, escapes and names of fields in it are read as in the calls of an answer. */
  private readJson(holder: Mutable, key: string, source: string): void {
    const value = holder[key]
    if (isBlank(value)) return
    const json = typeof value === 'string' ? value : JSON.stringify(value)
    const set = (delivered: Delivered) => {
      const given = mapReadings(json, lineByLine(delivered))
      put(holder, key, typeof value === 'string' ? given : JSON.parse(given))
    }
    this.texts.push({ source, text: readingsIn(json).join('\n'), set })
  }

  private readNames(holder: Holder, key: string | number, source: string, isRead: (name: string) => boolean): void {
    const object = (holder as Mutable)[key] as Mutable
    const names = Object.keys(object).filter(isRead)
    if (names.length === 0) return
    const set = (delivered: Delivered) => {
      const take = lineByLine(delivered)
      const entries = Object.entries(object).map(([name, value]) => [isRead(name) ? take(name) : name, value])
      put(holder, key, Object.fromEntries(entries))
    }
    this.texts.push({ source, text: names.join('\n'), set })
  }

  /** Notes each of these items or parts that may hold what is no text, or name what the upstream keeps. */
  private checkParts(list: unknown): void {
    for (const part of objectsIn(list)) {
      const isUntyped = isBlank(part.type)
      if (isUntyped ? typeof part.role === 'string' : readableTypes.has(typeOf(part))) continue
      const what = isUntyped ? Object.keys(part).find((key) => !untypedFields.has(key)) : typeOf(part) || 'type'
      if (what !== undefined) this.unreadable.push(what.slice(0, 60))
    }
  }
}

/** A field's name that holds no words of anybody, `$ref` of a schema among them. */
function isPlain(name: string): boolean {
  return looksLikeName(name.replace(/^\$/, ''))
}

function objectsIn(value: unknown): Json[] {
  return (Array.isArray(value) ? value : [value]).filter((one) => asObject(one) === one)
}

function hasNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.some((item) => typeof item === 'number')
}

function put(holder: Holder, key: string | number, value: unknown): void {
  ;(holder as Mutable)[key] = value
}
