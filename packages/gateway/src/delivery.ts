import type { ServerResponse } from 'node:http'

export interface DeliveryListener {
  /** The client went away before its answer was whole. */
  onAbort(): void
  /** The client takes more again. */
  onDrain(): void
}

/** An answer of ours in place of an upstream's. */
export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** The client's side of an exchange: what it is sent, and whether it reads. */
export class Delivery {
  private readonly res: ServerResponse
  private readonly listener: DeliveryListener
  private head: { status: number; headers: string[] } | undefined
  private held: Buffer[] = []
  private readonly stallMs: number
  private stallTimer: NodeJS.Timeout | undefined
  private markDone = () => {}
  heldBytes = 0
  /** It was sent more than it has read. */
  isWaiting = false
  /** What the client was given; null before that. */
  status: number | null = null
  /** Resolves when the client has its answer, or is gone. */
  readonly done = new Promise<void>((resolve) => {
    this.markDone = resolve
  })

  /** `stallMs`: a client that takes nothing of the end of its answer for so long is cut off. */
  constructor(res: ServerResponse, listener: DeliveryListener, stallMs: number) {
    this.res = res
    this.listener = listener
    this.stallMs = stallMs
    res.on('close', () => {
      clearTimeout(this.stallTimer)
      if (!res.writableFinished) listener.onAbort()
      this.markDone()
    })
  }

  /** Whether a byte has gone out: from then on there is no other answer. */
  get isBegun(): boolean {
    return this.res.headersSent
  }

  /** What was to be sent is void. */
  forget(): void {
    this.head = undefined
    this.held = []
    this.heldBytes = 0
  }

  /** `headers`, in pairs, go out with the first byte of the body, so that until then another upstream may be asked. */
  begin(status: number, headers: string[]): void {
    this.head = { status, headers }
  }

  write(chunk: Buffer): void {
    this.sendHead()
    if (this.res.write(chunk) || this.isWaiting) return
    this.isWaiting = true
    this.res.once('drain', () => {
      this.isWaiting = false
      this.listener.onDrain()
    })
  }

  /** Keeps what is to go out last, of all that comes so at most `most` pieces: those before them go out. */
  hold(chunk: Buffer, most = Number.POSITIVE_INFINITY): void {
    this.held.push(chunk)
    this.heldBytes += chunk.length
    while (this.held.length > most) {
      const first = this.held.shift()!
      this.heldBytes -= first.length
      if (!this.res.destroyed) this.write(first)
    }
  }

  /** The end of an answer, with what was held. */
  end(): void {
    if (this.isGone()) return
    this.sendHead()
    this.sendLast(slices(this.held))
  }

  /** An answer of ours, when nothing has gone out yet. */
  reply({ status, headers, body }: Reply): void {
    if (this.isGone()) return
    this.status = status
    this.res.writeHead(status, { 'content-type': 'application/json', ...headers, 'content-length': body.length })
    this.sendLast(slices([body]))
  }

  /** An answer that will not become whole: with a last event that says so, or a broken connection. */
  breakOff(event: string | undefined): void {
    if (this.isGone()) return
    if (event === undefined) this.res.destroy()
    else this.sendLast(slices([Buffer.from(event)]))
  }

  /** Nothing follows: only the client's reading is waited for, one piece after the other. */
  private sendLast(pieces: readonly Buffer[]): void {
    clearTimeout(this.stallTimer)
    const waitsFor = pieces.slice(0, -1).findIndex((piece) => !this.res.write(piece))
    if (waitsFor >= 0) this.res.once('drain', () => this.sendLast(pieces.slice(waitsFor + 1)))
    else this.res.end(pieces.at(-1))
    // What the system has taken already is not waited for.
    if (this.res.socket?.writableLength !== 0) this.stallTimer = setTimeout(() => this.res.destroy(), this.stallMs)
  }

  private sendHead(): void {
    if (this.head === undefined || this.isBegun) return
    this.status = this.head.status
    this.res.writeHead(this.head.status, this.head.headers)
  }

  private isGone(): boolean {
    if (this.res.destroyed) this.markDone()
    return this.res.destroyed
  }
}

const sliceBytes = 64 * 2 ** 10

/** Pieces small enough that a slow client takes one before it looks like one that has stopped reading. */
function slices(chunks: readonly Buffer[]): readonly Buffer[] {
  if (chunks.every(({ length }) => length <= sliceBytes)) return chunks
  return chunks.flatMap((chunk) => {
    const count = Math.ceil(chunk.length / sliceBytes)
    return Array.from({ length: count }, (_, i) => chunk.subarray(i * sliceBytes, (i + 1) * sliceBytes))
  })
}
