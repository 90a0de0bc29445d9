import type { Json } from '../../answer.ts'
import { isBlank } from './chat.ts'
import { typeOf } from './shape.ts'

/** Fields that hold no text for the model, or only names. */
export const notText = new Set([
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
  'container_id',
  'status',
  'detail',
  'format',
  'encrypted_content',
])
/** Content that is no text, by the key that holds it. */
export const media = new Set([
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
export const readableTypes = new Set([
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
  'program',
  'program_output',
  'tool_search_call',
  'tool_search_output',
  'additional_tools',
])
/** Fields of those that have no type. */
export const untypedFields = new Set([
  'text',
  'refusal',
  'content',
  'stdout',
  'stderr',
  'outcome',
  'created_by',
  ...media,
])
/** Fields that hold a list of parts. */
export const partLists = new Set(['content', 'output', 'outputs', 'summary'])
/** Items of a conversation that bring tools of their own. */
export const toolLists = new Set(['mcp_list_tools', 'tool_search_output', 'additional_tools'])
/** In a JSON schema: the keys right below these are the caller's own, such as `file` or `status` of a tool. */
export const namedByCaller = new Set(['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'])
/**
 * In a conversation: what is the caller's own in every depth, as JSON or as the text of it. Clients add the `parsed` ones
 * to what they got.
 */
export const callerJson = new Set(['arguments', 'input', 'parsed_arguments', 'parsed', 'attributes', 'env'])
/** State that lives with the upstream, and a text as numbers. */
export const elsewhere = ['previous_response_id', 'conversation', 'prompt_embeds']

export const topSources: Readonly<Record<string, string>> = {
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
const itemNames = new Set([
  'text',
  'refusal',
  'name',
  'function',
  'tools',
  ...partLists,
  ...callerJson,
  ...names,
  ...media,
])

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

export function isMisspeltInItem(key: string): boolean {
  return isMisspelt(key, itemNames)
}

const longestName = 64

export function looksLikeName(text: string): boolean {
  return text.length <= longestName && isOneWord(text)
}

function isOneWord(text: string): boolean {
  return /^[\w.:/+=-]*$/.test(text)
}

/** Text in such a place is text: chat templates write even a role as it comes. */
export function isName(key: string, value: unknown): boolean {
  if (!names.has(key) || typeof value !== 'string') return false
  if (key === 'role') return roles.includes(value)
  return key === 'encrypted_content' ? isOneWord(value) : looksLikeName(value)
}

const roles = ['system', 'developer', 'user', 'assistant', 'tool']

/** Whose words an item of the conversation holds. */
export function sourceOf(item: Json): string {
  if (typeof item.role === 'string') return roles.includes(item.role) ? item.role : 'tool'
  return /_output$/.test(typeOf(item)) ? 'tool' : 'assistant'
}

/** Whether an entry of this field tells what an answer is based on: a `file_id` in it says what was read, and loads nothing. */
export function isCitation(item: Json, key: string, entry: Json): boolean {
  if (key === 'annotations') return typeOf(item) === 'output_text' && citations.has(typeOf(entry))
  return key === 'results' && typeOf(item) === 'file_search_call' && isBlank(entry.type)
}

const citations = new Set(['file_citation', 'container_file_citation', 'file_path'])
