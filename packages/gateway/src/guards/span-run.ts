import type { Guard, Span, SpanFinder } from './guard.ts'
import type { Run } from './run.ts'
import type { TextBuffer } from './text-buffer.ts'

/** Where a finder's search stands. */
interface Search {
  readonly finder: SpanFinder
  /** No start before here is open any more. */
  from: number
  /** Length of the text when it was last searched. */
  seen: number
}

/** A guard that finds stretches, on its way through one text. */
export class SpanRun implements Run {
  readonly guard: Guard
  readonly spans: Span[] = []
  frontier = 0
  blockedAt = Number.POSITIVE_INFINITY
  readonly error = null
  readonly score = null
  ms = 0
  private readonly searches: Search[]

  constructor(guard: Guard, finders: readonly SpanFinder[]) {
    this.guard = guard
    this.searches = finders.map((finder) => ({ finder, from: 0, seen: 0 }))
  }

  /** The places at which each search goes on: what lies before is needed no longer. */
  get needs(): number {
    return Math.min(...this.searches.map(({ from }) => from))
  }

  get label(): string | null {
    return this.spans.toSorted(byPlace)[0]?.label ?? null
  }

  get isFlagged(): boolean {
    return this.spans.length > 0
  }

  get isOver(): boolean {
    return this.frontier === Number.POSITIVE_INFINITY || this.blockedAt < Number.POSITIVE_INFINITY
  }

  advance(text: TextBuffer, isFinal: boolean): void {
    if (this.isOver) return
    const started = performance.now()
    for (const search of this.searches) this.search(search, text, isFinal)
    this.ms += performance.now() - started
    const reach = isFinal ? Number.POSITIVE_INFINITY : this.needs
    if (this.guard.mode === 'block' || this.guard.mode === 'replace') {
      // A search that lags behind may still find something earlier.
      const first = this.spans.reduce((least, { start }) => Math.min(least, start), Number.POSITIVE_INFINITY)
      if (first < reach) this.blockedAt = first
    }
    this.frontier = Math.min(reach, this.blockedAt)
  }

  private search(search: Search, text: TextBuffer, isFinal: boolean): void {
    const { finder } = search
    if (!isFinal && isTooSoon(search, text.length)) return
    search.seen = text.length
    const { text: tail, base } = text.tail(search.from)
    // Starts before here are settled: no text to come can change what they match.
    const settled = isFinal ? text.length + 1 : base + settledBefore(finder, tail, search.from - base)
    while (search.from < settled) {
      const found = finder.find(tail, search.from - base)
      if (found === undefined || found.start + base >= settled) {
        search.from = settled
        return
      }
      this.spans.push({ ...found, start: found.start + base, end: found.end + base })
      search.from = found.end + base
    }
  }
}

export function byPlace(a: Span, b: Span): number {
  return a.start - b.start || a.end - b.end
}

/** A long open stretch is not searched anew for every character that comes. */
function isTooSoon({ from, seen }: Search, length: number): boolean {
  return length - seen < (seen - from) / 8 - 32
}

/** The first start, not before `from`, whose match could change with what is still to come. */
function settledBefore({ maxLength, holds }: SpanFinder, tail: string, from: number): number {
  const byLength = tail.length - maxLength
  // Back over the characters that a match can hold; the one before them ends every match that began earlier.
  let start = tail.length
  const lowest = Math.max(from, byLength)
  while (start > lowest) {
    const unit = tail.charCodeAt(start - 1)
    const isPair = unit >= 0xdc00 && unit <= 0xdfff && start >= 2
    const character = isPair ? tail.codePointAt(start - 2)! : unit
    const width = character > 0xffff ? 2 : 1
    if (!holds(character)) break
    start -= width
  }
  return Math.max(start, from, byLength)
}
