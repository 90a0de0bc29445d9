import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { KeyLimits, KeyScope } from '@plumbline/contracts'
import type { Store, StoredKey } from '@plumbline/store'

/**
 * Keys are 32 random bytes, so a plain SHA-256 hides them as well as a slow hash would; what the store holds opens
 * nothing.
 */
export interface NewKey {
  /** Shown once, kept nowhere. */
  readonly secret: string
  readonly stored: StoredKey
}

interface KeyFacts {
  readonly scope: KeyScope
  readonly project: string
  readonly isOperator: boolean
  readonly name: string
  readonly limits: KeyLimits
}

export function createKey(facts: KeyFacts): NewKey {
  const secret = `plk_${randomBytes(32).toString('base64url')}`
  return { secret, stored: { id: keyId(), sha256: hashKey(secret), ...facts } }
}

/** A key that somebody else made up, as the administrator's own may be. */
export function keepKey(secret: string, facts: KeyFacts): StoredKey {
  return { id: keyId(), sha256: hashKey(secret), ...facts }
}

function keyId(): string {
  return `key_${randomBytes(9).toString('base64url')}`
}

/** As hexadecimal digits, which Node gives in a third of the time that a buffer takes. */
function hashKey(secret: string): string {
  return hash('sha256', secret, 'hex')
}

const bearer = /^Bearer +([\x21-\x7e]{1,512})$/i
const hexDigits = 64
const nobody = { hash: Buffer.alloc(hexDigits), key: undefined }

/** The keys that are good now, in memory: a request never waits for the store, nor depends on it. */
export interface KeyRing {
  /** Who asks, from the Authorization header. */
  find(authorization: string | undefined): StoredKey | undefined
  /** Reads the store anew; what is in memory stays good while the store is away. */
  refresh(): Promise<void>
  add(key: StoredKey): void
  remove(id: string): void
  all(): Iterable<StoredKey>
}

export function createKeyRing(store: Pick<Store, 'listKeys'>): KeyRing {
  // Found by the first half of the hash, which nobody can steer; the whole is compared in constant time.
  let byPrefix = new Map<string, { readonly hash: Buffer; readonly key: StoredKey }>()
  let changes = 0
  const entry = (key: StoredKey) =>
    [key.sha256.slice(0, hexDigits / 2), { hash: Buffer.from(key.sha256), key }] as const
  const asked = Buffer.alloc(hexDigits)
  return {
    find: (authorization) => {
      const [, secret] = bearer.exec(authorization ?? '') ?? []
      if (secret === undefined) return undefined
      const sha256 = hashKey(secret)
      const candidate = byPrefix.get(sha256.slice(0, hexDigits / 2)) ?? nobody
      asked.write(sha256, 'latin1')
      return timingSafeEqual(asked, candidate.hash) ? candidate.key : undefined
    },
    refresh: async () => {
      const before = changes
      const fresh = new Map((await store.listKeys()).map(entry))
      // A key that came or went while the store was read: the next refresh has it.
      if (changes === before) byPrefix = fresh
    },
    add: (key) => {
      changes++
      byPrefix.set(...entry(key))
    },
    remove: (id) => {
      changes++
      byPrefix = new Map([...byPrefix].filter(([, { key }]) => key.id !== id))
    },
    all: () => [...byPrefix.values()].map(({ key }) => key),
  }
}
