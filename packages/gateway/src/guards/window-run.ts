import { type Guard, type GuardContext, isEnforcing, type Look, type Span } from './guard.ts'
import { isInPair } from './pieces.ts'
import { type Asked, ask, type Run, stops } from './run.ts'
import type { TextBuffer } from './text-buffer.ts'

const noSpans: readonly Span[] = []

/**
 * A guard that judges windows, on its way through one text. The windows lie at fixed places of the text, every `stride`
 * units, so it is of no matter in which pieces the text came.
 */
export class WindowRun implements Run {
  readonly guard: Guard
  readonly spans = noSpans
  frontier = 0
  blockedAt = Number.POSITIVE_INFINITY
  isFlagged = false
  label: string | null = null
  score: number | null = null
  error: string | null = null
  ms = 0
  private readonly look: Extract<Look, { by: 'windows' }>
  private readonly context: GuardContext
  private readonly onProgress: () => void
  private isAsking = false
  private isEnded = false

  constructor(guard: Guard, look: Extract<Look, { by: 'windows' }>, context: GuardContext, onProgress: () => void) {
    this.guard = guard
    this.look = look
    this.context = context
    this.onProgress = onProgress
  }

  get needs(): number {
    return this.isOver ? Number.POSITIVE_INFINITY : this.frontier
  }

  get isOver(): boolean {
    return this.isEnded || this.blockedAt < Number.POSITIVE_INFINITY
  }

  /** Judges every window that is whole and begins before `gate`, one after the other. */
  advance(text: TextBuffer, isFinal: boolean, gate: number): void {
    while (!this.isAsking && !this.isOver && this.context.isCut?.() !== true) {
      const start = this.frontier
      if (gate <= start) return
      const end = evenEnd(text, start + this.look.size)
      const isLast = end >= text.length
      if (isLast && !isFinal) return
      if (start >= text.length) {
        this.finish()
        return
      }
      this.judge(text.slice(start, end), isLast, evenEnd(text, start + this.look.stride))
    }
  }

  private judge(window: string, isLast: boolean, next: number): void {
    const started = performance.now()
    const asked = ask(this.guard, this.look.judge, window, this.context)
    const take = (answer: Asked) => {
      this.ms += performance.now() - started
      this.take(answer, isLast, next)
    }
    if (!(asked instanceof Promise)) {
      take(asked)
      return
    }
    this.isAsking = true
    void asked.then((answer) => {
      this.isAsking = false
      take(answer)
      this.onProgress()
    })
  }

  private take(asked: Asked, isLast: boolean, next: number): void {
    if ('error' in asked) this.error ??= asked.error
    else {
      const isWorse = asked.score !== null && asked.score > (this.score ?? Number.NEGATIVE_INFINITY)
      if (asked.isFlagged && (isWorse || this.label === null)) this.label = asked.label
      if (isWorse) this.score = asked.score
      this.isFlagged ||= asked.isFlagged
    }
    if (isEnforcing(this.guard) && stops(this.guard, asked)) {
      this.blockedAt = this.frontier
      return
    }
    if (isLast) this.finish()
    else this.frontier = next
  }

  private finish(): void {
    this.isEnded = true
    this.frontier = Number.POSITIVE_INFINITY
  }
}

/** Windows do not end between the halves of a pair. */
function evenEnd(text: TextBuffer, at: number): number {
  if (at <= 0 || at >= text.length) return at
  return isInPair(text.slice(at - 1, at), 1) ? at + 1 : at
}
