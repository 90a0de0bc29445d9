import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Termination } from '@plumbline/contracts'
import { type Answer, createAnswer } from './answer.ts'
import { AnswerReader } from './answer-reader.ts'
import type { Refusal, UpstreamRequest } from './attempt.ts'
import { Delivery, type DeliveryListener, type Reply } from './delivery.ts'
import { type EndpointPath, endpoints } from './endpoints.ts'
import { failureEvent, replyOfOurs } from './failure.ts'
import { describeAnswer, type Outcome } from './outcome.ts'
import type { Policies } from './policies.ts'
import { Pursuit, type PursuitListener, type PursuitWorld } from './pursuit.ts'
import { clientHeaders, withOwnHeaders } from './upstream.ts'

export interface ExchangeRequest extends UpstreamRequest {
  /** Undefined for the list of models. */
  readonly endpoint: EndpointPath | undefined
  readonly model: string | undefined
  readonly isStream: boolean
  /** Of a stream: its last chunk has the usage. */
  readonly withUsage: boolean
  /** Of ours, on whatever answer the client gets. */
  readonly ownHeaders: Readonly<Record<string, string>>
}

/** What may wait for the record: more than that after the end mark is no answer. */
const maxHeldBytes = 2 ** 20
/** An upstream that has said that its stream is over may take this long to end it. */
const endGraceMs = 1_000

/**
 * Sends a request to an upstream, and to others while that fails before a byte has gone out; sends the answer to the
 * client, byte for byte, and reads along. Every way in which this can end comes to `finish`, once. The last bytes of an
 * answer wait for `onOutcome`, which makes it durable: what a client has seen whole is on record.
 */
export class Exchange implements PursuitListener, DeliveryListener {
  private readonly started = performance.now()
  private readonly request: ExchangeRequest
  private readonly policies: Policies
  private readonly world: PursuitWorld
  private readonly onOutcome: (outcome: Outcome) => Promise<void>
  private readonly delivery: Delivery
  private readonly pursuit: Pursuit
  private askedMs = 0
  private reader: AnswerReader | undefined
  private refusal: Refusal | undefined
  private headStatus: number | null = null
  private headersMs: number | null = null
  private firstTokenMs: number | null = null
  private phaseTimer: NodeJS.Timeout | undefined
  private readonly totalTimer: NodeJS.Timeout
  private isFinished = false

  constructor(
    policies: Policies,
    request: ExchangeRequest,
    res: ServerResponse,
    world: PursuitWorld,
    onOutcome: (outcome: Outcome) => Promise<void>,
  ) {
    this.request = request
    this.policies = policies
    this.world = world
    this.onOutcome = onOutcome
    this.totalTimer = setTimeout(() => this.finish('timeout_total'), policies.totalMs)
    this.delivery = new Delivery(res, this)
    this.pursuit = new Pursuit(policies, request.model, request, this, world)
    this.pursuit.start()
  }

  /** Resolves when the client has its answer, or is gone. */
  get done(): Promise<void> {
    return this.delivery.done
  }

  /** The gateway stops and cannot wait. */
  cut(): void {
    void this.finish('shutdown')
  }

  mayAskAgain(): boolean {
    return !this.isFinished && !this.delivery.isBegun && this.reader?.isAtEnd !== true
  }

  onAsk(): void {
    this.delivery.forget()
    this.reader = undefined
    this.headStatus = null
    this.headersMs = null
    this.firstTokenMs = null
    this.askedMs = this.elapsed()
    if (this.request.isStream) this.awaitFirstToken()
  }

  onWait(): void {
    this.endPhase()
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    this.headersMs = this.elapsed()
    this.headStatus = status
    const { endpoint, ownHeaders } = this.request
    const reading = endpoint === undefined ? undefined : endpoints[endpoint]
    this.reader = new AnswerReader(reading, headers, () => this.markEvent())
    const { isEventStream } = this.reader
    // A stream that was not asked for, or an answer in one piece that was: the clock goes by what came.
    if (isEventStream) this.awaitFirstToken()
    else this.endPhase()
    const unbuffered: Record<string, string> = isEventStream ? { 'x-accel-buffering': 'no' } : {}
    this.delivery.begin(status, withOwnHeaders({ ...clientHeaders(headers), ...unbuffered }, ownHeaders))
  }

