import type { Interaction } from '@plumbline/contracts'

/** One message of a request, as text; what is no text is named. */
export interface Message {
  readonly role: string
  readonly text: string
}

type Json = Interaction['request']

const asObject = (value: Json | undefined): { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}

/** What was asked, whichever endpoint it came to; empty where the content was taken out or has another shape. */
export function messagesOf({ request }: Pick<Interaction, 'request'>): Message[] {
  const { messages, prompt, input, instructions } = asObject(request)
  const system = typeof instructions === 'string' ? [{ role: 'system', text: instructions }] : []
  for (const list of [messages, input]) if (Array.isArray(list)) return [...system, ...list.map(toMessage)]
  const alone = prompt ?? input
  return alone === undefined ? system : [...system, { role: 'user', text: textOf(alone) }]
}

export function lastPrompt(one: Pick<Interaction, 'request'>): string {
  const messages = messagesOf(one)
  return (messages.findLast(({ role }) => role === 'user') ?? messages.at(-1))?.text ?? ''
}

function toMessage(message: Json): Message {
  if (typeof message === 'string') return { role: 'user', text: message }
  const { role, content, tool_calls, type } = asObject(message)
  const calls = tool_calls === undefined ? '' : `\n${JSON.stringify(tool_calls, null, 2)}`
  return { role: String(role ?? type ?? 'user'), text: `${textOf(content ?? '')}${calls}` }
}

function textOf(content: Json): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return content === null ? '' : JSON.stringify(content)
  const parts = content.map((part) => {
    if (typeof part === 'string') return part
    const { text, type } = asObject(part)
    return typeof text === 'string' ? text : `[${String(type ?? typeof part)}]`
  })
  return parts.join('\n')
}
