import { asObject, type Json } from '../../answer.ts'
import { isBlank } from './chat.ts'
import { type Mutable, setter, typeOf } from './shape.ts'

/** A text in a request: whose it is, and how to put another in its place. */
export interface RequestText {
  readonly source: string
  readonly text: string
  set(text: string): void
}

export interface ReadRequest {
  readonly texts: readonly RequestText[]
  /** The last thing the user said. */
  readonly prompt: string
  /** What no guard can read: images, token ids, a conversation that is kept elsewhere. */
  readonly unreadable: readonly string[]
}

/** Fields that hold no text for the model, or only names. */
const notText = new Set([
  'model',
  'user',
  'safety_identifier',
  'prompt_cache_key',
  'service_tier',
  'encoding_format',
  'truncation',
  'tool_choice',
  'include',
  'store',
  'stream',
  'modalities',
  'reasoning_effort',
  'verbosity',
])
/** Keys inside messages and items whose strings are names, as long as they look like one. */
const names = new Set([
  'type',
  'role',
  'id',
  'tool_call_id',
  'call_id',
  'status',
  'detail',
  'format',
  'encrypted_content',
])
const nameLike = /^[\w.:/+=-]*$/
const longestName = 64
const roles = ['system', 'developer', 'user', 'assistant', 'tool']
/** Content that is no text, by the key that holds it. */
const media = new Set([
  'image_url',
  'input_audio',
  'audio',
  'file',
  'file_data',
  'file_id',
  'file_url',
  'video_url',
  'audio_url',
  'image_file',
  'image_embeds',
  'audio_embeds',
])
/** Items of a conversation and parts of their content whose words stand in them, by their type. */
const readableTypes = new Set([
  'text',
  'input_text',
  'output_text',
  'refusal',
  'thinking',
  'reasoning_text',
  'summary_text',
  'logs',
  'message',
  'reasoning',
  'function_call',
  'function_call_output',
  'custom_tool_call',
  'custom_tool_call_output',
  'file_search_call',
  'web_search_call',
  'code_interpreter_call',
  'computer_call',
  'computer_call_output',
  'local_shell_call',
  'local_shell_call_output',
  'shell_call',
  'shell_call_output',
  'apply_patch_call',
  'apply_patch_call_output',
  'mcp_call',
  'mcp_list_tools',
  'mcp_approval_request',
  'mcp_approval_response',
])
/** Fields of those that have no type. */
const untypedFields = new Set(['text', 'refusal', 'content', 'stdout', 'stderr', 'outcome', ...media])
/** Fields that hold a list of parts. */
const partLists = new Set(['content', 'output', 'outputs', 'summary'])
/** In a JSON schema: below these the keys are the caller's own, such as `file` or `status` of a tool. */
const namedByCaller = new Set(['properties', '$defs', 'definitions'])
/** State that lives with the upstream, and a text as numbers. */
const elsewhere = ['previous_response_id', 'conversation', 'prompt_embeds']

const topSources: Readonly<Record<string, string>> = {
  prompt: 'user',
  input: 'user',
  suffix: 'user',
  instructions: 'system',
}
/** Fields at the top of a request that something here reads, or that hold what the model gets. */
const topNames = new Set([
  'messages',
  'metadata',
  'stream_options',
  'tools',
  'functions',
  'prediction',
  'temperature',
  'logprobs',
  'n',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  ...Object.keys(topSources),
  ...elsewhere,
  ...notText,
])
/** The same of a message or item. */
const itemNames = new Set(['content', 'text', 'refusal', 'name', 'function', 'arguments', 'output', ...names, ...media])

/**
 * Whether a field's name is one of these but for its case: upstreams in Go take both for one, also with ſ for s and the
 * Kelvin sign for k, and read what nobody here has read as that.
 */
function isMisspelt(key: string, known: ReadonlySet<string>): boolean {
  return !known.has(key) && known.has(key.toUpperCase().toLowerCase())
}

