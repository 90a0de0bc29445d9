import { StringDecoder } from 'node:string_decoder'

/** A longer event is not read; the stream goes on without being read. */
const maxEventChars = 8 * 2 ** 20

/**
 * Splits a stream of server-sent events (WHATWG), cut anywhere, also in the middle of a character. Each byte is looked
 * at once, however long an event is.
 */
export class SseReader {
  private readonly decoder = new StringDecoder('utf8')
  private readonly onEvent: (data: string, event: string) => void
  /** Pieces of the line that has not ended yet. */
  private line: string[] = []
  private data: string[] = []
  private event = ''
  /** Characters since the last event, each counted once. */
  private size = 0
  private isAfterCr = false
  /** An event was too long: nothing behind it was read. */
  isOverflown = false

  constructor(onEvent: (data: string, event: string) => void) {
    this.onEvent = onEvent
  }

  /** Between two events: something may be put in here without breaking one. */
  get isAtBoundary(): boolean {
    return this.line.length === 0 && this.data.length === 0 && this.event === ''
  }

  push(chunk: Buffer): void {
    if (this.isOverflown) return
    const text = this.decoder.write(chunk)
    let from = 0
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code === 10 && this.isAfterCr && i === from) {
        // The second half of CR LF.
        from = i + 1
        this.isAfterCr = false
        continue
      }
      if (code !== 10 && code !== 13) continue
      this.size += i - from
      this.endLine(text.slice(from, i))
      from = i + 1
      this.isAfterCr = code === 13
    }
    if (from < text.length) {
      this.line.push(text.slice(from))
      this.size += text.length - from
      this.isAfterCr = false
    }
    if (this.size > maxEventChars) this.isOverflown = true
  }

  private endLine(tail: string): void {
    const line = this.line.length === 0 ? tail : this.line.join('') + tail
    this.line = []
    if (line === '') {
      this.endEvent()
      return
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') this.data.push(value)
    else if (field === 'event') this.event = value
  }

  private endEvent(): void {
    const { data, event } = this
    this.data = []
    this.event = ''
    this.size = 0
    if (data.length > 0) this.onEvent(data.length === 1 ? data[0] : data.join('\n'), event)
  }
}
