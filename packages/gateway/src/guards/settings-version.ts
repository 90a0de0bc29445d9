import { createHash } from 'node:crypto'

/** A guard's version: that of its code, and a hash of everything it is set to. */
export function settingsVersion(code: string, settings: unknown): string {
  return `${code}-${createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 8)}`
}
