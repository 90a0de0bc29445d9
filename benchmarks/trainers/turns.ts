/** The near end of `line-process.ts`: in a process that does nothing but wait when it is not asked. */
import { readSync, writeSync } from 'node:fs'

/** What a trainer tells of the steps that it was asked for. */
export interface Turn {
  /** From the request to the end of the last step. */
  readonly seconds: number
  /** Real ones, without padding. */
  readonly tokens: number
  /** Of the process since its start. */
  readonly peak_bytes: number
  /** Of the last step, by TRL's names. */
  readonly metrics: Readonly<Record<string, number>>
}

/** Waits for a request line, the event loop with it: a trainer that runs stands still. Undefined at the end of stdin. */
export function createRequests(): () => Record<string, unknown> | undefined {
  const chunk = Buffer.alloc(65_536)
  let rest = Buffer.alloc(0)
  return () => {
    for (;;) {
      const end = rest.indexOf('\n')
      if (end >= 0) {
        const line = rest.toString('utf8', 0, end)
        rest = rest.subarray(end + 1)
        return JSON.parse(line)
      }
      const count = readWaiting(chunk)
      if (count === 0) return undefined
      rest = Buffer.concat([rest, chunk.subarray(0, count)])
    }
  }
}

export function answer(value: unknown): void {
  writeSync(1, `${JSON.stringify(value)}\n`)
}

function readWaiting(chunk: Buffer): number {
  for (;;) {
    try {
      return readSync(0, chunk)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EOF') return 0
      // Pipes may be opened so that they do not wait by themselves.
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}
