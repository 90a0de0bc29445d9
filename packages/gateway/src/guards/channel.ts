import { type Guard, type GuardContext, isEnforcing, readsSource, type Span } from './guard.ts'
import type { Run } from './run.ts'
import { byPlace, SpanRun } from './span-run.ts'
import { TextBuffer } from './text-buffer.ts'
import type { Pace } from './turns.ts'
import { WindowRun } from './window-run.ts'

/** One text, such as the content of a choice, with the guards that go through it as it comes. */
export class Channel {
  readonly name: string
  readonly source: string
  readonly text = new TextBuffer()
  readonly runs: readonly Run[]
  private isFinal = false
  /** What so many found spans come to. */
  private melted: { readonly count: number; readonly spans: readonly Span[] } = { count: 0, spans: [] }

  /** Guards that need the whole answer are not for here. */
  constructor(name: string, source: string, guards: readonly Guard[], context: GuardContext, onProgress: () => void) {
    this.name = name
    this.source = source
    this.runs = guards
      .filter((guard) => readsSource(guard, source))
      .flatMap((guard): Run[] => {
        const { look } = guard
        if (look.by === 'spans') return [new SpanRun(guard, look.finders)]
        return look.by === 'windows' ? [new WindowRun(guard, look, context, onProgress)] : []
      })
  }

  /** Lets every guard go as far as it can in this turn. */
  advance(pace: Pace): void {
    do {
      if (this.hasMore && !pace.isSpent) pace.spend(this.text.show())
      const isFinal = this.isFinal && this.text.isShown
      for (const run of this.runs) run.advance(this.text, isFinal, this.gate(run.guard.layer))
      this.text.forget(Math.min(...this.runs.map(({ needs }) => needs)))
    } while (this.hasMore && !pace.isSpent)
  }

  /** Some guard has not been shown all. */
  private get hasMore(): boolean {
    return !this.text.isShown && this.runs.some((run) => !run.isOver)
  }

  close(): void {
    this.isFinal = true
    this.text.close()
  }

  /** As far as every enforcing guard has cleared the text; Infinity for all of it, whatever its length. */
  get frontier(): number {
    return this.gate(Number.POSITIVE_INFINITY)
  }

  /** The guard that stops the text first, once it is certain that none does before. */
  get stopper(): Run | undefined {
    const { frontier } = this
    return frontier === Number.POSITIVE_INFINITY ? undefined : this.runs.find((run) => run.blockedAt === frontier)
  }

  /** All of it may go out. */
  get isCleared(): boolean {
    return this.isFinal && this.frontier === Number.POSITIVE_INFINITY
  }

  /** Every guard, also those that only observe, has said all. */
  get isOver(): boolean {
    return this.isFinal && this.runs.every((run) => run.isOver || this.gate(run.guard.layer) <= run.frontier)
  }

  /** What a client is given of the stretch from `from` to `to`: its redacted spans as marks, each where it begins. */
  redacted(from: number, to: number): string {
    let out = ''
    let at = from
    const spans = this.redactions()
    for (let i = firstBehind(spans, from); i < spans.length && spans[i].start < to; i++) {
      const { start, end, label } = spans[i]
      if (start >= at) out += `${this.text.slice(at, start)}[${label.toUpperCase()}]`
      at = end
    }
    return at < to ? out + this.text.slice(at, to) : out
  }

  /** Spans to redact, overlaps melted into the first of them. */
  private redactions(): readonly Span[] {
    const redacting = this.runs.filter(({ guard }) => guard.mode === 'redact')
    const count = redacting.reduce((sum, { spans }) => sum + spans.length, 0)
    if (count !== this.melted.count) this.melted = { count, spans: melt(redacting.flatMap(({ spans }) => spans)) }
    return this.melted.spans
  }

  private gate(layer: number): number {
    let least = Number.POSITIVE_INFINITY
    for (const { guard, frontier } of this.runs) {
      if (isEnforcing(guard) && guard.layer < layer) least = Math.min(least, frontier)
    }
    return least
  }
}

function melt(found: readonly Span[]): Span[] {
  const melted: Span[] = []
  for (const span of found.toSorted(byPlace)) {
    const last = melted.at(-1)
    if (last === undefined || span.start >= last.end) melted.push(span)
    else if (span.end > last.end) melted[melted.length - 1] = { ...last, end: span.end }
  }
  return melted
}

/** The first of these spans, which are in order and apart, that ends behind `at`: arguments ask once for each string. */
function firstBehind(spans: readonly Span[], at: number): number {
  let low = 0
  let high = spans.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (spans[middle].end <= at) low = middle + 1
    else high = middle
  }
  return low
}
