/** A text that grows at its end, of which only the recent part is searched. */
export class TextBuffer {
  private whole = ''
  private recent = ''
  /** Where `recent` begins. */
  private base = 0
  private pendingHalf = ''

  /** Units that can be read: the first half of a pair waits for its other half. */
  get length(): number {
    return this.whole.length
  }

  append(text: string): void {
    const joined = this.pendingHalf + text
    const last = joined.charCodeAt(joined.length - 1)
    const isHalf = last >= 0xd800 && last <= 0xdbff
    this.pendingHalf = isHalf ? joined.slice(-1) : ''
    const ready = isHalf ? joined.slice(0, -1) : joined
    this.whole += ready
    this.recent += ready
  }

  /** No more is to come: a half without its other half is a character too. */
  close(): void {
    this.whole += this.pendingHalf
    this.recent += this.pendingHalf
    this.pendingHalf = ''
  }

  /** Everything appended so far, with a half that waits. */
  get appended(): number {
    return this.whole.length + this.pendingHalf.length
  }

  slice(from: number, to: number): string {
    if (from >= this.base) return this.recent.slice(from - this.base, to - this.base)
    return this.whole.slice(from, to)
  }

  /** The end of the text, from somewhere before `from`, for a search that looks one character back. */
  tail(from: number): { text: string; base: number } {
    if (from > 0 && from - 1 < this.base) return { text: this.whole, base: 0 }
    return { text: this.recent, base: this.base }
  }

  /** Nobody will search before here any more. */
  forget(before: number): void {
    const keep = Math.min(before, this.whole.length) - 2
    if (keep - this.base < 2048) return
    this.recent = this.recent.slice(keep - this.base)
    this.base = keep
  }
}
