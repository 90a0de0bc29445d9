import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { GuardVerdict, Termination } from '@plumbline/contracts'
import { type Answer, createAnswer } from './answer.ts'
import { AnswerReader } from './answer-reader.ts'
import type { Refusal, UpstreamRequest } from './attempt.ts'
import { BestOf, type BestOfListener, type BestOfRequest } from './best-of.ts'
import { Delivery, type DeliveryListener, type Reply } from './delivery.ts'
import { type EndpointPath, endpoints } from './endpoints.ts'
import { failureEvent, replyOfOurs } from './failure.ts'
import type { AnswerFilter } from './guards/answer-filter.ts'
import { filteredHeaders, type Guarding } from './guards/guarding.ts'
import { describeAnswer, type Outcome } from './outcome.ts'
import type { Policies } from './policies.ts'
import { Pursuit, type PursuitWorld } from './pursuit.ts'
import { answerHeaders, withOwnHeaders } from './upstream.ts'

export interface ExchangeRequest extends UpstreamRequest {
  /** Undefined for the list of models. */
  readonly endpoint: EndpointPath | undefined
  readonly model: string | undefined
  readonly isStream: boolean
  /** Of a stream: its last chunk has the usage. */
  readonly withUsage: boolean
  /** Of ours, on whatever answer the client gets. */
  readonly ownHeaders: Readonly<Record<string, string>>
  readonly guarding?: Guarding | undefined
  /** `body` asks for several answers, of which one is given. */
  readonly bestOf?: BestOfRequest | undefined
}

/** What may wait for the record: more than that after the end mark is no answer. */
const maxHeldBytes = 2 ** 20
const encodedAnswer =
  'The upstream encoded its answer although it was asked not to, so the guards of this service cannot read it.'
/** An upstream that has said that its stream is over may take this long to end it. */
const endGraceMs = 1_000
/** The events with which a guarded stream ends: why each choice did, usage, the end mark. */
const endEvents = 16
/** Ends also what has come whole and is still in its guards. */
const endsGuards: readonly Termination[] = ['timeout_total', 'shutdown', 'client_abort']

/** Records an answer; `verdicts` are those of guards, where there are any. Resolves when the answer may end. */
export type RecordOutcome = (outcome: Outcome, verdicts?: Promise<GuardVerdict[]>) => Promise<void>

/**
 * Sends a request to an upstream, and to others while that fails before a byte has gone out; sends the answer to the
 * client, byte for byte, and reads along. Every way in which this can end comes to `finish`, once. The last bytes of an
 * answer wait for `record`: what a client has seen whole is on record.
 */
export class Exchange implements BestOfListener, DeliveryListener {
  private readonly started = performance.now()
  private readonly request: ExchangeRequest
  private readonly policies: Policies
  private readonly world: PursuitWorld
  private readonly record: RecordOutcome
  private readonly delivery: Delivery
  private readonly pursuit: Pursuit
  private readonly bestOf: BestOf | undefined
  private askedMs = 0
  private reader: AnswerReader | undefined
  private refusal: Refusal | undefined
  /** Where guards may change the answer: nothing reaches the client past it. */
  private filter: AnswerFilter | undefined
  private headStatus: number | null = null
  private headersMs: number | null = null
  private firstTokenMs: number | null = null
  private phaseTimer: NodeJS.Timeout | undefined
  private readonly totalTimer: NodeJS.Timeout
  private isFinished = false
  private isEndExpected = false
  private endGuards: (termination: Termination) => void = () => {}
  private settled: Promise<void> = Promise.resolve()

  constructor(
    policies: Policies,
    request: ExchangeRequest,
    res: ServerResponse,
    world: PursuitWorld,
    record: RecordOutcome,
  ) {
    this.request = request
    this.policies = policies
    this.world = world
    this.record = record
    this.totalTimer = setTimeout(() => this.finish('timeout_total'), request.deadline - this.started)
    this.delivery = new Delivery(res, this, policies.idleMs)
    this.bestOf = request.bestOf && new BestOf(request.bestOf, this)
    this.pursuit = new Pursuit(policies, request.model, request, this.bestOf ?? this, world)
    this.pursuit.start()
  }

  /** Resolves when the client has its answer, or is gone, and the record is made or waits for verdicts alone. */
  get done(): Promise<void> {
    return this.delivery.done.then(() => this.settled)
  }

  /** The gateway stops and cannot wait. */
  cut(): void {
    this.finish('shutdown')
  }

  mayAskAgain(): boolean {
    return !this.isFinished && !this.delivery.isBegun && this.reader?.isAtEnd !== true
  }

