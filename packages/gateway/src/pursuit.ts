import type { IncomingHttpHeaders } from 'node:http'
import type { AttemptNote, Termination } from '@plumbline/contracts'
import { Attempt, type AttemptListener, type Refusal, type UpstreamRequest } from './attempt.ts'
import type { Trial } from './breaker.ts'
import type { Policies } from './policies.ts'
import { readRetryAfter, retryWait } from './retries.ts'
import { chooseUpstream, type Route, serves } from './route.ts'
import type { Upstream } from './upstream.ts'

export interface PursuitListener extends AttemptListener {
  /** An upstream is asked: whatever came of one before is void. */
  onAsk(): void
  /** What was asked has failed, and another attempt follows later. */
  onWait(): void
  /** Whether another attempt makes sense: nothing has gone to the client. */
  mayAskAgain(): boolean
}

export interface PursuitWorld {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
  readonly onRetry: (upstream: string, why: Termination) => void
  readonly onNoBudget: () => void
}

const retryStatuses = [429, 502, 503, 504]
/**
 * Breaks after which another attempt may follow. A connection that breaks before any answer is one: a server that closes
 * a kept connection just as it is used again looks like this.
 */
const retryBreaks: readonly Termination[] = [
  'upstream_unreachable',
  'upstream_reset',
  'timeout_connect',
  'timeout_first_token',
]
const unreached: readonly Termination[] = ['upstream_unreachable', 'timeout_connect']
/** Endings that are not the upstream's doing. */
const othersFault: readonly Termination[] = ['client_abort', 'client_stalled', 'shutdown']

/** Goes after an answer: from upstream to upstream, as far as the policies let it. Tells only of the last attempt. */
export class Pursuit implements AttemptListener {
  readonly notes: AttemptNote[] = []
  private readonly policies: Policies
  private readonly routes: readonly Route[]
  private readonly request: UpstreamRequest
  private readonly listener: PursuitListener
  private readonly world: PursuitWorld
  /** When each upstream that was asked may be asked again. */
  private readonly asked = new Map<Upstream, number>()
  private repeats = 0
  private attempt: Attempt | undefined
  private trial: Trial | undefined
  private isAnswering = false
  private isExcused = false
  private askedAt = 0
  private status: number | null = null
  private timer: NodeJS.Timeout | undefined
  upstream: Upstream | undefined

  constructor(
    policies: Policies,
    model: string | undefined,
    request: UpstreamRequest,
    listener: PursuitListener,
    world: PursuitWorld,
  ) {
    this.policies = policies
    this.routes = policies.routes.filter((route) => serves(route, model))
    this.request = request
    this.listener = listener
    this.world = world
  }

  get upstreamRequestId(): string | null {
    return this.attempt?.upstreamRequestId ?? null
  }

  /** Until some upstream may be asked, when none may now. */
  get reopensInMs(): number {
    return Math.min(...this.routes.map(({ upstream }) => upstream.breaker.waitMs))
  }

  start(): void {
    this.policies.budget.add()
    const upstream = this.choose(() => true)
    if (upstream === undefined) this.listener.onBreak('no_upstream')
    else this.ask(upstream)
  }

  /** The upstream took too long; another may do better. */
  giveUp(termination: Termination): void {
    this.attempt?.stop(termination)
    this.onBreak(termination)
  }

  /** However the attempt ends: that is not the upstream's doing. */
  excuse(): void {
    this.isExcused = true
  }

  stop(reason: string): void {
    clearTimeout(this.timer)
    this.attempt?.stop(reason)
  }

  pause(): void {
    this.attempt?.pause()
  }

  resume(): void {
    this.attempt?.resume()
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    this.status = status
    this.listener.onHead(status, headers)
  }

  onData(chunk: Buffer): void {
    if (!this.isAnswering) this.trial?.succeeded()
    this.isAnswering = true
    this.listener.onData(chunk)
  }

  onEnd(): void {
    this.listener.onEnd()
  }

