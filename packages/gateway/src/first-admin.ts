import { PlumblineError } from '@plumbline/contracts'
import type { StoredKey } from '@plumbline/store'
import { createKey, type KeyRing, keepKey } from './keys.ts'

type KeepKey = (key: StoredKey) => Promise<void>

const firstAdmin = { scope: 'admin', project: 'default', isOperator: true, name: 'first', limits: {} } as const

/** The operator's own key, in force from here on. Throws ADMIN_KEY_TAKEN where it stays less, or nothing. */
export async function keepAdmin(keys: KeyRing, secret: string, keep: KeepKey): Promise<void> {
  if (keys.find(`Bearer ${secret}`) === undefined) await keep(keepKey(secret, firstAdmin))
  const found = keys.find(`Bearer ${secret}`)
  if (found?.isOperator) return
  const what =
    found === undefined
      ? 'was revoked'
      : `is known as a key of scope ${found.scope} of the project ${found.project} alone`
  throw new PlumblineError('ADMIN_KEY_TAKEN', `The key in PLUMBLINE_ADMIN_KEY ${what}.`, {
    hint: 'Set another one there: openssl rand -hex 32 makes one.',
  })
}

/** Sees to it that somebody can get in. Gives the key when it had to be made. */
export async function makeAdmin(keys: KeyRing, keep: KeepKey): Promise<string | undefined> {
  if ([...keys.all()].some(({ isOperator }) => isOperator)) return undefined
  const { secret, stored } = createKey(firstAdmin)
  await keep(stored)
  return secret
}