/** A field at the top of a request that an upstream may take for another. */
export function findMisspelt(json: object): string | undefined {
  return Object.keys(json).find((key) => isMisspelt(key, topNames))
}

/** Every string of a request that can reach the model, whatever the endpoint; what stands in no known place is read too. */
export function readRequest(json: Mutable): ReadRequest {
  const texts: RequestText[] = []
  const unreadable: string[] = []
  const walk = (holder: Mutable | unknown[], key: string | number, source: string): void => {
    const value = (holder as Mutable)[key]
    if (typeof value === 'string') {
      texts.push({ source, text: value, set: setter(holder, key) })
    } else if (Array.isArray(value)) {
      if ((source !== 'request' || holder === json) && value.some((item) => typeof item === 'number'))
        unreadable.push('token ids')
      for (const at of value.keys()) walk(value, at, source)
    } else if (typeof value === 'object' && value !== null) {
      const isOwnNames = source === 'request' && namedByCaller.has(String(key))
      for (const inner of Object.keys(value)) {
        if (isOwnNames) walk(value as Mutable, inner, source)
        else readField(value as Mutable, inner, source, walk, unreadable)
      }
    }
  }
  for (const key of Object.keys(json)) {
    // An object is one that the upstream keeps, or has more than text in it.
    if (key === 'prompt') unreadable.push(...objectsIn(json[key]).map(() => key))
    if (elsewhere.includes(key) && !isBlank(json[key])) unreadable.push(key)
    else if (
      (key === 'messages' || key === 'input') &&
      Array.isArray(json[key]) &&
      json[key].some((item) => asObject(item) === item)
    ) {
      findUnreadable(json[key], unreadable)
      for (const [at, item] of json[key].entries()) {
        const holder = asObject(item)
        if (holder === item)
          for (const inner of Object.keys(item)) readField(item as Mutable, inner, sourceOf(holder), walk, unreadable)
        else walk(json[key], at, 'user')
      }
    } else if (!notText.has(key)) walk(json, key, topSources[key] ?? 'request')
  }
  const prompt = texts.findLast(({ source }) => source === 'user')?.text ?? ''
  return { texts, prompt, unreadable: [...new Set(unreadable)] }
}

function readField(
  item: Mutable,
  key: string,
  source: string,
  walk: (holder: Mutable, key: string, source: string) => void,
  unreadable: string[],
): void {
  if (source !== 'request' && partLists.has(key)) findUnreadable(item[key], unreadable)
  // What stands beside the conversation may have names of the caller's own, such as metadata.
  if ((media.has(key) && !isBlank(item[key])) || (source !== 'request' && isMisspelt(key, itemNames)))
    unreadable.push(key)
  else if (!isName(key, item[key])) walk(item, key, source)
}

/** Notes each of these items or parts that may hold what is no text, or name what the upstream keeps. */
function findUnreadable(list: unknown, unreadable: string[]): void {
  for (const part of objectsIn(list)) {
    const isUntyped = isBlank(part.type)
    if (isUntyped ? typeof part.role === 'string' : readableTypes.has(typeOf(part))) continue
    const what = isUntyped ? Object.keys(part).find((key) => !untypedFields.has(key)) : typeOf(part) || 'type'
    if (what !== undefined) unreadable.push(what.slice(0, 60))
  }
}

function objectsIn(value: unknown): Json[] {
  return (Array.isArray(value) ? value : [value]).filter((one) => asObject(one) === one)
}

/** Text in such a place is text: chat templates write even a role as it comes. */
function isName(key: string, value: unknown): boolean {
  if (!names.has(key) || typeof value !== 'string') return false
  if (key === 'role') return roles.includes(value)
  return nameLike.test(value) && (value.length <= longestName || key === 'encrypted_content')
}

/** Whose words an item of the conversation holds. */
function sourceOf(item: Readonly<Record<string, unknown>>): string {
  if (typeof item.role === 'string') return roles.includes(item.role) ? item.role : 'tool'
  return /_output$/.test(typeOf(item)) ? 'tool' : 'assistant'
}
