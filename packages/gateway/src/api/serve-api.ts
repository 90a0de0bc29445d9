import type { IncomingMessage, ServerResponse } from 'node:http'
import { isDataError } from '@plumbline/store'
import { z } from 'zod'
import { RequestError, sendJson, sendReply } from '../openai-error.ts'
import { parseJson, parseObject, readBody } from '../request-body.ts'
import { type BodyFormat, formatOfBody } from './body-format.ts'
import { type ApiParts, type Caller, check, type Route } from './route.ts'
import { findCaller } from './session.ts'

const maxBodyBytes = 16 * 1024
const nothing = z.strictObject({})

export interface ServeApiParts extends ApiParts {
  readonly routes: readonly Route[]
}

/** Answers a request for one of the routes, or for none of them. */
export async function serveApi(
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
  { routes, ...parts }: ServeApiParts,
): Promise<void> {
  const there = routes.flatMap((route) => {
    const params = matchPath(route.path, url.pathname)
    return params === undefined ? [] : [{ route, params }]
  })
  const found = there.find(({ route }) => route.method === req.method)
  const scopes = (found ?? there[0])?.route.scopes ?? ['admin']
  // Before anything is said of what there is.
  if (found?.route.takesBasic === true) req.headers.authorization = bearerOf(req.headers.authorization)
  const identify = () => whileStoreIsThere(() => findCaller(req, scopes, found?.route.needsKey === true, parts))
  const caller: Caller | undefined = found?.route.isOpen === true ? undefined : await identify()
  if (found === undefined) throw notFound(there.map(({ route }) => route))
  const { route } = found
  const params = check(route.params ?? nothing, found.params)
  const query = check(route.query ?? nothing, Object.fromEntries(url.searchParams))
  const format = formatOfBody(req, route)
  const body = route.body && check(route.body, await readValue(req, route, format))
  const setCookie = (text: string) => void res.setHeader('set-cookie', text)
  const isNobody = req.headers.authorization === undefined && req.headers.cookie === undefined
  const opened = { identify: async () => (isNobody ? undefined : identify()) }
  const request = { ...(caller ?? opened), params, query, body: body ?? {}, headers: req.headers, setCookie }
  // An open route's `run` takes what it has in place of a caller.
  const answer = await whileStoreIsThere(() => route.run(request as never, parts))
  const status = route.status ?? 200
  if (format === undefined) return sendJson(res, status, answer)
  sendReply(res, { status, headers: { 'content-type': format.contentType }, body: Buffer.from(format.encode(answer)) })
}

async function readValue(req: IncomingMessage, route: Route, format: BodyFormat | undefined): Promise<unknown> {
  const bytes = await readBody(req, route.maxBodyBytes ?? maxBodyBytes, { takesGzip: route.takesGzip })
  if (format !== undefined) return format.decode(bytes)
  return route.body instanceof z.ZodObject ? parseObject(bytes) : parseJson(bytes)
}

/** The password of HTTP's basic scheme as a key. */
function bearerOf(authorization: string | undefined): string | undefined {
  const [, encoded] = /^Basic +([\w+/=-]{1,1024})$/i.exec(authorization ?? '') ?? []
  if (encoded === undefined) return authorization
  const pair = Buffer.from(encoded, 'base64').toString('utf8')
  return `Bearer ${pair.slice(pair.indexOf(':') + 1)}`
}

function notFound(others: readonly Route[]): RequestError {
  if (others.length === 0) return new RequestError(404, 'unknown_url', 'There is no such path here.')
  const methods = others.map(({ method }) => method).join(', ')
  return new RequestError(405, 'method_not_allowed', `This path takes ${methods}.`, { headers: { allow: methods } })
}

/** The values of `{name}` in a path; undefined where it is another one. */
function matchPath(template: string, pathname: string): Record<string, string> | undefined {
  if (!template.includes('{')) return template === pathname ? {} : undefined
  const wanted = template.split('/')
  const given = pathname.split('/')
  if (given.length !== wanted.length) return undefined
  const params: Record<string, string> = {}
  for (const [i, part] of wanted.entries()) {
    if (!part.startsWith('{')) {
      if (part !== given[i]) return undefined
      continue
    }
    const value = decoded(given[i])
    if (value === undefined) return undefined
    params[part.slice(1, -1)] = value
  }
  return params
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

async function whileStoreIsThere<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isFault = error instanceof TypeError || error instanceof RangeError || isDataError(error)
    if (error instanceof RequestError || isFault) throw error
    throw new RequestError(503, 'store_away', 'The store does not answer; try again later.', {
      headers: { 'retry-after': '5' },
    })
  }
}
