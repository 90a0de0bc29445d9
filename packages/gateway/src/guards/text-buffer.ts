import { isInPair, piecesOf } from './pieces.ts'

/** How much of a text is shown at once. */
const shownChars = 2 ** 11

/** A text that grows at its end. It is shown to guards piece by piece, and only the recent part is searched. */
export class TextBuffer {
  private arrived = ''
  /** What is not shown yet, from `next` on. */
  private pieces: string[] = []
  private next = 0
  private recent = ''
  /** Where `recent` begins. */
  private base = 0
  private pendingHalf = ''

  /** Units that guards are shown. */
  get length(): number {
    return this.base + this.recent.length
  }

  /** All that can be read: the first half of a pair waits for its other half. */
  get whole(): string {
    return this.arrived
  }

  get isShown(): boolean {
    return this.next === this.pieces.length
  }

  /** Shows the next piece. Gives how long it is. */
  show(): number {
    if (this.isShown) return 0
    const piece = this.pieces[this.next++]
    if (this.isShown) {
      this.pieces = []
      this.next = 0
    }
    this.recent += piece
    return piece.length
  }

  append(text: string): void {
    const joined = this.pendingHalf + text
    const isHalf = isInPair(joined, joined.length)
    this.pendingHalf = isHalf ? joined.slice(-1) : ''
    const ready = isHalf ? joined.slice(0, -1) : joined
    this.take(ready)
  }

  /** No more is to come: a half without its other half is a character too. */
  close(): void {
    this.take(this.pendingHalf)
    this.pendingHalf = ''
  }

  private take(text: string): void {
    this.arrived += text
    for (const piece of piecesOf(text, shownChars)) this.pieces.push(piece)
  }

  /** Everything appended so far, with a half that waits. */
  get appended(): number {
    return this.arrived.length + this.pendingHalf.length
  }

  slice(from: number, to: number): string {
    if (from >= this.base && to <= this.length) return this.recent.slice(from - this.base, to - this.base)
    return this.arrived.slice(from, to)
  }

  /** The end of the text, from somewhere before `from`, for a search that looks one character back. */
  tail(from: number): { text: string; base: number } {
    if (from > 0 && from - 1 < this.base) return { text: this.arrived.slice(0, this.length), base: 0 }
    return { text: this.recent, base: this.base }
  }

  /** Nobody will search before here any more. */
  forget(before: number): void {
    const keep = Math.min(before, this.length) - 2
    if (keep - this.base < 2048) return
    this.recent = this.recent.slice(keep - this.base)
    this.base = keep
  }
}
