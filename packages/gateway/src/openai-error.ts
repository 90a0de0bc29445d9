import type { IncomingMessage, ServerResponse } from 'node:http'
import type { KeyScope } from '@plumbline/contracts'
import type { Reply } from './delivery.ts'

/** What OpenAI's clients expect of every failure. */
export interface OpenAIError {
  readonly message: string
  readonly type: string
  readonly code: string | null
  readonly param: string | null
}

/** A request that is answered with an error. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly status: number
  readonly body: OpenAIError
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    {
      param = null,
      headers = {},
      type = typeOf(status),
    }: { param?: string | null; headers?: Readonly<Record<string, string>>; type?: string } = {},
  ) {
    super(message)
    this.status = status
    this.headers = headers
    this.body = { message, type, code, param }
  }
}

function typeOf(status: number): string {
  if (status >= 500) return 'server_error'
  return status === 401 ? 'authentication_error' : 'invalid_request_error'
}

/** Of answers of ours: nothing that a browser may guess about, run or keep. */
export const safeHeaders = {
  'content-type': 'application/json',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'",
}

export function sendJson(
  res: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(JSON.stringify(value))
  res.writeHead(status, { ...safeHeaders, ...headers, 'content-length': body.length })
  res.end(body)
}

/** An answer of ours, whole. */
export function sendReply(res: ServerResponse, { status, headers, body }: Reply): void {
  res.writeHead(status, { ...safeHeaders, ...headers, 'content-length': body.length })
  res.end(body)
}

/** How long a client may go on sending a body that nobody reads, so that it has a chance to read the answer. */
const lingerMs = 1_000

/** Errors in another form than OpenAI's. */
interface ErrorFormat {
  readonly contentType: string
  encodeError(error: RequestError): Uint8Array
}

export function sendError(req: IncomingMessage, res: ServerResponse, error: RequestError, format?: ErrorFormat): void {
  if (res.headersSent || res.destroyed) return
  const isUnread = !req.complete
  const headers = { ...error.headers, ...(isUnread ? { connection: 'close' } : {}) }
  if (format === undefined) sendJson(res, error.status, { error: error.body }, headers)
  else {
    const typed = { ...headers, 'content-type': format.contentType }
    sendReply(res, { status: error.status, headers: typed, body: Buffer.from(format.encodeError(error)) })
  }
  if (!isUnread) return
  req.resume()
  const timer = setTimeout(() => req.destroy(), lingerMs)
  timer.unref()
  req.once('close', () => clearTimeout(timer))
}

/** A good key that does not open this, and which would. */
export function wrongScope(scope: KeyScope, scopes: readonly KeyScope[]): RequestError {
  const message = `A key of scope ${scope} does not open this: use one of scope ${scopes.join(' or ')}.`
  return new RequestError(403, 'wrong_scope', message)
}
