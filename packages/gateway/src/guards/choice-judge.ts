import type { GuardVerdict } from '@plumbline/contracts'
import { Channel } from './channel.ts'
import { type Guard, type GuardContext, holdsAll, isEnforcing, readsSource } from './guard.ts'
import { Pace } from './turns.ts'
import { collectVerdicts } from './verdicts.ts'
import { WholeStage } from './whole-stage.ts'

/** What an answer, or one choice of it, is stopped by. */
export interface Stop {
  readonly guard: Guard
  readonly label: string | null
}

/** Goes from turn to turn: the slowest guard takes some 10 ms for so much. */
export function openPace(): Pace {
  return new Pace(2 ** 11)
}

/** What a look at a text costs beside what is shown of it, in characters. */
const leastChars = 64

/**
 * Judges one choice of an answer, or a request: texts one after the other, each by the guards that can judge pieces, and
 * at the end all of them by those that need the whole. A text is looked at when the ones before it are cleared, so what
 * is said about it does not depend on how it came. What is long is looked at in pieces, with turns for all else in between.
 */
export class ChoiceJudge {
  readonly guards: readonly Guard[]
  private readonly context: GuardContext
  private readonly onProgress: () => void
  private readonly pace: Pace
  private isResting = false
  private readonly channels: Channel[] = []
  private readonly byName = new Map<string, number>()
  private readonly isHeld: boolean
  private readonly whole: WholeStage
  /** The channel that is looked at; where there is a stop, the one that was stopped. */
  private current = 0
  /** The channel before which every guard has said all: a request may have very many. */
  private firstOpen = 0
  private isClosed = false
  private hasBegunWhole = false
  private isWholeCleared = false
  private markFinished = () => {}
  private hasObserved = false
  stop: Stop | undefined
  /** Resolves when every guard has spoken, also those that only observe. */
  readonly finished = new Promise<void>((resolve) => {
    this.markFinished = resolve
  })

  /** Judges that share a pace take turns. */
  constructor(guards: readonly Guard[], context: GuardContext, onProgress: () => void, pace = openPace()) {
    this.guards = guards
    this.context = context
    this.onProgress = onProgress
    this.pace = pace
    this.isHeld = guards.some(holdsAll)
    this.whole = new WholeStage(guards, context, (guard) =>
      this.channels
        .filter(({ source }) => readsSource(guard, source))
        .map(({ text }) => text.whole)
        .join('\n'),
    )
  }

  /** Whether a text can be added to: only the last one can. */
  isOpen(name: string): boolean {
    return !this.isClosed && this.channels.at(-1)?.name === name
  }

  has(name: string): boolean {
    return this.byName.has(name)
  }

  /** Adds to a text, closing the one before it. Gives where the addition begins. */
  push(name: string, source: string, text: string): number {
    if (!this.isOpen(name)) {
      this.channels.at(-1)?.close()
      this.byName.set(name, this.channels.length)
      this.channels.push(new Channel(name, source, this.guards, this.context, () => this.advance()))
    }
    const channel = this.channels.at(-1)!
    const start = channel.text.appended
    channel.text.append(text)
    return start
  }

  closeText(name: string): void {
    this.find(name)?.close()
  }

  /** Nothing more is to come. */
  close(): void {
    this.isClosed = true
    this.channels.at(-1)?.close()
  }

  textOf(name: string): string {
    return this.find(name)?.text.whole ?? ''
  }

  /** Lets the guards go as far as they can in this turn, and on in the next. */
  advance(): void {
    if (this.isResting) return
    for (let at = this.firstOpen; at < this.current; at++) this.channels[at].advance(this.pace)
    while (this.firstOpen < this.current && this.channels[this.firstOpen].isOver) this.firstOpen++
    for (; this.stop === undefined && this.current < this.channels.length; this.current++) {
      if (this.pace.isSpent) break
      const channel = this.channels[this.current]
      this.pace.spend(leastChars)
      channel.advance(this.pace)
      const { stopper } = channel
      if (stopper !== undefined) {
        this.stop = { guard: stopper.guard, label: stopper.label ?? (stopper.error === null ? null : 'error') }
        break
      }
      if (!channel.isCleared) break
    }
    if (this.stop !== undefined) this.channels[this.current]?.advance(this.pace)
    else if (this.isClosed && this.current === this.channels.length) this.judgeWhole()
    if (this.isDone) this.observe()
    if (this.pace.isSpent) void this.rest()
    this.onProgress()
  }

  private async rest(): Promise<void> {
    this.isResting = true
    await this.pace.nextTurn()
    this.isResting = false
    if (this.context.isCut?.() !== true) this.advance()
  }

  /** Everything that a client may be given is decided. */
  get isDone(): boolean {
    return this.isClosed && (this.stop !== undefined || this.isWholeCleared)
  }

  /** As far as a text may be given to the client; Infinity for all of it. */
  cleared(name: string): number {
    if (this.isHeld) return this.stop === undefined && this.isWholeCleared ? Number.POSITIVE_INFINITY : 0
    const at = this.byName.get(name) ?? Number.POSITIVE_INFINITY
    if (at > this.current || at >= this.channels.length) return 0
    return at < this.current ? Number.POSITIVE_INFINITY : this.channels[at].frontier
  }

  /** Whether what the client gets of a text as far as `to` will not change any more. */
  isDecided(name: string, to: number): boolean {
    return this.stop !== undefined || this.cleared(name) >= to
  }

  /** What the client is given of a stretch that is decided. */
  delivered(name: string, from: number, to: number): string {
    const channel = this.find(name)
    if (channel === undefined) return ''
    const end = Math.min(to, channel.text.appended, this.cleared(name))
    return end > from ? channel.redacted(from, end) : ''
  }

  verdicts(): GuardVerdict[] {
    const runs = this.channels.flatMap((channel) => channel.runs)
    return collectVerdicts(this.guards, this.context.direction, runs, this.whole.answers)
  }

  private find(name: string): Channel | undefined {
    return this.channels[this.byName.get(name) ?? -1]
  }

  private judgeWhole(): void {
    if (this.hasBegunWhole) return
    this.hasBegunWhole = true
    if (!this.guards.some((guard) => isEnforcing(guard) && guard.look.by === 'whole')) {
      this.isWholeCleared = true
      return
    }
    void this.whole.enforce().then((stopping) => {
      if (stopping === undefined) this.isWholeCleared = true
      else {
        const { guard, answer } = stopping
        this.stop = { guard, label: 'error' in answer ? 'error' : answer.label }
      }
      this.advance()
    })
  }

  private observe(): void {
    if (this.hasObserved || !this.channels.slice(this.firstOpen, this.current + 1).every(({ isOver }) => isOver)) return
    this.hasObserved = true
    void this.whole.observe().then(this.markFinished)
  }
}