  onRefusal(refusal: Refusal): void {
    this.status = refusal.status
    const again = readRetryAfter(refusal.headers, this.world.now())
    const report = () => this.listener.onRefusal(refusal)
    if (!retryStatuses.includes(refusal.status) || !this.askAgain('upstream_error', report, again)) report()
  }

  onBreak(termination: Termination): void {
    const report = () => this.listener.onBreak(termination)
    if (!retryBreaks.includes(termination) || !this.askAgain(termination, report)) report()
  }

  /** Notes how the attempt ended that is still open. */
  end(termination: Termination): void {
    const { trial } = this
    if (trial === undefined || this.upstream === undefined) return
    this.trial = undefined
    const ms = Math.round((performance.now() - this.askedAt) * 1000) / 1000
    const why = termination === 'completed' ? null : termination
    this.notes.push({ upstream: this.upstream.name, status: this.status, ms, why })
    if (this.isExcused || othersFault.includes(termination)) trial.dropped()
    else if (this.isFailure(termination)) trial.failed()
    else if (!this.isAnswering) trial.succeeded()
  }

  private isFailure(termination: Termination): boolean {
    if (termination === 'completed') return false
    // What the upstream refuses for the client's sake, 429 included, it does in good health.
    if (termination === 'upstream_error') return this.status === null || this.status < 300 || this.status >= 500
    return termination !== 'timeout_total' || !this.isAnswering
  }

  /** Gives whether another attempt follows. `report` tells of this one, should none come about after all. */
  private askAgain(termination: Termination, report: () => void, retryAfterMs = 0): boolean {
    if (!this.listener.mayAskAgain() || this.upstream === undefined) return false
    this.end(termination)
    this.asked.set(this.upstream, performance.now() + retryAfterMs)
    if (this.notes.length > this.policies.retries.max) return false
    const next = this.plan()
    if (next === undefined) return false
    // Who was not reached had no load, and who was not asked yet has none of this request's: no load is multiplied.
    const { budget } = this.policies
    const isFree = budget.share > 0 && unreached.includes(termination) && !this.asked.has(next.upstream)
    if (!isFree && !budget.take()) {
      this.world.onNoBudget()
      return false
    }
    this.world.onRetry(this.upstream.name, termination)
    this.listener.onWait()
    this.attempt = undefined
    if (next.waitMs === 0) this.ask(next.upstream)
    else this.timer = setTimeout(() => this.askOr(report, next.upstream), next.waitMs)
    return true
  }

  /** Whom to ask next, and when: one that was not asked at once, one that was after a wait. */
  private plan(): { upstream: Upstream; waitMs: number } | undefined {
    const fresh = this.choose((upstream) => !this.asked.has(upstream))
    if (fresh !== undefined) return { upstream: fresh, waitMs: 0 }
    const { retries } = this.policies
    const now = performance.now()
    const pause = (upstream: Upstream) => Math.max(0, (this.asked.get(upstream) ?? 0) - now)
    const upstream = this.choose((one) => pause(one) <= retries.maxWaitMs)
    if (upstream === undefined) return undefined
    const waitMs = retryWait(this.repeats++, pause(upstream), retries, this.world.random())
    return now + waitMs < this.request.deadline ? { upstream, waitMs } : undefined
  }

  private choose(isWanted: (upstream: Upstream) => boolean): Upstream | undefined {
    return chooseUpstream(this.routes, isWanted, this.world.random())
  }

  /** After a wait the upstream may be one that is left alone by now. */
  private askOr(report: () => void, planned: Upstream): void {
    const upstream = planned.breaker.allows ? planned : this.choose(() => true)
    if (upstream === undefined || !this.listener.mayAskAgain()) report()
    else this.ask(upstream)
  }

  private ask(upstream: Upstream): void {
    this.upstream = upstream
    this.status = null
    this.isAnswering = false
    this.isExcused = false
    this.askedAt = performance.now()
    this.trial = upstream.breaker.begin()
    this.listener.onAsk()
    this.attempt = new Attempt(upstream, this.request, this)
    this.attempt.start()
  }
}
