import { type Counterfactual, counterfactualsOf } from '@plumbline/evals'
import { z } from 'zod'

export interface ChatMessage {
  readonly role: string
  readonly content: string
}

/** A live prompt that names one side of an axis. */
export interface NamedPrompt {
  readonly model: string
  readonly axis: string
  readonly original: 0 | 1
  readonly messages: readonly ChatMessage[]
  readonly swapped: readonly ChatMessage[]
}

const partSchema = z.object({ type: z.literal('text'), text: z.string() })
const messageSchema = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(partSchema)]),
  tool_calls: z.undefined().optional(),
})
/** Chat in words alone: what tools or pictures are about cannot be swapped along. */
const recordSchema = z.object({
  upstream: z.string(),
  model: z.string().nullable(),
  request: z.object({ messages: z.array(messageSchema).min(1).max(100), tools: z.undefined().optional() }),
})

/** Who is spoken of is what users say, and what was answered to them; instructions stay as they are. */
const isSwapped = ({ role }: ChatMessage) => role === 'user' || role === 'assistant'

/**
 * Of the JSON of a record; undefined where there is nothing to swap, or the answer came from another upstream (records
 * name its scheme, host and port): what was meant for one is not sent to another. `choose` picks one of several axes.
 */
export function readPrompt(
  body: string,
  upstream: { readonly origin: string; readonly model: string | undefined },
  choose: (count: number) => number,
): NamedPrompt | undefined {
  const record = recordSchema.safeParse(parseOrUndefined(body)).data
  if (record === undefined || record.upstream !== upstream.origin) return undefined
  const model = upstream.model ?? record.model
  if (model === null) return undefined
  const messages = record.request.messages.map(({ role, content }) => ({ role, content: textOf(content) }))
  const found = counterfactualsOf(messages.filter(isSwapped).map(({ content }) => content))
  if (found.length === 0) return undefined
  const { axis, original, texts } = found[choose(found.length)]
  return { model, axis, original, messages, swapped: withTexts(messages, texts) }
}

function withTexts(messages: readonly ChatMessage[], texts: Counterfactual['texts']): ChatMessage[] {
  const left = [...texts]
  return messages.map((message) => (isSwapped(message) ? { ...message, content: left.shift()! } : message))
}

function textOf(content: string | readonly { readonly text: string }[]): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('\n')
}

function parseOrUndefined(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
