import { PlumblineError } from '@plumbline/contracts'
import { RequestError } from '@plumbline/gateway/openai-error'
import type { ChatMessage } from '@plumbline/models'
import { z } from 'zod'
import type { ServedModel } from './call.ts'
import { unsupportedBut } from './fields.ts'
import { checkChars } from './parse-body.ts'

const unsupportedPart = {
  error: 'the local model reads text alone, no images, sounds or files',
  params: { code: 'unsupported_parameter' },
}

/** The text of a message: a string, or parts of these types. */
export function contentField(types: readonly string[]) {
  const part = z
    .looseObject({ type: z.string() })
    .refine(({ type }) => types.includes(type), unsupportedPart)
    .pipe(z.looseObject({ type: z.string(), text: z.string() }))
  return z
    .union([z.string(), z.array(part)])
    .transform((content) => (typeof content === 'string' ? content : content.map(({ text }) => text).join('')))
}

/** Roles of OpenAI's; `developer` is its newer name for `system`, which chat templates do not know. */
export const roleField = z
  .enum(['system', 'developer', 'user', 'assistant'])
  .transform((role) => (role === 'developer' ? 'system' : role))

export const chatMessage = z.strictObject({
  role: roleField,
  content: contentField(['text']),
  name: z.string().max(512).optional(),
  refusal: unsupportedBut(null),
  audio: unsupportedBut(null),
  annotations: unsupportedBut([]),
  tool_calls: unsupportedBut([], null),
  function_call: unsupportedBut(null),
})

/** A conversation up to the assistant's turn. Special tokens that somebody has written in it stay text. */
export function encodeMessages(messages: readonly ChatMessage[], model: ServedModel, param: string): number[] {
  checkChars(
    messages.reduce((sum, { content }) => sum + content.length, 0),
    model,
    param,
  )
  try {
    return model.tokenizer.encodeChat(messages, { addGenerationPrompt: true })
  } catch (error) {
    if (!(error instanceof PlumblineError)) throw error
    throw new RequestError(400, error.code.toLowerCase(), error.message, { param })
  }
}
