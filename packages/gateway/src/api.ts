import type { IncomingMessage, ServerResponse } from 'node:http'
import { newKeySchema, PlumblineError } from '@plumbline/contracts'
import type { Store, StoredKey } from '@plumbline/store'
import { z } from 'zod'
import type { FeedbackTokens } from './feedback-token.ts'
import { createKey, type KeyRing } from './keys.ts'
import { RequestError, sendJson } from './openai-error.ts'
import { parseObject, readBody } from './request-body.ts'

/** The administrator's part: /api/… */
export interface ApiParts {
  readonly store: Store
  readonly keys: KeyRing
  readonly feedback: FeedbackTokens
  /** Reads the configuration anew. Throws what is wrong with it. */
  readonly reload: () => Promise<{ readonly config: string }>
  readonly now: () => number
}

const maxBodyBytes = 16 * 1024

const pageSchema = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z
    .string()
    .regex(/^\d{1,18}$/, 'after is the "next" of the page before')
    .optional(),
})

/** Answers a request of an administrator; false when there is no such path. */
export async function serveApi(
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
  admin: StoredKey,
  parts: ApiParts,
): Promise<boolean> {
  const { pathname } = url
  const one = /^\/api\/keys\/(key_[\w-]{1,64})$/.exec(pathname)
  if (pathname === '/api/interactions') await listInteractions(req, res, url, admin, parts)
  else if (pathname === '/api/keys') await makeKey(req, res, admin, parts)
  else if (one !== null) await revokeKey(req, res, one[1], admin, parts)
  else if (pathname === '/api/reload') await reload(req, res, admin, parts)
  else if (pathname === '/api/feedback-secrets') await rotateSecret(req, res, admin, parts)
  else return false
  return true
}

async function listInteractions(
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
  admin: StoredKey,
  { store }: ApiParts,
) {
  allow(req, 'GET')
  const query = check(pageSchema, Object.fromEntries(url.searchParams))
  sendJson(res, 200, await whileStoreIsThere(() => store.listInteractions(admin.project, query)))
}

async function makeKey(req: IncomingMessage, res: ServerResponse, admin: StoredKey, { store, keys, now }: ApiParts) {
  allow(req, 'POST')
  const asked = check(newKeySchema, parseObject(await readBody(req, maxBodyBytes)))
  const { scope, project = admin.project, name = '', limits = {} } = asked
  if (project !== admin.project && !admin.isOperator) {
    throw new RequestError(403, 'other_project', 'This key makes keys of its own project only.', { param: 'project' })
  }
  const { secret, stored } = createKey({ scope, project, isOperator: false, name, limits })
  await whileStoreIsThere(() => store.insertKey(stored, new Date(now()).toISOString()))
  keys.add(stored)
  sendJson(res, 200, { key: secret, id: stored.id, scope, project, name, limits })
}

async function revokeKey(
  req: IncomingMessage,
  res: ServerResponse,
  id: string,
  admin: StoredKey,
  { store, keys, now }: ApiParts,
) {
  allow(req, 'DELETE')
  const project = admin.isOperator ? undefined : admin.project
  const isRevoked = await whileStoreIsThere(() => store.revokeKey(id, project, new Date(now()).toISOString()))
  if (!isRevoked) throw new RequestError(404, 'no_such_key', 'There is no such key.')
  keys.remove(id)
  sendJson(res, 200, { id, revoked: true })
}

async function reload(req: IncomingMessage, res: ServerResponse, admin: StoredKey, parts: ApiParts) {
  allow(req, 'POST')
  operatorOnly(admin)
  try {
    sendJson(res, 200, await parts.reload())
  } catch (error) {
    if (!(error instanceof PlumblineError)) throw error
    const hint = error.hint === undefined ? '' : ` ${error.hint}`
    throw new RequestError(400, 'invalid_config', `${error.message}${hint} The old configuration stays.`)
  }
}

async function rotateSecret(req: IncomingMessage, res: ServerResponse, admin: StoredKey, { feedback }: ApiParts) {
  allow(req, 'POST')
  operatorOnly(admin)
  const { id, createdAt } = await whileStoreIsThere(() => feedback.rotate())
  sendJson(res, 200, { id, created_at: createdAt })
}

/** What concerns every project. */
function operatorOnly({ isOperator }: StoredKey): void {
  if (!isOperator) throw new RequestError(403, 'operator_only', 'Only the first administrator’s key opens this.')
}

export function allow(req: IncomingMessage, method: string): void {
  if (req.method === method) return
  throw new RequestError(405, 'method_not_allowed', `This path takes ${method}.`, { headers: { allow: method } })
}

function check<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [{ path, message }] = parsed.error.issues
  const param = path.length === 0 ? null : path.join('.')
  throw new RequestError(400, 'invalid_value', param === null ? `${message}.` : `${param}: ${message}.`, { param })
}

async function whileStoreIsThere<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch {
    throw new RequestError(503, 'store_away', 'The store does not answer; try again later.', {
      headers: { 'retry-after': '5' },
    })
  }
}
