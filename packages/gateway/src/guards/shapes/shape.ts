import { asArray, asObject, type Json } from '../../answer.ts'

/** What no guard could read: it must not pass. */
export class UnknownShape extends Error {
  override readonly name = 'UnknownShape'
}

export type Mutable = Record<string, unknown>

/**
 * One internal form of everything that a model says, whatever the endpoint: texts of a choice, each with a name, whose
 * pieces come in events. A body in one piece is a single event.
 */
export interface Piece {
  readonly choice: number
  readonly name: string
  readonly source: 'text' | 'reasoning' | 'refusal' | 'call'
  /** Where the text stands among those of its choice in a whole answer: behind all of a lower rank. */
  readonly rank: number
  readonly text: string
  /** The text again, whole, as some events close with. */
  readonly isRepeat?: boolean
  /** Puts what the client is to be given in the place of the text. */
  set(text: string): void
}

/** A piece of a call of a tool, which is given whole or not at all. */
export interface CallPiece {
  readonly choice: number
  /** The call: its pieces are put together under this name. */
  readonly name: string
  readonly part: 'name' | 'arguments'
  readonly text: string
  readonly isRepeat?: boolean
  set(text: string): void
}

/** The end of a choice. */
export interface Finish {
  readonly choice: number
  /** Says that a filter ended it, with `replacement` as its text where no text of its own could be replaced. */
  block(replacement: string | undefined): void
}

/** One event, or body, taken apart. Its closures change `json`. */
export interface ShapedEvent {
  readonly json: Mutable
  readonly pieces: readonly Piece[]
  readonly calls: readonly CallPiece[]
  readonly finishes: readonly Finish[]
  /** Takes the calls of a stopped choice out. */
  dropCalls(choice: number): void
  /** Whether, with its texts emptied and its calls gone, nothing is left to send. */
  isHollow(): boolean
  /** Anything that could hold text and was not read has been taken out. */
  readonly isPruned: boolean
  /** It is not sent on. */
  readonly isDropped?: boolean
}

/** In this order the texts of a message stand in it. */
export const ranks = { reasoning: 0, text: 1, refusal: 2 }

/** How the answers of one endpoint are read. Both throw UnknownShape. */
export interface Shape {
  readEvent(json: Mutable): ShapedEvent
  readWhole(json: Mutable): ShapedEvent
}

/** Collects the parts of an event. */
export function createParts(json: Mutable) {
  return {
    json,
    pieces: [] as Piece[],
    calls: [] as CallPiece[],
    finishes: [] as Finish[],
    isPruned: false,
    dropped: [] as ((choice: number) => void)[],
  }
}
export type Parts = ReturnType<typeof createParts>

/** What Azure's own filter says, of which some has no text beside it. */
const filterFields = ['prompt_filter_results', 'content_filter_results', 'content_filter_offsets']

/**
 * Takes out what is neither `holder`, in which the text is, nor on the list: it could hold text that nobody reads. Where
 * there is no `holder` it could be the text itself, and is refused.
 */
export function keepBeside(holder: string, parts: Parts, object: Mutable, known: ReadonlySet<string>, where: string) {
  if (object[holder] === undefined || object[holder] === null) {
    knowAll(object, new Set([holder, ...known, ...filterFields]), `${where} without ${holder}`)
  }
  for (const key of Object.keys(object)) {
    if (key === holder || known.has(key)) continue
    delete object[key]
    parts.isPruned = true
  }
}

/** Refuses an object with a field that is not known, unless it is empty. */
export function knowAll(object: Json, known: ReadonlySet<string>, where: string): void {
  for (const [key, value] of Object.entries(object)) {
    if (known.has(key) || isEmpty(value)) continue
    throw new UnknownShape(`${where} has a field ${key.slice(0, 60)} that the guards cannot read`)
  }
}

export function isEmpty(value: unknown): boolean {
  return (
    value === null ||
    value === undefined ||
    value === '' ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
  )
}

export function objects(value: unknown, where: string): Mutable[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || value.some((item) => asObject(item) !== item))
    throw new UnknownShape(`${where} is no list of objects`)
  return asArray(value) as Mutable[]
}

export function objectOf(value: unknown, where: string): Mutable {
  if (asObject(value) !== value) throw new UnknownShape(`${where} is no object`)
  return value as Mutable
}

export function textOf(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return value
  throw new UnknownShape(`${where} is no text`)
}

/** Empty where it is no text: JSON has objects that cannot become one. */
export function typeOf({ type }: Json): string {
  return typeof type === 'string' ? type : ''
}

const maxIndex = 127

export function indexOf(value: unknown, fallback: number, where: string): number {
  const index = value ?? fallback
  if (Number.isInteger(index) && (index as number) >= 0 && (index as number) <= maxIndex) return index as number
  throw new UnknownShape(`${where} is no index`)
}

/** What puts another text in the place of one. */
export function setter(holder: object, key: string | number): (text: string) => void {
  return (text) => {
    ;(holder as Record<string | number, unknown>)[key] = text
  }
}
