import type { IncomingMessage } from 'node:http'
import { RequestError } from '../openai-error.ts'
import type { Route } from './route.ts'

/** How bodies, answers and errors of a route are written where that is not JSON. */
export interface BodyFormat {
  readonly contentType: string
  /** The value that the same body as JSON would have. Throws what is wrong with it as a RequestError. */
  decode(body: Buffer): unknown
  encode(answer: unknown): Uint8Array
  encodeError(error: RequestError): Uint8Array
}

/** By the content type of the request; undefined is JSON. Throws (415) where a route with formats takes neither. */
export function formatOfBody(req: IncomingMessage, { formats }: Route): BodyFormat | undefined {
  if (formats === undefined) return undefined
  const type = contentType(req)
  const format = formats.find((one) => one.contentType === type)
  if (format !== undefined || type === 'application/json') return format
  const taken = ['application/json', ...formats.map((one) => one.contentType)].join(' or ')
  throw new RequestError(415, 'unsupported_media_type', `The request body must be ${taken} (content-type).`)
}

/** In what the sender of a request, whatever is wrong with it, reads an error; undefined is JSON. */
export function formatOfError(req: IncomingMessage, routes: readonly Route[]): BodyFormat | undefined {
  const path = URL.parse(req.url ?? '', 'http://gateway')?.pathname
  const formats = routes.find((route) => route.path === path)?.formats
  return formats?.find((one) => one.contentType === contentType(req))
}

/** Without its parameters. A body that comes without any is taken for JSON, as on every other route. */
function contentType({ headers }: IncomingMessage): string {
  return (headers['content-type'] ?? 'application/json').split(';', 1)[0].trim().toLowerCase()
}
