import type { Database } from './database.ts'

export interface StoredSession {
  /** Of the secret in the cookie, hex. */
  readonly sha256: string
  readonly keyId: string
  readonly expiresAt: string
}

export interface Sessions {
  /** Adds one. A key has so many at the most: the oldest go. */
  insert(session: StoredSession, now: string): Promise<void>
  /** One that has not expired. */
  find(sha256: string, now: string): Promise<StoredSession | undefined>
  remove(sha256: string): Promise<void>
}

const maxPerKey = 20

export function createSessions(database: Database): Sessions {
  return {
    insert: async ({ sha256, keyId, expiresAt }, now) => {
      await database.transaction(async (queries) => {
        await queries.query(
          `insert into plumbline.sessions (sha256, key_id, created_at, expires_at)
          values ($1, $2, $3::timestamptz, $4::timestamptz)`,
          [sha256, keyId, now, expiresAt],
        )
        await queries.query(
          `delete from plumbline.sessions where expires_at <= $2::timestamptz or sha256 in
            (select sha256 from plumbline.sessions where key_id = $1 order by created_at desc, sha256 offset ${maxPerKey})`,
          [keyId, now],
        )
      })
    },
    find: async (sha256, now) => {
      const [row] = await database.query(
        `select sha256, key_id, expires_at::text as expires_at from plumbline.sessions
        where sha256 = $1 and expires_at > $2::timestamptz`,
        [sha256, now],
      )
      if (row === undefined) return undefined
      const expiresAt = new Date(String(row.expires_at)).toISOString()
      return { sha256: String(row.sha256), keyId: String(row.key_id), expiresAt }
    },
    remove: async (sha256) => {
      await database.query('delete from plumbline.sessions where sha256 = $1', [sha256])
    },
  }
}
