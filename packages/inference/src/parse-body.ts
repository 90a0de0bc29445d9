import { randomInt } from 'node:crypto'
import { RequestError } from '@plumbline/gateway/openai-error'
import type { z } from 'zod'
import type { ServedModel } from './call.ts'

/** A body by its schema. A null is as good as nothing, as with OpenAI. Throws RequestError, which names the parameter. */
export function parseBody<Schema extends z.ZodObject>(
  schema: Schema,
  body: Readonly<Record<string, unknown>>,
  model: ServedModel,
): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  const parsed = schema.safeParse(given)
  if (!parsed.success) throw badParameter(parsed.error.issues[0])
  if (given.model === model.name) return parsed.data
  const message = `There is no model ${JSON.stringify(String(given.model).slice(0, 200))} here: this server has ${JSON.stringify(model.name)}.`
  throw new RequestError(404, 'model_not_found', message, { param: 'model' })
}

function badParameter(issue: z.core.$ZodIssue): RequestError {
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]] : issue.path
  const param = paramName(path.map((part) => (typeof part === 'number' ? part : String(part).slice(0, 100))))
  if (issue.code === 'unrecognized_keys') {
    return new RequestError(400, 'unknown_parameter', `Unknown parameter: '${param}'.`, { param })
  }
  const code = issue.code === 'custom' ? issue.params?.code : undefined
  if (typeof code === 'string') return new RequestError(400, code, `'${param}': ${issue.message}.`, { param })
  const isMissing = issue.code === 'invalid_type' && issue.message.endsWith('undefined')
  return isMissing
    ? new RequestError(400, 'missing_required_parameter', `Missing required parameter: '${param}'.`, { param })
    : new RequestError(400, 'invalid_value', `Invalid value for '${param}': ${issue.message}.`, { param })
}

/** `messages[0].content`, as OpenAI writes it. */
const paramName = (path: readonly (string | number)[]) =>
  path.reduce<string>(
    (name, part) => (typeof part === 'number' ? `${name}[${part}]` : name ? `${name}.${part}` : part),
    '',
  )

export const seedOr = (seed: number | undefined) => seed ?? randomInt(2 ** 48 - 1)

/** Characters of text for each token of the context, beyond which a text is not even split into tokens. */
const maxCharsPerToken = 64

/** Before the work of tokenizing: a text that is far too long. */
export function checkChars(chars: number, { contextLength }: ServedModel, param: string): void {
  const most = maxCharsPerToken * contextLength
  if (chars <= most) return
  const message = `This model's maximum context length is ${contextLength} tokens, and at most ${most} characters are read. Your ${param} has ${chars}.`
  throw new RequestError(400, 'context_length_exceeded', message, { param })
}

/** The tokens that an answer may have: what was asked for, or what is left of the context. */
export function answerLength(
  promptIds: readonly number[],
  wanted: number | undefined,
  { contextLength }: ServedModel,
  param: string,
): number {
  if (promptIds.length === 0) throw new RequestError(400, 'invalid_value', `'${param}' has no tokens.`, { param })
  const left = contextLength - promptIds.length
  if (left >= Math.max(1, wanted ?? 1)) return wanted ?? left
  const asked =
    wanted === undefined || left < 1
      ? `your ${param} has ${promptIds.length} tokens`
      : `you asked for ${promptIds.length + wanted} tokens (${promptIds.length} in the ${param}, ${wanted} in the completion)`
  const message = `This model's maximum context length is ${contextLength} tokens. However, ${asked}. Please make it shorter.`
  throw new RequestError(400, 'context_length_exceeded', message, { param })
}
