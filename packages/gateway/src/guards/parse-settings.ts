import { PlumblineError } from '@plumbline/contracts'
import type { z } from 'zod'

/** What a configuration says, or one error that names the place. */
export function parseSettings<T>(schema: z.ZodType<T>, value: unknown, place: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const path = issue.path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
  throw wrongGuard(`${place}${path.replace(/^\.guards/, '')}`, issue.message)
}

export function wrongGuard(place: string, reason: string, hint?: string): PlumblineError {
  return new PlumblineError('GUARD_CONFIG', `${place}: ${reason}.`, {
    hint: hint ?? 'The kinds of guards and their settings are in packages/gateway/README.md.',
  })
}
