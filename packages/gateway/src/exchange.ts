import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Interaction, Termination } from '@plumbline/contracts'
import { type Answer, createAnswer } from './answer.ts'
import { AnswerReader } from './answer-reader.ts'
import { Attempt, type AttemptListener, type Refusal, type UpstreamRequest } from './attempt.ts'
import { Delivery, type DeliveryListener, type Reply } from './delivery.ts'
import type { Endpoint } from './endpoints.ts'
import { failureEvent, failureReply, refusalReply } from './failure.ts'
import type { AnswerFilter } from './guards/answer-filter.ts'
import { filteredHeaders, type Guarding } from './guards/guarding.ts'
import { clientHeaders, type Upstream } from './upstream.ts'

/** How long to wait for what, in milliseconds. */
export interface ExchangeTimeouts {
  /** From the request to the first event of a streamed answer. */
  readonly firstTokenMs: number
  /** Between two pieces of a stream; and for a client to read what it was sent. */
  readonly idleMs: number
  readonly totalMs: number
}

export interface ExchangeRequest extends UpstreamRequest {
  readonly isStream: boolean
  readonly guarding?: Guarding | undefined
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
  | 'guards'
  | 'response_bytes'
  | 'notes'
> & { readonly upstream_request_id: string | null }

/** What may wait for the record: more than that after the end mark is no answer. */
const maxHeldBytes = 2 ** 20
/** An upstream that has said that its stream is over may take this long to end it. */
const endGraceMs = 1_000
/** The end of an answer waits so long for guards that only observe; the record waits for them whatever they take. */
const observerPatienceMs = 250

/**
 * Sends a request to the upstream and its answer to the client, byte for byte, and reads along. Every way in which this
 * can end comes to `finish`, once. The last bytes of an answer wait for `onOutcome`, which makes it durable: what a
 * client has seen whole is on record.
 */
export class Exchange implements AttemptListener, DeliveryListener {
  private readonly started = performance.now()
  private readonly request: ExchangeRequest
  private readonly endpoint: Endpoint | undefined
  private readonly timeouts: ExchangeTimeouts
  private readonly onOutcome: (outcome: Outcome) => Promise<void>
  private readonly delivery: Delivery
  private readonly attempt: Attempt
  private reader: AnswerReader | undefined
  /** Where guards may change the answer: nothing reaches the client past it. */
  private filter: AnswerFilter | undefined
  private refusal: Refusal | undefined
  private headStatus: number | null = null
  private headersMs: number | null = null
  private firstTokenMs: number | null = null
  private phaseTimer: NodeJS.Timeout | undefined
  private readonly totalTimer: NodeJS.Timeout
  private isFinished = false
  private isEndExpected = false
  private settled: Promise<void> = Promise.resolve()

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
    this.timeouts = timeouts
    this.onOutcome = onOutcome
    this.totalTimer = setTimeout(() => this.finish('timeout_total'), timeouts.totalMs)
    if (request.isStream) this.startPhase('timeout_first_token', timeouts.firstTokenMs)
    this.delivery = new Delivery(res, this)
    this.attempt = new Attempt(upstream, request, this)
  }

  /** Resolves when the client has its answer, or is gone, and the record is on its way. */
  get done(): Promise<void> {
    return this.delivery.done.then(() => this.settled)
  }

  /** The gateway stops and cannot wait. */
  cut(): void {
    void this.finish('shutdown')
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    this.headersMs = this.elapsed()
    this.headStatus = status
    this.reader = new AnswerReader(this.endpoint, headers, () => this.markEvent())
    const { isEventStream } = this.reader
    // A stream that was not asked for, or an answer in one piece that was: the clock goes by what came.
    if (isEventStream) this.startPhase('timeout_first_token', this.timeouts.firstTokenMs - this.elapsed())
    else this.endPhase()
    const own = { 'x-request-id': this.request.record, ...(isEventStream ? { 'x-accel-buffering': 'no' } : {}) }
    this.filter = this.request.guarding?.openFilter(
      isEventStream,
      (bytes) => this.pass(bytes),
      (reason) => this.refuseUnread(reason),
    )
    const given = this.filter === undefined ? headers : filteredHeaders(headers)
    this.delivery.begin(status, { ...clientHeaders(given), ...own })
    const encoding = headers['content-encoding'] ?? 'identity'
    if (this.filter !== undefined && encoding !== 'identity') this.refuseUnread(`it is encoded with ${encoding}`)
  }

  onData(chunk: Buffer): void {
    const { reader, delivery } = this
    if (reader === undefined) return
    reader.push(chunk)
    if (this.firstTokenMs !== null && !delivery.isWaiting && !reader.isAtEnd) this.phaseTimer?.refresh()
    if (this.filter === undefined) this.pass(chunk)
    else this.filter.push(chunk)
    if (reader.answer.isEnded) this.expectEnd()
  }

  /** Bytes for the client. The end of an answer goes out after its record is durable. */
  private pass(chunk: Buffer): void {
    const { delivery } = this
    if (this.isFinished || this.reader?.isAtEnd) {
      delivery.hold(chunk)
      return
    }
    delivery.write(chunk)
    if (!delivery.isWaiting) return
    // Backpressure: the upstream waits for the client, and the clock is the client's.
    this.attempt.pause()
    this.startPhase('client_stalled', this.timeouts.idleMs)
  }

