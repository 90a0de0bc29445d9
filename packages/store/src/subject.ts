import { randomBytes } from 'node:crypto'
import type { Queries } from './database.ts'
import { hmacSha256 } from './hmac.ts'

/** Turns a caller's name of a person into what is kept of it. Equal for equal people of one project, else unlike. */
export type SubjectHasher = (project: string, name: string) => string

/**
 * HMAC-SHA256 under a secret of this store: without the secret nobody can try names against the hashes, as anybody can
 * with a plain hash of an e-mail address. The project is part of it, so that two tenants cannot compare their people.
 */
export function createSubjectHasher(secret: Buffer): SubjectHasher {
  const hash = hmacSha256(secret)
  return (project, name) => hash(`${project}\n${name}`)
}

/** The secret of this store, made when there is none. */
export async function readSubjectSecret(queries: Queries): Promise<Buffer> {
  await queries.query('insert into plumbline.subject_secret (secret) values ($1) on conflict (is_only) do nothing', [
    randomBytes(32).toString('hex'),
  ])
  const [row] = await queries.query('select secret from plumbline.subject_secret')
  return Buffer.from(String(row.secret), 'hex')
}
