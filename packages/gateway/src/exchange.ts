import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Interaction, Termination } from '@plumbline/contracts'
import { type Dispatcher, errors } from 'undici'
import { type Answer, asObject, createAnswer, readError } from './answer.ts'
import type { Endpoint } from './endpoints.ts'
import type { OpenAIError } from './openai-error.ts'
import { SseReader } from './sse.ts'
import { clientHeaders, type Upstream } from './upstream.ts'

/** How long to wait for what, in milliseconds. */
export interface ExchangeTimeouts {
  /** From the request to the first event of a streamed answer. */
  readonly firstTokenMs: number
  /** Between two pieces of a stream; and for a client to read what it was sent. */
  readonly idleMs: number
  readonly totalMs: number
}

/** One request on its way to the upstream. */
export interface ExchangeRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer | undefined
  readonly isStream: boolean
  readonly record: string
}

/** What is known when the answer has ended, before its last bytes go out. */
export type Outcome = Pick<
  Interaction,
  | 'id'
  | 'model'
  | 'status'
  | 'termination'
  | 'text'
  | 'choices'
  | 'usage'
  | 'error'
  | 'timings'
  | 'response_bytes'
  | 'notes'
> & { readonly upstream_request_id: string | null }

/** More of an answer in one piece is sent on, and not read for the record. */
const maxWholeBytes = 16 * 2 ** 20
/** More of an upstream's error is not sent on. */
const maxErrorBytes = 64 * 2 ** 10
/** What may wait for the record: more than that after the end mark is no answer. */
const maxHeldBytes = 2 ** 20
/** An upstream that has said that its stream is over may take this long to end it. */
const endGraceMs = 1_000

