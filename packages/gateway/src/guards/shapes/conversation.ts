import { asArray, asObject, type Json } from '../../answer.ts'
import type { Conversation, Turn } from '../../reward-model.ts'
import { typeOf } from './shape.ts'

/** What an answer answers. Undefined where that is not one text, as for several prompts in one request. */
export function readConversation(json: Json): Conversation | undefined {
  if (Array.isArray(json.messages)) return json.messages.flatMap(turnOf)
  if (json.input !== undefined || json.instructions !== undefined) return readInput(json)
  const { prompt } = json
  const [only, ...others] = Array.isArray(prompt) ? prompt : [prompt]
  return typeof only === 'string' && others.length === 0 ? only : undefined
}

function readInput({ instructions, input }: Json): Turn[] {
  const system = typeof instructions === 'string' ? [{ role: 'system', content: instructions }] : []
  const asked = typeof input === 'string' ? [{ role: 'user', content: input }] : asArray(input).flatMap(turnOf)
  return [...system, ...asked]
}

/** Templates know no `developer`; what is no turn, such as a call, is left out. */
function turnOf(item: unknown): Turn[] {
  const { role, content, output } = asObject(item)
  if (typeof role === 'string') return [{ role: role === 'developer' ? 'system' : role, content: textOf(content) }]
  return /_output$/.test(typeOf(asObject(item))) ? [{ role: 'tool', content: textOf(output) }] : []
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return asArray(content)
    .map((part) => asObject(part).text)
    .filter((text) => typeof text === 'string')
    .join('')
}
