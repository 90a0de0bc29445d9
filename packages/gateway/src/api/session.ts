import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type KeyScope, sessionEndedSchema, sessionSchema } from '@plumbline/contracts'
import { RequestError, wrongScope } from '../openai-error.ts'
import { auditEvent } from './audit.ts'
import { type ApiParts, type Caller, type CallerSession, defineRoute } from './route.ts'

/**
 * Sessions are for browsers: the cookie cannot be read by a page's scripts and is not sent from other sites; beside it,
 * whatever changes something needs a token that only a page of ours can have read.
 */
const cookieName = 'plumbline_session'
const csrfHeader = 'x-csrf-token'
const lifetimeMs = 12 * 3_600_000
const safeMethods = ['GET', 'HEAD']
const sessionScopes: readonly KeyScope[] = ['reviewer', 'admin']

export const sessionRoutes = [
  defineRoute({
    method: 'POST',
    path: '/api/session',
    summary: 'Begin a session with a key: a cookie, and the CSRF token to send with it',
    scopes: sessionScopes,
    needsKey: true,
    response: sessionSchema,
    async run({ key, headers, setCookie }, { store, now }) {
      const secret = randomBytes(32).toString('base64url')
      const at = new Date(now()).toISOString()
      const session = { ...sessionOf(secret), expiresAt: new Date(now() + lifetimeMs).toISOString() }
      await store.audited(auditEvent(key, 'session.create', null, at), (inside) =>
        inside.sessions.insert({ sha256: session.sha256, keyId: key.id, expiresAt: session.expiresAt }, at),
      )
      setCookie(cookie(secret, lifetimeMs / 1000, headers))
      return shown({ key, session })
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/session',
    summary: 'Who is asking, and the CSRF token of this session',
    scopes: sessionScopes,
    response: sessionSchema,
    run: async (caller) => shown(caller),
  }),
  defineRoute({
    method: 'DELETE',
    path: '/api/session',
    summary: 'End this session',
    scopes: sessionScopes,
    response: sessionEndedSchema,
    async run({ key, session, headers, setCookie }, { store, now }) {
      if (session !== undefined) {
        const event = auditEvent(key, 'session.delete', null, new Date(now()).toISOString())
        await store.audited(event, (inside) => inside.sessions.remove(session.sha256))
      }
      setCookie(cookie('', 0, headers))
      return { ended: true }
    },
  }),
]

function shown({ key, session }: Caller) {
  const { id, scope, project } = key
  const [csrf_token, expires_at] = [session?.csrfToken ?? null, session?.expiresAt ?? null]
  return { key_id: id, scope, project, csrf_token, expires_at }
}

/** Who asks: by a key, or where none is sent by a session. */
export async function findCaller(
  req: IncomingMessage,
  scopes: readonly KeyScope[],
  needsKey: boolean,
  { store, keys, now, authorize }: Pick<ApiParts, 'store' | 'keys' | 'now' | 'authorize'>,
): Promise<Caller> {
  const secret = readCookie(req.headers.cookie)
  if (needsKey || secret === undefined || req.headers.authorization !== undefined) {
    return { key: authorize(req, scopes), session: undefined }
  }
  const known = sessionOf(secret)
  const stored = await store.sessions.find(known.sha256, new Date(now()).toISOString())
  // A key that was revoked ends its sessions.
  const key = stored && [...keys.all()].find(({ id }) => id === stored.keyId)
  // One that lives longer than they do was begun while the clock was ahead.
  const isTooLong = stored !== undefined && Date.parse(stored.expiresAt) > now() + 2 * lifetimeMs
  if (stored === undefined || key === undefined || isTooLong) {
    throw new RequestError(401, 'session_ended', 'The session has ended: begin another one with a key.')
  }
  if (!safeMethods.includes(req.method ?? '') && !isEqual(String(req.headers[csrfHeader] ?? ''), known.csrfToken)) {
    throw new RequestError(403, 'csrf_token', `A request of a session that changes something needs ${csrfHeader}.`)
  }
  if (!scopes.includes(key.scope)) {
    throw wrongScope(key.scope, scopes)
  }
  return { key, session: { ...known, expiresAt: stored.expiresAt } }
}

/** What is kept of a session, and its token, both made from the secret in the cookie. */
function sessionOf(secret: string): Omit<CallerSession, 'expiresAt'> {
  const sha256 = createHash('sha256').update(secret).digest('hex')
  return { sha256, csrfToken: createHmac('sha256', secret).update('csrf').digest('base64url') }
}

function readCookie(header = ''): string | undefined {
  const prefix = `${cookieName}=`
  const found = header.split(';').find((part) => part.trim().startsWith(prefix))
  const secret = found?.trim().slice(prefix.length)
  return secret !== undefined && /^[\w-]{43}$/.test(secret) ? secret : undefined
}

function cookie(secret: string, seconds: number, headers: IncomingMessage['headers']): string {
  // Whoever stands in front with TLS says so; a client that says it wrongly harms itself alone.
  const secure = headers['x-forwarded-proto'] === 'https' ? '; Secure' : ''
  return `${cookieName}=${secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${secure}`
}

function isEqual(given: string, wanted: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(wanted))
}
