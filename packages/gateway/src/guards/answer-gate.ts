import type { GuardVerdict } from '@plumbline/contracts'
import { CallBook } from './call-book.ts'
import { ChoiceJudge, openPace } from './choice-judge.ts'
import type { Guard, GuardContext } from './guard.ts'
import { type CallPiece, type Piece, type ShapedEvent, UnknownShape } from './shapes/shape.ts'
import { turn } from './turns.ts'
import { mergeVerdicts } from './verdicts.ts'

/** An answer that was kept back to its end has many: so many of them leave in one turn. */
const eventsATurn = 1_000

/** An event on its way out. */
interface Waiting {
  readonly event: ShapedEvent | undefined
  readonly emit: (event: ShapedEvent | undefined, isChanged: boolean) => void
  readonly places: readonly { readonly piece: Piece; readonly from: number; readonly to: number }[]
}

/**
 * Lets the events of an answer through in their order, each when all text in it is cleared; what is not to be given is
 * taken out of it. An answer in one piece is one event, so it meets the same fate as a streamed one.
 */
export class AnswerGate {
  private readonly guards: readonly Guard[]
  private readonly context: GuardContext
  private readonly choices = new Map<number, ChoiceJudge>()
  private readonly pace = openPace()
  private readonly calls = new CallBook()
  private readonly closed = new Set<number>()
  /** By choice: where its last text stands, and which text has the replacement in its place. */
  private readonly ranks = new Map<number, number>()
  private readonly replaced = new Map<number, string>()
  private readonly queue: Waiting[] = []
  private readonly onIdle: () => void
  private isPumping = false

  /** `onIdle` is called whenever the queue has become empty. */
  constructor(guards: readonly Guard[], context: GuardContext, onIdle: () => void) {
    this.guards = guards
    this.context = context
    this.onIdle = onIdle
  }

  get isIdle(): boolean {
    return this.queue.length === 0
  }

  get isStopped(): boolean {
    return [...this.choices.values()].some(({ stop }) => stop !== undefined)
  }

  /** Takes an event, `undefined` for one without text such as an end mark. Throws UnknownShape. */
  push(event: ShapedEvent | undefined, emit: Waiting['emit']): void {
    const places = (event?.pieces ?? []).map((piece) => this.place(piece))
    for (const call of event?.calls ?? []) this.addCall(call)
    for (const { choice } of event?.finishes ?? []) this.finish(choice)
    this.queue.push({ event, emit, places })
    for (const judge of this.choices.values()) judge.advance()
    this.pump()
  }

  /** Nothing more comes: choices that were left open end here. */
  end(): void {
    for (const choice of this.choices.keys()) this.finish(choice)
    for (const judge of this.choices.values()) judge.advance()
    this.pump()
  }

  /** When every guard has spoken, what they said. */
  async verdicts(): Promise<GuardVerdict[]> {
    const judges = [...this.choices.entries()].sort(([a], [b]) => a - b).map(([, judge]) => judge)
    await Promise.all(judges.map(({ finished }) => finished))
    return mergeVerdicts(
      this.guards,
      this.context.direction,
      judges.map((judge) => judge.verdicts()),
    )
  }

  private judgeOf(choice: number): ChoiceJudge {
    let judge = this.choices.get(choice)
    if (judge === undefined) {
      judge = new ChoiceJudge(this.guards, this.context, () => this.pump(), this.pace)
      this.choices.set(choice, judge)
    }
    return judge
  }

  private place(piece: Piece) {
    const { choice, name, source, rank, text } = piece
    const judge = this.judgeOf(choice)
    if (piece.isRepeat && judge.has(name)) {
      judge.closeText(name)
      if (judge.textOf(name) !== text) throw new UnknownShape('an event repeats a text otherwise than it came')
      return { piece, from: 0, to: text.length }
    }
    if (text === '') return { piece, from: 0, to: 0 }
    if (this.closed.has(choice)) throw new UnknownShape('a text goes on after its end')
    if (judge.has(name) && !judge.isOpen(name)) throw new UnknownShape('a text goes on after another has begun')
    if (!judge.has(name) && rank <= (this.ranks.get(choice) ?? -1))
      throw new UnknownShape('a text comes after one that stands behind it in a whole answer')
    this.ranks.set(choice, rank)
    const from = judge.push(name, source, text)
    if (piece.isRepeat) judge.closeText(name)
    return { piece, from, to: from + text.length }
  }

