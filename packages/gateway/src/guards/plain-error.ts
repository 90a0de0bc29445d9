import { asObject } from '../answer.ts'
import type { Mutable } from './shapes/shape.ts'

/** An upstream's error without its words, which nobody has looked at. */
export function plainError(json: Mutable): Mutable {
  const { type, code } = asObject(json.error ?? json)
  const short = (value: unknown) => (typeof value === 'string' && /^[\w.-]{1,60}$/.test(value) ? value : null)
  const message = 'The upstream reports an error.'
  const error = { message, type: short(type) ?? 'server_error', code: short(code), param: null }
  return json.type === 'error' ? { type: 'error', message, code: error.code, param: null, error } : { error }
}
