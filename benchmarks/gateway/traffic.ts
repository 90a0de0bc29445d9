/** What goes over the lines, known to the load generator, the upstream and the figures. */

/** Bytes of a whole answer. */
export const answerSize = { small: 1024, large: 2048 } as const
/** Of a streamed answer, and the time before each. */
export const events = 50
export const spacingMs = 10

/** A request of 2 KB for an answer of so many bytes. */
export function requestBody(size: number): string {
  const body = (content: string) => JSON.stringify({ model: `answer-${size}`, messages: [{ role: 'user', content }] })
  return body('q'.repeat(2048 - body('').length))
}

export const streamBody = JSON.stringify({
  model: 'answer-1024',
  stream: true,
  messages: [{ role: 'user', content: 'q'.repeat(1900) }],
})

/** Microseconds of the machine's steady clock, the same in every process. */
export const monotonicUs = () => Number(process.hrtime.bigint() / 1000n)

export interface Target {
  /** Of the server, without a path. */
  readonly origin: string
  readonly headers: Readonly<Record<string, string>>
}

/** What open-loop load came to. Milliseconds count from when a request was due, whenever it could be sent. */
export interface OpenLoopAnswer {
  readonly p50: number
  readonly p99: number
  readonly sent: number
  /** Answers a second; well below the rate asked for, the machine could not keep up. */
  readonly achievedRate: number
  readonly failed: number
  /** How many failed with which status, or error. */
  readonly failures: Readonly<Record<string, number>>
  /** x-request-id of the whole answers, where asked for. */
  readonly ids: readonly string[]
}

export interface ClosedLoopAnswer {
  readonly answered: number
  readonly failed: number
  readonly seconds: number
  readonly ids: readonly string[]
}

/** Medians in milliseconds. */
export interface StreamsAnswer {
  readonly firstMs: number
  /** From the upstream's sending of an event after the first to its arrival. */
  readonly nextMs: number
  readonly failed: number
}