  /** No answer passes that the guards cannot read. */
  private refuseUnread(reason: string): void {
    this.reader?.answer.notes.add(`nothing after the guards could not read the answer: ${reason}`)
    void this.finish('upstream_invalid')
  }

  onEnd(): void {
    void this.finish(this.reader?.judgeEnd() ?? 'upstream_invalid')
  }

  onRefusal(refusal: Refusal): void {
    this.headersMs ??= this.elapsed()
    this.refusal = refusal
    void this.finish('upstream_error')
  }

  onBreak(termination: Termination): void {
    void this.finish(this.reader?.answer.isEnded ? 'completed' : termination)
  }

  onAbort(): void {
    void this.finish('client_abort')
  }

  onDrain(): void {
    if (this.isFinished) return
    if (this.reader?.isEventStream) this.startPhase('timeout_idle', this.timeouts.idleMs)
    else this.endPhase()
    this.attempt.resume()
  }

  private markEvent(): void {
    if (this.firstTokenMs !== null) return
    this.firstTokenMs = this.elapsed()
    this.startPhase('timeout_idle', this.timeouts.idleMs)
  }

  /** The upstream has said that this is all: it may take a moment to end it. */
  private expectEnd(): void {
    if (this.delivery.heldBytes > maxHeldBytes && this.filter === undefined) void this.finish('upstream_invalid')
    else if (!this.isEndExpected) this.startPhase('completed', endGraceMs)
    this.isEndExpected = true
  }

  private finish(termination: Termination): void {
    if (this.isFinished) return
    this.isFinished = true
    this.settled = this.settle(termination)
  }

  private async settle(termination: Termination): Promise<void> {
    clearTimeout(this.totalTimer)
    this.endPhase()
    const isOver = termination === 'upstream_error' || termination === 'completed'
    if (!isOver || this.reader?.answer.isEnded) this.attempt.stop(termination)
    const answer = this.reader?.answer ?? createAnswer()
    if (this.filter !== undefined) {
      if (isGivenAsCame(termination)) await this.filter.end()
      else this.filter.cut()
    }
    const reply = this.replyTo(termination, answer)
    const recorded = this.record(this.outcome(termination, answer, reply))
    const { guarding } = this.request
    await (guarding === undefined
      ? recorded
      : Promise.race([recorded, sleep(observerPatienceMs, undefined, { ref: false })]))
    this.sendEnd(termination, reply)
    await recorded
  }

  private async record(outcome: Outcome): Promise<void> {
    const guards = (await this.request.guarding?.verdicts(outcome.choices)) ?? []
    await this.onOutcome({ ...outcome, guards })
  }

  private sendEnd(termination: Termination, reply: Reply | undefined): void {
    const isReadable = this.filter?.unknown === undefined
    if (reply !== undefined) this.delivery.reply(reply)
    else if (isGivenAsCame(termination) && isReadable) this.delivery.end()
    else if (this.isBetweenEvents && termination !== 'client_stalled') {
      // Never a [DONE] that the upstream did not send: the client must see that this is no whole answer.
      this.delivery.breakOff(failureEvent(termination))
    } else this.delivery.breakOff(undefined)
  }

  /** Whether an event of ours can follow what the client was sent. */
  private get isBetweenEvents(): boolean {
    return this.filter === undefined ? this.reader?.isBetweenEvents === true : this.reader?.isEventStream === true
  }

  /** An answer of ours, where the upstream's cannot be sent. */
  private replyTo(termination: Termination, answer: Answer): Reply | undefined {
    const isGiven = this.reader !== undefined && isGivenAsCame(termination) && this.filter?.unknown === undefined
    if (this.delivery.isBegun || isGiven) return undefined
    const reply =
      this.refusal !== undefined && termination === 'upstream_error'
        ? refusalReply(this.refusal, answer)
        : failureReply(termination)
    return { ...reply, headers: { ...reply.headers, 'x-request-id': this.request.record } }
  }

  private outcome(termination: Termination, answer: Answer, reply: Reply | undefined): Outcome {
    const choices = [...answer.choices.values()].sort((a, b) => a.index - b.index)
    return {
      id: answer.id ?? this.request.record,
      model: answer.model ?? null,
      status: termination === 'client_abort' ? this.delivery.status : (reply?.status ?? this.headStatus),
      termination,
      text: choices.find(({ index }) => index === 0)?.text ?? '',
      choices,
      usage: (answer.usage ?? null) as Interaction['usage'],
      error: answer.error ?? null,
      timings: { headers_ms: this.headersMs, first_token_ms: this.firstTokenMs, total_ms: this.elapsed() },
      guards: [],
      response_bytes: this.reader?.bytes ?? this.refusal?.bytes ?? 0,
      notes: this.reader?.notes() ?? [],
      upstream_request_id: this.attempt.upstreamRequestId,
    }
  }

  private startPhase(ending: Termination, ms: number): void {
    clearTimeout(this.phaseTimer)
    this.phaseTimer = setTimeout(() => this.finish(ending), Math.max(1, ms))
  }

  private endPhase(): void {
    clearTimeout(this.phaseTimer)
    this.phaseTimer = undefined
  }

  private elapsed(): number {
    return Math.round((performance.now() - this.started) * 1000) / 1000
  }
}

/** Endings at which the client is given what came, be it good or not. */
function isGivenAsCame(termination: Termination): boolean {
  return ['completed', 'upstream_error', 'upstream_invalid', 'upstream_incomplete'].includes(termination)
}
