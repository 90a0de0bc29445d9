import { nearest, PlumblineError } from '@plumbline/contracts'
import { longestFirst } from './added-tokens.ts'

/** One message of a conversation. Other fields (`name`, `tool_calls`, …) are handed to the template as they are. */
export interface ChatMessage {
  role: string
  content: string
  [field: string]: unknown
}

export interface ChatOptions {
  /** Ends with the opening of the assistant's turn, for the model to go on from. Default false. */
  addGenerationPrompt?: boolean
  /** JSON schemas of functions, as transformers passes them. */
  tools?: readonly unknown[]
  documents?: readonly Record<string, unknown>[]
  /** Further variables that a template knows, such as `enable_thinking`. */
  variables?: Record<string, unknown>
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function', 'ipython']

/** Checks messages from outside. Errors: `BAD_MESSAGE`, with the index of the message. */
export function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages)) throw badMessage('messages must be a list of {"role", "content"} objects')
  messages.forEach((message: unknown, i) => {
    if (typeof message !== 'object' || message === null || Array.isArray(message)) {
      throw badMessage(`messages[${i}] is not an object`)
    }
    const { role, content, tool_calls } = message as Record<string, unknown>
    if (typeof role !== 'string') throw badMessage(`messages[${i}] has no "role"`)
    if (!ROLES.includes(role)) {
      const close = nearest(role, ROLES)
      throw badMessage(
        `messages[${i}] has the unknown role ${JSON.stringify(role.slice(0, 40))}`,
        close && `Did you mean "${close}"?`,
      )
    }
    const isCall = Array.isArray(tool_calls) && (content === null || content === undefined)
    if (typeof content !== 'string' && !isCall) {
      const found =
        content === undefined
          ? 'none'
          : content === null
            ? 'null'
            : Array.isArray(content)
              ? 'a list'
              : `a ${typeof content}`
      throw badMessage(`messages[${i}] (${role}) needs "content" as a string, found ${found}`)
    }
  })
}

function badMessage(message: string, hint: string | undefined = undefined): PlumblineError {
  return new PlumblineError('BAD_MESSAGE', `${message}.`, {
    hint: hint ?? `A message is {"role": one of ${ROLES.join(', ')}, "content": text}.`,
  })
}

/** The `chat_template` of a tokenizer_config.json: a text, or a list of named ones of which `default` is taken. */
export function templateOf(chatTemplate: unknown): string | undefined {
  if (typeof chatTemplate === 'string') return chatTemplate
  if (!Array.isArray(chatTemplate)) return undefined
  const named = chatTemplate.find((entry) => entry?.name === 'default') ?? chatTemplate[0]
  return typeof named?.template === 'string' ? named.template : undefined
}

type TextMap = (text: string) => string

/** What of a request a person may have written. */
type ChatInputs = Pick<ChatOptions, 'tools' | 'documents' | 'variables'> & { messages: readonly ChatMessage[] }

/**
 * Special tokens in contents must stay text, while those of the template are parsed, and both come out of one
 * rendering. So each special token in a content gets `mark` behind its first character (any case: templates may
 * change it), and a content that is, begins or ends like part of a special token gets it there, lest the template's own text
 * completes it. White space at the ends is left outside, where `trim` finds it. After the rendering was split at special
 * tokens, the marks are dropped. A template that deletes characters inside a content may still glue a token together.
 *
 * `mark` is one private-use character, from `chooseMark`.
 */
export function createMarker(specialTokens: readonly string[]): (inputs: ChatInputs, mark: string) => ChatInputs {
  const tokens = specialTokens.filter((token) => token !== '')
  if (tokens.length === 0) return (inputs) => inputs
  const whole = new RegExp(longestFirst(tokens).join('|'), 'giu')
  const lower = tokens.map((token) => token.toLowerCase())
  const starts = new Set(lower.flatMap((token) => Array.from(token, (_, i) => token.slice(0, i))))
  const ends = new Set(lower.flatMap((token) => Array.from(token, (_, i) => token.slice(i + 1))))
  const longest = Math.max(...tokens.map((token) => token.length))

  const insert = (text: string, mark: string) =>
    text.replace(whole, (token) => (token.length === 1 ? mark + token : token[0] + mark + token.slice(1)))
  const insertWithEnds = (text: string, mark: string) => {
    const core = text.trim()
    if (core === '') return text
    const at = text.indexOf(core)
    const head = core.slice(0, longest).toLowerCase()
    const tail = core.slice(-longest).toLowerCase()
    let beginsInside = core.length < longest && lower.some((token) => token.includes(head))
    let endsInside = false
    for (let n = 1; n <= longest; n++) {
      beginsInside ||= ends.has(head.slice(0, n))
      endsInside ||= starts.has(tail.slice(-n))
    }
    const marked = (beginsInside ? mark : '') + insert(core, mark) + (endsInside ? mark : '')
    return text.slice(0, at) + marked + text.slice(at + core.length)
  }

  return ({ messages, documents, ...rest }, mark) => {
    const written: TextMap = (text) => insertWithEnds(text, mark)
    const named: TextMap = (text) => insert(text, mark)
    return {
      // A role was checked, and chooses the template's branches; keys are looked up by name unless a token is in them.
      messages: messages.map((message) => ({
        ...(mapStrings(message, written, named) as ChatMessage),
        role: message.role,
      })),
      documents: mapStrings(documents, written, named) as typeof documents,
      // Tools are the program's own, and their types are compared with words: there, only whole tokens are marked.
      ...(mapStrings(rest, named, named) as typeof rest),
    }
  }
}

/** A private-use character that occurs nowhere in the inputs, neither as itself nor as the JSON escape a template may write. */
export function chooseMark(inputs: unknown): string {
  const text = JSON.stringify(inputs).toLowerCase()
  for (let code = 0xe000; code <= 0xf8ff; code++) {
    const mark = String.fromCharCode(code)
    if (!text.includes(mark) && !text.includes(escapeOf(mark))) return mark
  }
  throw new PlumblineError(
    'BAD_MESSAGE',
    'The messages use all 6,400 private-use characters of Unicode; one must be free.',
  )
}

/** Takes the marks out again. */
export function dropMarks(text: string, mark: string): string {
  return text.includes(mark) || text.includes(escapeOf(mark))
    ? text.replaceAll(mark, '').replaceAll(escapeOf(mark), '')
    : text
}

function escapeOf(mark: string): string {
  return `\\u${mark.charCodeAt(0).toString(16)}`
}

function mapStrings(value: unknown, mapValue: TextMap, mapKey: TextMap): unknown {
  if (typeof value === 'string') return mapValue(value)
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, mapValue, mapKey))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [mapKey(key), mapStrings(item, mapValue, mapKey)]),
  )
}
