import { randomUUID } from 'node:crypto'

/** UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance. Sorts by time. */
export function uuidv7(now: number): string {
  const time = now.toString(16).padStart(12, '0')
  // Node draws the chance of many version 4s at once; behind its version such a one is laid out alike.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
