import { setTimeout as sleep } from 'node:timers/promises'
import type { Spool } from './spool.ts'

export const numbers = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => Buffer.from(String(from + i)))

export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(5)
}

/** Reads and commits until nothing is left. */
export async function drain(spool: Spool, maxBytes = 1000): Promise<string[]> {
  const found: string[] = []
  for (;;) {
    const batch = await spool.read(maxBytes)
    if (batch.payloads.length === 0) return found
    found.push(...batch.payloads.map((payload) => Buffer.from(payload).toString()))
    await batch.commit()
  }
}