  onAsk(): void {
    this.dropAttempt()
    this.reader = undefined
    this.isEndExpected = false
    this.headStatus = null
    this.headersMs = null
    this.firstTokenMs = null
    this.askedMs = this.elapsed()
    if (this.request.isStream && this.bestOf === undefined) this.awaitFirstToken()
  }

  /** The attempt has done well and is over, whatever becomes of its answers. */
  onCandidates(): void {
    this.pursuit.end('completed')
  }

  onWait(): void {
    this.endPhase()
    this.dropAttempt()
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
    const filter: AnswerFilter | undefined = this.request.guarding?.openFilter(
      isEventStream,
      // What comes late from an attempt that is void is dropped.
      (bytes) => this.filter === filter && this.pass(bytes),
      (reason, isGarbage) => this.filter === filter && this.refuseUnread(reason, isGarbage),
    )
    this.filter = filter
    const given = this.filter === undefined ? headers : filteredHeaders(headers)
    const answered = answerHeaders(given, ownHeaders)
    if (isEventStream) answered.push('x-accel-buffering', 'no')
    this.delivery.begin(status, answered)
    const encoding = headers['content-encoding'] ?? 'identity'
    if (encoding !== 'identity') {
      this.filter?.refuse(`it is encoded with ${encoding.slice(0, 60)}`, { told: encodedAnswer, isGarbage: true })
    }
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

  /** Bytes for the client. The end of an answer goes out after it is recorded. */
  private pass(chunk: Buffer): void {
    const { delivery } = this
    // What went through guards in one piece is its own end.
    const isWhole = this.filter !== undefined && this.reader?.isEventStream === false
    if (this.isFinished || isWhole || this.reader?.isAtEnd) {
      // Guards may have much of a stream to go through when all of it has come: that is not its end.
      delivery.hold(chunk, this.filter === undefined ? undefined : endEvents)
      return
    }
    delivery.write(chunk)
    if (!delivery.isWaiting) return
    // Backpressure: the upstream waits for the client, and the clock is the client's.
    this.pursuit.pause()
    this.startPhase('client_stalled', this.policies.idleMs)
  }

  onEnd(): void {
    this.finish(this.reader?.judgeEnd() ?? 'upstream_invalid')
  }

  /** No answer passes that the guards cannot read. */
  private refuseUnread(reason: string, isGarbage: boolean): void {
    this.reader?.answer.notes.add(`nothing after the guards could not read the answer: ${reason}`)
    // It may be a good answer all the same: who asks for many such must not have the upstream left alone.
    if (!isGarbage) this.pursuit.excuse()
    this.finish('upstream_invalid')
  }

  onRefusal(refusal: Refusal): void {
    this.headersMs ??= this.elapsed()
    this.refusal = refusal
    this.finish('upstream_error')
  }

  onBreak(termination: Termination): void {
    this.finish(this.reader?.answer.isEnded ? 'completed' : termination)
  }

  onAbort(): void {
    this.finish('client_abort')
  }

  onDrain(): void {
    if (this.isFinished) return
    // The end that is expected has a clock of its own.
    if (!this.isEndExpected) {
      if (this.reader?.isEventStream) this.startPhase('timeout_idle', this.policies.idleMs)
      else this.endPhase()
    }
    this.pursuit.resume()
  }

  /** Nothing of an attempt that failed may come out of its guards later. */
  private dropAttempt(): void {
    this.filter?.cut()
    this.filter = undefined
    this.delivery.forget()
  }

  private markEvent(): void {
    if (this.firstTokenMs !== null) return
    this.firstTokenMs = this.elapsed()
    this.startPhase('timeout_idle', this.policies.idleMs)
  }

  /** The upstream has said that this is all: it may take a moment to end it. */
  private expectEnd(): void {
    // Of several answers the best comes in one piece.
    const isInPieces = this.filter === undefined && this.bestOf === undefined
    if (this.delivery.heldBytes > maxHeldBytes && isInPieces) this.finish('upstream_invalid')
    else if (!this.isEndExpected) this.startPhase('completed', endGraceMs)
    this.isEndExpected = true
  }

  private finish(termination: Termination): void {
    // What is given is read first, however it ended: one that the guards cannot read is finished by that.
    if (!this.isFinished && isGivenAsCame(termination)) this.filter?.readEnd()
    if (this.isFinished) {
      if (endsGuards.includes(termination)) this.endGuards(termination)
      return
    }
    this.isFinished = true
    this.settled = this.settle(termination)
    // Told by `done`; here the client must not wait for an end that does not come.
    this.settled.catch(() => this.delivery.breakOff(undefined))
  }

  private async settle(cause: Termination): Promise<void> {
    this.endPhase()
    this.bestOf?.stop()
    this.pursuit.end(cause)
    const isOver = cause === 'upstream_error' || cause === 'completed'
    if (!isOver || this.reader?.answer.isEnded) this.pursuit.stop(cause)
    const termination = await this.leaveGuards(cause)
    clearTimeout(this.totalTimer)
    const answer = this.reader?.answer ?? createAnswer()
    // Candidates that nobody has got were paid for too.
    answer.usage ??= this.bestOf?.usage
    const ours = this.replyTo(termination, answer)
    const outcome = this.outcome(ours?.termination ?? termination, answer, ours?.reply)
    await this.record(outcome, this.request.guarding?.verdicts(outcome.choices, this.filter))
    this.sendEnd(termination, ours?.reply)
  }

  /** What is given is first gone through by its guards, unless something ends that. Gives how the answer ends. */
  private async leaveGuards(termination: Termination): Promise<Termination> {
    const { filter } = this
    if (filter === undefined) return termination
    const ended = new Promise<Termination>((resolve) => {
      this.endGuards = resolve
    })
    const isGiven = isGivenAsCame(termination)
    const last = isGiven ? await Promise.race([filter.end().then(() => termination), ended]) : termination
    if (!isGivenAsCame(last)) filter.cut()
    return last
  }

  private sendEnd(termination: Termination, reply: Reply | undefined): void {
    const isReadable = this.filter?.unknown === undefined
    if (reply !== undefined) {
      const headers = withOwnHeaders(reply.headers ?? {}, this.request.ownHeaders)
      this.delivery.reply({ ...reply, headers })
    } else if (isGivenAsCame(termination) && isReadable) this.giveEnd(termination)
    else if (this.isBetweenEvents && termination !== 'client_stalled') {
      // Never a [DONE] that the upstream did not send: the client must see that this is no whole answer.
      this.delivery.breakOff(failureEvent(termination))
    } else this.delivery.breakOff(undefined)
  }

  /** Whether an event of ours can follow what the client was sent. */
  private get isBetweenEvents(): boolean {
    return this.filter === undefined ? this.reader?.isBetweenEvents === true : this.reader?.isEventStream === true
  }

  /** What came, and where the client could take it for the whole, that it is not. */
  private giveEnd(termination: Termination): void {
    if (!this.isCutShort(termination)) this.delivery.end()
    else if (this.isBetweenEvents) {
      this.delivery.hold(Buffer.from(failureEvent(termination)))
      this.delivery.end()
    } else this.delivery.breakOff(undefined)
  }

  /** Whether what came of a stream looks like a whole one: guards let no half event through, and no HTTP may come between two. */
  private isCutShort(termination: Termination): boolean {
    if (this.reader?.isEventStream !== true) return false
    if (termination === 'upstream_incomplete') return this.filter !== undefined
    return termination === 'upstream_invalid' && !this.reader.isAtEnd
  }

  /** An answer of ours, where the upstream's cannot be sent. */
  private replyTo(termination: Termination, answer: Answer) {
    const isLost = this.filter?.unknown !== undefined || (this.isCutShort(termination) && this.delivery.heldBytes === 0)
    const isGiven = this.reader !== undefined && isGivenAsCame(termination) && !isLost
    if (this.delivery.isBegun || isGiven) return undefined
    const { refusal, pursuit, request, policies } = this
    const ending = {
      termination,
      explanation: this.filter?.told,
      refusal,
      reopensInMs: pursuit.reopensInMs,
      now: this.world.now(),
    }
    return replyOfOurs(ending, request, policies.fallbackAnswer, answer)
  }

  private outcome(termination: Termination, answer: Answer, reply: Reply | undefined): Outcome {
    const { id, model, text, choices, usage, error } = describeAnswer(answer, this.request.record)
    return {
      id,
      model,
      text,
      choices,
      usage,
      error,
      status: termination === 'client_abort' ? this.delivery.status : (reply?.status ?? this.headStatus),
      termination,
      timings: { headers_ms: this.headersMs, first_token_ms: this.firstTokenMs, total_ms: this.elapsed() },
      response_bytes: this.reader?.bytes ?? this.refusal?.bytes ?? 0,
      guards: [],
      notes: this.reader?.notes() ?? [],
      upstream: this.pursuit.upstream?.origin ?? '',
      attempts: this.pursuit.notes,
      upstream_request_id: this.pursuit.upstreamRequestId,
      ...(this.bestOf?.note && { best_of: this.bestOf.note }),
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
const givenAsCame: readonly Termination[] = ['completed', 'upstream_error', 'upstream_invalid', 'upstream_incomplete']
const isGivenAsCame = (termination: Termination) => givenAsCame.includes(termination)
