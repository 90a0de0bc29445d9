import type { Conversation } from '../reward-model.ts'

/** What a guard does about what it finds. `observe` only notes it. */
export type GuardMode = 'observe' | 'block' | 'redact' | 'replace'
export type Direction = 'input' | 'output'

/** Whose text it is: on input a role of the conversation, on output a field of the answer. */
export type Source = string

/** What an answer answers. */
export interface Question {
  /** The last thing the user said. */
  readonly prompt: string
  /** All of it; undefined where that is not one text. */
  readonly conversation: Conversation | undefined
}

/** What a guard may want to know beside the text. On input, where the text is the question itself, that is empty. */
export interface GuardContext extends Question {
  readonly direction: Direction
  /** Nobody waits for a verdict any more. */
  readonly isCut?: () => boolean
}

export const noQuestion: Question = { prompt: '', conversation: undefined }

export interface Judged {
  readonly isFlagged: boolean
  readonly score: number | null
  readonly label: string | null
}
export type Judge = (text: string, context: GuardContext, signal: AbortSignal) => Judged | Promise<Judged>

/** A stretch of a text, in UTF-16 units. */
export interface Span {
  readonly start: number
  readonly end: number
  readonly label: string
}

/**
 * Finds stretches. What it finds at a place depends on nothing but the match and one character around it, so that a
 * stream can be cleared piece by piece, and gives the same as the whole text.
 */
export interface SpanFinder {
  /** Longest match in UTF-16 units, Infinity where there is no bound. */
  readonly maxLength: number
  /** Whether a match can hold this character. A character that it cannot hold ends every match. */
  holds(codePoint: number): boolean
  /** The first match that starts at or after `from`; never an empty one. */
  find(text: string, from: number): Span | undefined
}

/** How a guard looks at a text, which says how much of a stream it holds back. */
export type Look =
  /** Held back: what may still become a match. */
  | { readonly by: 'spans'; readonly finders: readonly SpanFinder[] }
  /** The verdict is that of the worst window; held back: a window that has not been judged. */
  | { readonly by: 'windows'; readonly size: number; readonly stride: number; readonly judge: Judge }
  /** Held back: everything. */
  | { readonly by: 'whole'; readonly judge: Judge }

/** Right calls among texts that people labelled: found among the bad ones, passed among the good ones. */
export interface GuardCalibration {
  readonly sensitivity: { readonly estimate: number; readonly low: number; readonly high: number; readonly n: number }
  readonly specificity: { readonly estimate: number; readonly low: number; readonly high: number; readonly n: number }
  readonly dataset: string
  readonly date: string
}

export interface Guard {
  readonly name: string
  /** Changes with everything that can change a verdict. */
  readonly version: string
  readonly mode: GuardMode
  readonly directions: readonly Direction[]
  readonly endpoints: readonly string[] | undefined
  /** Whose text it reads; undefined is everybody's. */
  readonly sources: readonly Source[] | undefined
  /** Lower layers look first; what they have stopped is not shown to higher ones. */
  readonly layer: number
  readonly timeoutMs: number
  readonly onError: 'allow' | 'block'
  readonly replacement: string
  readonly calibration: GuardCalibration | 'uncalibrated'
  /** The worst of its scores is the lowest. */
  readonly isLowWorse?: boolean | undefined
  readonly look: Look
}

export function isEnforcing({ mode }: Guard): boolean {
  return mode !== 'observe'
}

/** A guard that must see all of an answer before any of it may go out. */
export function holdsAll(guard: Guard): boolean {
  return isEnforcing(guard) && (guard.look.by === 'whole' || guard.mode === 'replace')
}

export function readsSource({ sources }: Guard, source: Source): boolean {
  return sources === undefined || sources.includes(source)
}
