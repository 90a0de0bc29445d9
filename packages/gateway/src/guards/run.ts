import type { Guard, GuardContext, Judge, Judged, Span } from './guard.ts'
import type { TextBuffer } from './text-buffer.ts'

/** One guard on its way through one text. */
export interface Run {
  readonly guard: Guard
  readonly spans: readonly Span[]
  /** All before here is cleared by this guard; at a block it stays where the block is. */
  readonly frontier: number
  /** Where what it blocks begins, Infinity while there is nothing. */
  readonly blockedAt: number
  readonly isFlagged: boolean
  /** It has nothing more to say about this text. */
  readonly isOver: boolean
  readonly label: string | null
  readonly score: number | null
  readonly error: string | null
  readonly ms: number
  /** Text before here is not searched any more. */
  readonly needs: number
  /** Goes on as far as it can. `gate` is how far the layers below have cleared the text. */
  advance(text: TextBuffer, isFinal: boolean, gate: number): void
}

/** What became of asking a judge: its word, or why there is none. */
export type Asked = Judged | { readonly error: string }

/** Asks a judge and waits no longer than the guard says. Gives its word at once where it has it at once. */
export function ask(guard: Guard, judge: Judge, text: string, context: GuardContext): Asked | Promise<Asked> {
  const controller = new AbortController()
  try {
    const judged = judge(text, context, controller.signal)
    if (!(judged instanceof Promise)) return judged
    return withTimeout(judged, guard.timeoutMs, controller)
  } catch (error) {
    return { error: reasonOf(error) }
  }
}

async function withTimeout(judged: Promise<Judged>, timeoutMs: number, controller: AbortController): Promise<Asked> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Asked>((resolve) => {
    timer = setTimeout(() => {
      resolve({ error: `no verdict within ${timeoutMs} ms` })
      controller.abort()
    }, timeoutMs)
  })
  try {
    return await Promise.race([judged, late])
  } catch (error) {
    return { error: reasonOf(error) }
  } finally {
    clearTimeout(timer)
  }
}

/** A verdict is a closed form: an error's text, and nothing that hangs on it. */
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 200)
}

/** Whether what was asked stops the text. */
export function stops(guard: Guard, asked: Asked): boolean {
  return 'error' in asked ? guard.onError === 'block' : asked.isFlagged
}
