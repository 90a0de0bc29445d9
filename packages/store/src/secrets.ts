import type { Queries } from './database.ts'

/** What signs tokens. The newest of its purpose signs; older ones still check. */
export interface StoredSecret {
  readonly id: string
  readonly purpose: string
  /** base64url */
  readonly secret: string
  /** ISO 8601 in UTC. */
  readonly createdAt: string
}

export async function insertSecret(queries: Queries, { id, purpose, secret, createdAt }: StoredSecret): Promise<void> {
  await queries.query(
    'insert into plumbline.secrets (id, purpose, secret, created_at) values ($1, $2, $3, $4::timestamptz)',
    [id, purpose, secret, createdAt],
  )
}

export async function listSecrets(queries: Queries, purpose: string): Promise<StoredSecret[]> {
  const rows = await queries.query(
    `select id, secret, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created
    from plumbline.secrets where purpose = $1 order by created_at, id`,
    [purpose],
  )
  return rows.map((row) => ({
    id: String(row.id),
    purpose,
    secret: String(row.secret),
    createdAt: String(row.created),
  }))
}