  onData(chunk: Buffer): void {
    const { reader, delivery } = this
    if (reader === undefined) return
    reader.push(chunk)
    if (reader.isAtEnd) {
      this.holdEnd(chunk, reader)
      return
    }
    if (this.firstTokenMs !== null && !delivery.isWaiting) this.phaseTimer?.refresh()
    delivery.write(chunk)
    if (!delivery.isWaiting) return
    // Backpressure: the upstream waits for the client, and the clock is the client's.
    this.pursuit.pause()
    this.startPhase('client_stalled', this.policies.idleMs)
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
    if (this.reader?.isEventStream) this.startPhase('timeout_idle', this.policies.idleMs)
    else this.endPhase()
    this.pursuit.resume()
  }

  private markEvent(): void {
    if (this.firstTokenMs !== null) return
    this.firstTokenMs = this.elapsed()
    this.startPhase('timeout_idle', this.policies.idleMs)
  }

  /** The end of an answer goes out after its record is durable. */
  private holdEnd(chunk: Buffer, { answer }: AnswerReader): void {
    const isFirst = this.delivery.heldBytes === 0
    this.delivery.hold(chunk)
    if (!answer.isEnded) return
    if (this.delivery.heldBytes > maxHeldBytes) void this.finish('upstream_invalid')
    else if (isFirst) this.startPhase('completed', endGraceMs)
  }

  private async finish(termination: Termination): Promise<void> {
    if (this.isFinished) return
    this.isFinished = true
    clearTimeout(this.totalTimer)
    this.endPhase()
    this.pursuit.end(termination)
    const isOver = termination === 'upstream_error' || termination === 'completed'
    if (!isOver || this.reader?.answer.isEnded) this.pursuit.stop(termination)
    const answer = this.reader?.answer ?? createAnswer()
    const isGiven = this.delivery.isBegun || (this.reader !== undefined && isGivenAsCame(termination))
    const ours = isGiven ? undefined : this.replyTo(termination, answer)
    const reply = ours?.reply
    await this.onOutcome(this.outcome(ours?.termination ?? termination, answer, reply))
    const headers = withOwnHeaders(reply?.headers ?? {}, this.request.ownHeaders)
    if (reply !== undefined) this.delivery.reply({ ...reply, headers })
    else if (isGivenAsCame(termination)) this.delivery.end()
    else if (this.reader?.isBetweenEvents && termination !== 'client_stalled') {
      // Never a [DONE] that the upstream did not send: the client must see that this is no whole answer.
      this.delivery.breakOff(failureEvent(termination))
    } else this.delivery.breakOff(undefined)
  }

  /** An answer of ours, where the upstream's cannot be sent. */
  private replyTo(termination: Termination, answer: Answer) {
    const { refusal, pursuit, request, policies } = this
    const ending = { termination, refusal, reopensInMs: pursuit.reopensInMs, now: this.world.now() }
    return replyOfOurs(ending, request, policies.fallbackAnswer, answer)
  }

  private outcome(termination: Termination, answer: Answer, reply: Reply | undefined): Outcome {
    return {
      ...describeAnswer(answer, this.request.record),
      status: termination === 'client_abort' ? this.delivery.status : (reply?.status ?? this.headStatus),
      termination,
      timings: { headers_ms: this.headersMs, first_token_ms: this.firstTokenMs, total_ms: this.elapsed() },
      response_bytes: this.reader?.bytes ?? this.refusal?.bytes ?? 0,
      notes: this.reader?.notes() ?? [],
      upstream: this.pursuit.upstream?.origin ?? '',
      attempts: this.pursuit.notes,
      upstream_request_id: this.pursuit.upstreamRequestId,
    }
  }

  private startPhase(ending: Termination, ms: number): void {
    this.startTimer(() => this.finish(ending), ms)
  }

  private awaitFirstToken(): void {
    const waited = this.elapsed() - this.askedMs
    this.startTimer(() => this.pursuit.giveUp('timeout_first_token'), this.policies.firstTokenMs - waited)
  }

  private startTimer(act: () => void, ms: number): void {
    clearTimeout(this.phaseTimer)
    this.phaseTimer = setTimeout(act, Math.max(1, ms))
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
