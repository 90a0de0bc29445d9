import type { IncomingMessage, ServerResponse } from 'node:http'
import { newKeySchema } from '@plumbline/contracts'
import type { Store, StoredKey } from '@plumbline/store'
import { z } from 'zod'
import { createKey, type KeyRing } from './keys.ts'
import { RequestError, sendJson } from './openai-error.ts'
import { parseObject, readBody } from './request-body.ts'

/** The administrator's part: /api/… */
export interface ApiParts {
  readonly store: Store
  readonly keys: KeyRing
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
  { store, keys, now }: ApiParts,
): Promise<boolean> {
  if (url.pathname === '/api/interactions') {
    allow(req, 'GET')
    const query = check(pageSchema, Object.fromEntries(url.searchParams))
    const page = await whileStoreIsThere(() => store.listInteractions(admin.project, query))
    sendJson(res, 200, page)
    return true
  }
  if (url.pathname === '/api/keys') {
    allow(req, 'POST')
    const {
      scope,
      project = admin.project,
      name = '',
    } = check(newKeySchema, parseObject(await readBody(req, maxBodyBytes)))
    if (project !== admin.project && !admin.isOperator) {
      throw new RequestError(403, 'other_project', 'This key makes keys of its own project only.', { param: 'project' })
    }
    const { secret, stored } = createKey({ scope, project, isOperator: false, name })
    await whileStoreIsThere(() => store.insertKey(stored, new Date(now()).toISOString()))
    keys.add(stored)
    sendJson(res, 200, { key: secret, id: stored.id, scope, project, name })
    return true
  }
  const [, id] = /^\/api\/keys\/(key_[\w-]{1,64})$/.exec(url.pathname) ?? []
  if (id === undefined) return false
  allow(req, 'DELETE')
  const project = admin.isOperator ? undefined : admin.project
  const isRevoked = await whileStoreIsThere(() => store.revokeKey(id, project, new Date(now()).toISOString()))
  if (!isRevoked) throw new RequestError(404, 'no_such_key', 'There is no such key.')
  keys.remove(id)
  sendJson(res, 200, { id, revoked: true })
  return true
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
