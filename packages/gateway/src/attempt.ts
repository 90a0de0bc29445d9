import type { IncomingHttpHeaders } from 'node:http'
import type { Termination } from '@plumbline/contracts'
import { type Dispatcher, errors } from 'undici'
import { addressRefused } from './address.ts'
import { clientHeaders, type Upstream } from './upstream.ts'

/** One request on its way to an upstream. */
export interface UpstreamRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer | undefined
  /** Sent to the upstream as x-request-id. */
  readonly record: string
  /** Of all attempts, in performance.now()'s milliseconds. */
  readonly deadline: number
}

/** A status of 300 or more. */
export interface Refusal {
  readonly status: number
  /** What an error brings beside its body, such as retry-after. */
  readonly headers: Readonly<Record<string, string>>
  /** Undefined when it is too large to be sent on. */
  readonly body: Buffer | undefined
  /** Of the body, as far as it was read. */
  readonly bytes: number
}

/** What comes of an attempt: a refusal, or a head, data and the end; or a break, anywhere. */
export interface AttemptListener {
  onHead(status: number, headers: IncomingHttpHeaders): void
  onData(chunk: Buffer): void
  onEnd(): void
  onRefusal(refusal: Refusal): void
  onBreak(termination: Termination): void
}

/** More of an upstream's error is not sent on. */
const maxErrorBytes = 64 * 2 ** 10

/** One request to one upstream. After `stop` nothing more is heard of it. */
export class Attempt implements Dispatcher.DispatchHandler {
  private readonly upstream: Upstream
  private readonly request: UpstreamRequest
  private readonly listener: AttemptListener
  private controller: Dispatcher.DispatchController | undefined
  private isStopped = false
  private refusal: { status: number; headers: Record<string, string>; chunks: Buffer[]; bytes: number } | undefined
  upstreamRequestId: string | null = null

  constructor(upstream: Upstream, request: UpstreamRequest, listener: AttemptListener) {
    this.upstream = upstream
    this.request = request
    this.listener = listener
  }

  start(): void {
    const { method, path, headers: client, body, record } = this.request
    const headers = this.upstream.headers(client, record)
    if (body !== undefined) headers.push('content-type', 'application/json')
    this.upstream.pool.dispatch({ method, path: this.upstream.path(path), headers, body: body ?? null }, this)
  }

  /** Nothing more is wanted: the upstream is let go, unless it has said all. */
  stop(reason: string): void {
    this.isStopped = true
    this.controller?.abort(new Error(reason))
  }

  pause(): void {
    this.controller?.pause()
  }

  resume(): void {
    this.controller?.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.isStopped) controller.abort(new Error('stopped'))
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.isStopped || status < 200) return
    this.upstreamRequestId = String(headers['x-request-id'] ?? '').slice(0, 200) || null
    if (status < 300) {
      this.listener.onHead(status, headers)
      return
    }
    const { 'content-length': _length, 'content-encoding': _encoding, ...rest } = clientHeaders(headers)
    this.refusal = { status, headers: rest, chunks: [], bytes: 0 }
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.isStopped) return
    if (this.refusal === undefined) {
      this.listener.onData(chunk)
      return
    }
    this.refusal.bytes += chunk.length
    if (this.refusal.bytes <= maxErrorBytes) this.refusal.chunks.push(chunk)
    else this.refuse()
  }

  onResponseEnd(): void {
    if (this.isStopped) return
    if (this.refusal === undefined) this.listener.onEnd()
    else this.refuse()
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    if (!this.isStopped) this.listener.onBreak(nameBreak(error))
  }

  private refuse(): void {
    const { status, headers, chunks, bytes } = this.refusal!
    const body = bytes <= maxErrorBytes ? Buffer.concat(chunks) : undefined
    if (body === undefined) this.stop('the error is too large')
    this.listener.onRefusal({ status, headers, body, bytes })
  }
}

const connectErrors = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CLOSED',
  addressRefused,
]

function nameBreak(error: Error & { code?: string }): Termination {
  const code = error.code ?? ''
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'timeout_connect'
  if (error instanceof errors.HTTPParserError || code === 'UND_ERR_HEADERS_OVERFLOW') return 'upstream_invalid'
  return connectErrors.includes(code) ? 'upstream_unreachable' : 'upstream_reset'
}
