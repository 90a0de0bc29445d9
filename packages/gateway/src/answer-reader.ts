import type { IncomingHttpHeaders } from 'node:http'
import type { Termination } from '@plumbline/contracts'
import { type Answer, asObject, createAnswer } from './answer.ts'
import type { Endpoint } from './endpoints.ts'
import { joinChunks } from './request-body.ts'
import { SseReader } from './sse.ts'

/** More of an answer in one piece is sent on, and not read for the record. */
const maxWholeBytes = 16 * 2 ** 20

/** Reads an answer along as its bytes pass. */
export class AnswerReader {
  readonly answer: Answer = createAnswer()
  readonly isEventStream: boolean
  bytes = 0
  private readonly endpoint: Endpoint | undefined
  private readonly sse: SseReader | undefined
  private whole: Buffer[] | undefined
  private readonly declaredBytes: number

  constructor(endpoint: Endpoint | undefined, headers: IncomingHttpHeaders, onEvent: () => void) {
    this.endpoint = endpoint
    const encoding = headers['content-encoding'] ?? 'identity'
    this.isEventStream = /^text\/event-stream\b/i.test(String(headers['content-type'] ?? ''))
    this.declaredBytes = Number(headers['content-length'] ?? Number.POSITIVE_INFINITY)
    if (encoding !== 'identity') this.answer.notes.add(`the answer, as it is encoded with ${encoding}`)
    else if (!this.isEventStream) this.whole = []
    else {
      this.sse = new SseReader((data) => {
        onEvent()
        this.readEvent(data)
      })
    }
  }

  push(chunk: Buffer): void {
    this.bytes += chunk.length
    this.sse?.push(chunk)
    if (this.whole === undefined) return
    if (this.bytes <= maxWholeBytes) this.whole.push(chunk)
    else {
      this.whole = undefined
      this.answer.notes.add(`the answer, as it is larger than ${maxWholeBytes} bytes`)
    }
  }

  /** No more is to come, or nothing that matters. */
  get isAtEnd(): boolean {
    return this.answer.isEnded || this.bytes >= this.declaredBytes
  }

  /** Whether an event of ours can follow what has been sent. */
  get isBetweenEvents(): boolean {
    return this.sse?.isAtBoundary === true && !this.sse.isOverflown
  }

  /** How an answer that came to its end in good order is called. */
  judgeEnd(): Termination {
    const { answer } = this
    if (!this.readWhole()) return 'upstream_invalid'
    if (answer.error !== undefined) return 'upstream_error'
    if (this.sse === undefined || answer.isEnded) return 'completed'
    // Some servers leave the end mark out: an answer whose choices all gave their reason is whole.
    const choices = [...answer.choices.values()]
    const isWhole = choices.length > 0 && choices.every(({ finish_reason }) => finish_reason !== null)
    return isWhole ? 'completed' : 'upstream_incomplete'
  }

  /** What the record must say that it lacks. */
  notes(): string[] {
    const overflow = this.sse?.isOverflown ? ['an event that is too long, and what came after it'] : []
    return [...this.answer.notes, ...overflow]
  }

  private readEvent(data: string): void {
    if (data === '[DONE]') {
      this.answer.isEnded = true
      return
    }
    try {
      this.endpoint?.readEvent(this.answer, asObject(JSON.parse(data)))
    } catch {
      this.answer.notes.add('an event that is not JSON')
    }
  }

  /** False when what came in one piece is no answer of the endpoint, nor an error. */
  private readWhole(): boolean {
    if (this.whole === undefined || this.endpoint === undefined) return true
    try {
      const json = asObject(JSON.parse(joinChunks(this.whole).toString('utf8')))
      return this.endpoint.readWhole(this.answer, json) || this.answer.error !== undefined
    } catch {
      return false
    }
  }
}
