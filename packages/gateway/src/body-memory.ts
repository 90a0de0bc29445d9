import { RequestError } from './openai-error.ts'

/** What one request takes of the memory for bodies. */
export interface BodyMemory {
  /** Throws a RequestError (503) when there is no room for so many bytes more. */
  take(bytes: number): void
  /** All that it has taken is free again. */
  free(): void
}

/**
 * The bodies of all requests together, from their first byte to the end of their answers: many large ones at a time, sent
 * slowly, would else take any amount of memory.
 */
export function createBodyMemory(maxBytes: () => number): () => BodyMemory {
  let used = 0
  return () => {
    let own = 0
    return {
      take: (bytes) => {
        if (used + bytes > maxBytes()) {
          const message = 'Too much is being sent to the gateway at the moment.'
          throw new RequestError(503, 'overloaded', message, { headers: { 'retry-after': '1' } })
        }
        used += bytes
        own += bytes
      },
      free: () => {
        used -= own
        own = 0
      },
    }
  }
}