/**
 * Sends a request to the upstream and its answer to the client, byte for byte, and reads along. Every way in which this
 * can end comes to `finish`, once. The last bytes of an answer wait for `onOutcome`, which makes it durable: what a
 * client has seen whole is on record.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  private readonly started = performance.now()
  private readonly answer: Answer = createAnswer()
  private readonly request: ExchangeRequest
  private readonly endpoint: Endpoint | undefined
  private readonly res: ServerResponse
  private readonly timeouts: ExchangeTimeouts
  private readonly onOutcome: (outcome: Outcome) => Promise<void>
  private controller: Dispatcher.DispatchController | undefined
  private sse: SseReader | undefined
  private whole: Buffer[] | undefined
  private failed: Buffer[] | undefined
  /** What an error of the upstream brings beside its body, such as retry-after. */
  private failedHeaders: Record<string, string> = {}
  private held: Buffer[] = []
  private heldBytes = 0
  private status: number | null = null
  private upstreamStatus = 0
  private upstreamRequestId: string | null = null
  private declaredBytes = Number.POSITIVE_INFINITY
  private bytes = 0
  private headersMs: number | null = null
  private firstTokenMs: number | null = null
  private phaseTimer: NodeJS.Timeout | undefined
  private readonly totalTimer: NodeJS.Timeout
  private isWaitingForClient = false
  private isFinished = false
  private markDone = () => {}
  /** Resolves when the client has its answer, or is gone. */
  readonly done = new Promise<void>((resolve) => {
    this.markDone = resolve
  })

  constructor(
    upstream: Upstream,
    request: ExchangeRequest,
    endpoint: Endpoint | undefined,
    res: ServerResponse,
    timeouts: ExchangeTimeouts,
    onOutcome: (outcome: Outcome) => Promise<void>,
  ) {
    this.request = request
    this.endpoint = endpoint
    this.res = res
    this.timeouts = timeouts
    this.onOutcome = onOutcome
    this.totalTimer = setTimeout(() => this.finish('timeout_total'), timeouts.totalMs)
    if (request.isStream) this.startPhase('timeout_first_token', timeouts.firstTokenMs)
    res.on('close', () => {
      if (!res.writableFinished) void this.finish('client_abort')
      this.markDone()
    })
    const { method, body } = request
    const headers = upstream.headers(request.headers, request.record)
    if (body !== undefined) headers['content-type'] = 'application/json'
    upstream.pool.dispatch({ method, path: upstream.path(request.path), headers, body: body ?? null }, this)
  }

  /** The gateway stops and cannot wait. */
  cut(): void {
    void this.finish('shutdown')
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.isFinished) controller.abort(new Error('finished'))
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.isFinished || status < 200) return
    this.headersMs = this.elapsed()
    this.upstreamStatus = status
    this.upstreamRequestId = String(headers['x-request-id'] ?? '').slice(0, 200) || null
    if (status >= 300) {
      this.failed = []
      const { 'content-length': _, 'content-encoding': __, ...rest } = clientHeaders(headers)
      this.failedHeaders = rest
      return
    }
    const isEncoded = (headers['content-encoding'] ?? 'identity') !== 'identity'
    const isEventStream = /^text\/event-stream\b/i.test(String(headers['content-type'] ?? ''))
    if (isEncoded) this.answer.notes.add(`the answer, as it is encoded with ${headers['content-encoding']}`)
    else if (isEventStream) this.sse = new SseReader((data) => this.readEvent(data))
    else this.whole = []
    // A stream that was not asked for, or an answer in one piece that was: the clock goes by what came.
    if (isEventStream) this.startPhase('timeout_first_token', this.timeouts.firstTokenMs - this.elapsed())
    else this.endPhase()
    if (headers['content-length'] !== undefined) this.declaredBytes = Number(headers['content-length'])
    this.status = status
    const own = { 'x-request-id': this.request.record, ...(isEventStream ? { 'x-accel-buffering': 'no' } : {}) }
    this.res.writeHead(status, { ...clientHeaders(headers), ...own })
    if (isEventStream) this.res.flushHeaders()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.isFinished) return
    this.bytes += chunk.length
    if (this.failed !== undefined) {
      if (this.bytes <= maxErrorBytes) this.failed.push(chunk)
      return
    }
    this.sse?.push(chunk)
    this.keepWhole(chunk)
    if (this.answer.isEnded || this.bytes >= this.declaredBytes) {
      this.hold(chunk)
      return
    }
    if (this.sse !== undefined && this.firstTokenMs !== null && !this.isWaitingForClient) this.refreshIdle()
    if (!this.res.write(chunk)) this.waitForClient(controller)
  }

  onResponseEnd(): void {
    if (this.isFinished) return
    if (this.failed !== undefined) void this.finish('upstream_error')
    else void this.finish(this.judgeEnd())
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.isFinished) return
    const { code } = error as Error & { code?: string }
    const isGarbage = error instanceof errors.HTTPParserError || code === 'UND_ERR_HEADERS_OVERFLOW'
    if (this.answer.isEnded) void this.finish('completed')
    else if (code === 'UND_ERR_CONNECT_TIMEOUT') void this.finish('timeout_connect')
    else if (isGarbage) void this.finish('upstream_invalid')
    else if (isConnectError(code)) void this.finish('upstream_unreachable')
    else void this.finish('upstream_reset')
  }

  private readEvent(data: string): void {
    if (this.firstTokenMs === null) {
      this.firstTokenMs = this.elapsed()
      this.startPhase('timeout_idle', this.timeouts.idleMs)
    }
    if (data === '[DONE]') {
      this.answer.isEnded = true
      return
    }
    try {
      this.endpoint?.readEvent(this.answer, asObject(JSON.parse(data)))
    } catch {
      this.answer.notes.add('an event that is not JSON')
    }
  }

  private keepWhole(chunk: Buffer): void {
    if (this.whole === undefined) return
    if (this.bytes <= maxWholeBytes) this.whole.push(chunk)
    else {
      this.whole = undefined
      this.answer.notes.add(`the answer, as it is larger than ${maxWholeBytes} bytes`)
    }
  }

  /** The end of an answer goes out after its record is durable. */
  private hold(chunk: Buffer): void {
    this.held.push(chunk)
    this.heldBytes += chunk.length
    if (this.heldBytes > maxHeldBytes && this.answer.isEnded) void this.finish('upstream_invalid')
    else if (this.answer.isEnded && this.held.length === 1) this.startPhase('completed', endGraceMs)
  }

  /** Backpressure: the upstream waits for the client, and the clock is the client's. */
  private waitForClient(controller: Dispatcher.DispatchController): void {
    if (this.isWaitingForClient) return
    this.isWaitingForClient = true
    controller.pause()
    this.startPhase('client_stalled', this.timeouts.idleMs)
    this.res.once('drain', () => {
      this.isWaitingForClient = false
      if (this.isFinished) return
      if (this.sse === undefined) this.endPhase()
      else this.startPhase('timeout_idle', this.timeouts.idleMs)
      controller.resume()
    })
  }

  /** How an answer that came to its end in good order is called. */
  private judgeEnd(): Termination {
    const { answer } = this
    if (this.whole !== undefined && this.endpoint !== undefined) {
      try {
        const isAnswer = this.endpoint.readWhole(
          answer,
          asObject(JSON.parse(Buffer.concat(this.whole).toString('utf8'))),
        )
        if (!isAnswer && answer.error === undefined) return 'upstream_invalid'
      } catch {
        return 'upstream_invalid'
      }
    }
    if (answer.error !== undefined) return 'upstream_error'
    if (this.sse === undefined || answer.isEnded) return 'completed'
    // Some servers leave the end mark out: an answer whose choices all gave their reason is whole.
    const choices = [...answer.choices.values()]
    const isWhole = choices.length > 0 && choices.every(({ finish_reason }) => finish_reason !== null)
    return isWhole ? 'completed' : 'upstream_incomplete'
  }

  private async finish(termination: Termination): Promise<void> {
    if (this.isFinished) return
    this.isFinished = true
    clearTimeout(this.totalTimer)
    this.endPhase()
    const isOver = this.upstreamStatus !== 0 && (termination === 'upstream_error' || termination === 'completed')
    if (!isOver || this.answer.isEnded) this.controller?.abort(new Error(termination))
    const reply = this.res.headersSent ? undefined : this.failureReply(termination)
    if (reply !== undefined && termination !== 'client_abort') this.status = reply.status
    await this.onOutcome(this.outcome(termination))
    if (!this.res.destroyed) this.endAnswer(termination, reply)
    if (this.res.destroyed) this.markDone()
  }

  /** An answer of ours, where the upstream's cannot be sent. */
  private failureReply(termination: Termination) {
    if (this.failed !== undefined && termination === 'upstream_error') {
      const body = Buffer.concat(this.failed)
      const error = parseError(body)
      if (error !== undefined) readError(this.answer, error.error)
      // A redirect is not followed, and a refused key is the operator's, not the client's.
      const isOurs = this.upstreamStatus < 400 || this.upstreamStatus === 401
      if (error !== undefined && !isOurs && this.bytes <= maxErrorBytes) return { status: this.upstreamStatus, body }
      const status = isOurs ? 502 : this.upstreamStatus
      return { status, body: errorBody(`The upstream answered with status ${this.upstreamStatus}.`, 'upstream_error') }
    }
    const status = termination.startsWith('timeout_') ? 504 : termination === 'shutdown' ? 503 : 502
    return { status, body: errorBody(explain[termination] ?? 'The upstream failed.', termination) }
  }

  private endAnswer(termination: Termination, reply: { status: number; body: Buffer } | undefined): void {
    const { res } = this
    if (reply !== undefined) {
      const headers = {
        ...this.failedHeaders,
        'content-type': 'application/json',
        'content-length': reply.body.length,
        'x-request-id': this.request.record,
      }
      res.writeHead(reply.status, headers)
      res.end(reply.body)
      return
    }
    const isWhole =
      termination === 'completed' || termination === 'upstream_error' || termination === 'upstream_invalid'
    if (isWhole || termination === 'upstream_incomplete') {
      for (const chunk of this.held) res.write(chunk)
      res.end()
    } else if (this.sse?.isAtBoundary && !this.sse.isOverflown && termination !== 'client_stalled') {
      // Never a [DONE] that the upstream did not send: the client must see that this is no whole answer.
      res.end(errorEvent(explain[termination] ?? 'The upstream failed.', termination))
    } else res.destroy()
  }

  private outcome(termination: Termination): Outcome {
    const { answer } = this
    const choices = [...answer.choices.values()].sort((a, b) => a.index - b.index)
    if (this.sse?.isOverflown) answer.notes.add('an event that is too long, and what came after it')
    return {
      id: answer.id ?? this.request.record,
      model: answer.model ?? null,
      status: this.status,
      termination,
      text: choices.find(({ index }) => index === 0)?.text ?? '',
      choices,
      usage: (answer.usage ?? null) as Interaction['usage'],
      error: answer.error ?? null,
      timings: { headers_ms: this.headersMs, first_token_ms: this.firstTokenMs, total_ms: this.elapsed() },
      response_bytes: this.bytes,
      notes: [...answer.notes],
      upstream_request_id: this.upstreamRequestId,
    }
  }

  private startPhase(ending: Termination, ms: number): void {
    clearTimeout(this.phaseTimer)
    this.phaseTimer = setTimeout(() => this.finish(ending), Math.max(1, ms))
  }

  private refreshIdle(): void {
    this.phaseTimer?.refresh()
  }

  private endPhase(): void {
    clearTimeout(this.phaseTimer)
    this.phaseTimer = undefined
  }

  private elapsed(): number {
    return Math.round((performance.now() - this.started) * 1000) / 1000
  }
}