  private addCall(call: CallPiece): void {
    if (this.closed.has(call.choice) && !call.isRepeat) throw new UnknownShape('a call goes on after its end')
    this.judgeOf(call.choice)
    this.calls.add(call)
  }

  /** The end of a choice: its calls, which were kept until now, are looked at last. */
  private finish(choice: number): void {
    if (this.closed.has(choice)) return
    this.closed.add(choice)
    const judge = this.judgeOf(choice)
    for (const [name, text] of this.calls.texts(choice)) judge.push(name, 'call', text)
    judge.close()
  }

  private pump(): void {
    if (this.isPumping) return
    this.isPumping = true
    const mayGo = (at: number) => at < Math.min(this.queue.length, eventsATurn) && this.isReady(this.queue[at])
    let released = 0
    while (mayGo(released)) this.release(this.queue[released++])
    // One by one, each would move all those behind it.
    this.queue.splice(0, released)
    if (released === eventsATurn) void this.pumpOn()
    else this.isPumping = false
    if (this.queue.length === 0) this.onIdle()
  }

  private async pumpOn(): Promise<void> {
    await turn()
    this.isPumping = false
    this.pump()
  }

  private isReady({ event, places }: Waiting): boolean {
    const isDone = ({ choice }: { choice: number }) => this.choices.get(choice)?.isDone === true
    return (
      places.every(({ piece, to }) => this.choices.get(piece.choice)!.isDecided(piece.name, to)) &&
      (event?.calls ?? []).every(isDone) &&
      (event?.finishes ?? []).every(isDone)
    )
  }

  private release({ event, emit, places }: Waiting): void {
    if (event === undefined) {
      emit(undefined, false)
      return
    }
    let isChanged = event.isPruned
    for (const { piece, from, to } of places) {
      const given = this.given(piece, from, to)
      if (given === piece.text) continue
      piece.set(given)
      isChanged = true
    }
    const stopped = new Set([...this.choices].filter(([, { stop }]) => stop !== undefined).map(([choice]) => choice))
    for (const call of event.calls) {
      if (stopped.has(call.choice)) continue
      const given = this.calls.given(call, (name, from, to) => this.choices.get(call.choice)!.delivered(name, from, to))
      if (given === call.text) continue
      call.set(given)
      isChanged = true
    }
    for (const choice of stopped) event.dropCalls(choice)
    for (const finish of event.finishes) {
      if (!stopped.has(finish.choice)) continue
      finish.block(this.takeReplacement(finish.choice, ''))
      isChanged = true
    }
    const isTouched = [...event.pieces, ...event.calls].some(({ choice }) => stopped.has(choice))
    if (event.isDropped || (isTouched && event.isHollow())) return
    emit(event, isChanged || isTouched)
  }

  private given(piece: Piece, from: number, to: number): string {
    const judge = this.choices.get(piece.choice)!
    if (judge.stop?.guard.mode !== 'replace') return judge.delivered(piece.name, from, to)
    if (piece.source !== 'text' || from > 0 || to === 0) return ''
    if (piece.isRepeat && this.replaced.get(piece.choice) === piece.name) return judge.stop.guard.replacement
    return this.takeReplacement(piece.choice, piece.name) ?? ''
  }

  /** The text in place of a stopped one, once. */
  private takeReplacement(choice: number, name: string): string | undefined {
    const guard = this.choices.get(choice)?.stop?.guard
    if (guard?.mode !== 'replace' || this.replaced.has(choice)) return undefined
    this.replaced.set(choice, name)
    return guard.replacement
  }
}