const explain: Partial<Record<Termination, string>> = {
  upstream_unreachable: 'The upstream cannot be reached.',
  upstream_reset: 'The connection to the upstream broke.',
  upstream_invalid: 'The upstream gave an answer that is none.',
  timeout_connect: 'The upstream did not take the connection in time.',
  timeout_first_token: 'The upstream did not begin its answer in time.',
  timeout_idle: 'The upstream fell silent in the middle of its answer.',
  timeout_total: 'The answer took too long.',
  shutdown: 'The gateway is shutting down.',
}

function isConnectError(code: string | undefined): boolean {
  return ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CLOSED'].includes(
    code ?? '',
  )
}

function errorOf(message: string, code: string): { error: OpenAIError } {
  return { error: { message, type: 'server_error', code, param: null } }
}

function errorBody(message: string, code: string): Buffer {
  return Buffer.from(JSON.stringify(errorOf(message, code)))
}

/** Read as a failure by clients of chat, completions and responses alike. */
function errorEvent(message: string, code: string): string {
  const value = { type: 'error', ...errorOf(message, code), message, code, param: null }
  return `event: error\ndata: ${JSON.stringify(value)}\n\n`
}

function parseError(body: Buffer): Record<string, unknown> | undefined {
  try {
    const json = asObject(JSON.parse(body.toString('utf8')))
    return json.error === undefined ? undefined : json
  } catch {
    return undefined
  }
}
