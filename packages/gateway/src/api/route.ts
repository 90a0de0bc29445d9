import type { IncomingMessage } from 'node:http'
import type { KeyScope } from '@plumbline/contracts'
import type { Spool, Store, StoredKey, SubjectHasher } from '@plumbline/store'
import type { z } from 'zod'
import type { FeedbackTokens } from '../feedback-token.ts'
import type { KeyRing } from '../keys.ts'
import { RequestError } from '../openai-error.ts'
import type { BodyFormat } from './body-format.ts'

/** What routes work on. */
export interface ApiParts {
  readonly store: Store
  readonly spool: Spool
  readonly keys: KeyRing
  readonly hashSubject: SubjectHasher
  readonly feedback: FeedbackTokens
  /** Reads the configuration anew. Throws what is wrong with it. */
  readonly reload: () => Promise<{ readonly config: string }>
  readonly now: () => number
  /** Tells the worker that a job was enqueued. */
  readonly wakeWorker: () => void
  /** Who asks, by the Authorization header; throws when that is nobody with one of these scopes. */
  readonly authorize: (req: IncomingMessage, scopes: readonly KeyScope[]) => StoredKey
}

/** Who asks, and by which session where it is one. */
export interface Caller {
  readonly key: StoredKey
  readonly session: CallerSession | undefined
}

export interface CallerSession {
  readonly sha256: string
  readonly csrfToken: string
  readonly expiresAt: string
}

export interface RouteRequest<Params, Query, Body> extends Caller {
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly headers: IncomingMessage['headers']
  setCookie(text: string): void
}

/** A request that may come without a key: what else lets it in is the route's own matter. */
export interface OpenRequest<Params, Query, Body> extends Omit<RouteRequest<Params, Query, Body>, keyof Caller> {
  /** Who asks; undefined when neither a key nor a session was sent, refused when it is none of these scopes. */
  identify(): Promise<Caller | undefined>
}

/** One path and method. Checks, the OpenAPI document and the fuzz all come from it. */
export interface Route<
  Params extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** With `{name}` for what `params` describes. */
  readonly path: string
  readonly summary: string
  readonly scopes: readonly KeyScope[]
  /** Only a key in the Authorization header will do, no session. */
  readonly needsKey?: true
  /** Made by `defineOpenRoute`. */
  readonly isOpen?: true
  /** A key may come as the password of "Authorization: Basic" too. */
  readonly takesBasic?: true
  readonly params?: Params
  readonly query?: Query
  readonly body?: Body
  readonly maxBodyBytes?: number
  /** Taken beside JSON; any other content type is then refused. */
  readonly formats?: readonly BodyFormat[]
  /** Bodies may be gzipped; `maxBodyBytes` holds for what comes out of them. */
  readonly takesGzip?: true
  readonly status?: 200 | 202
  readonly response: z.ZodType
  /** Refusals beyond those that every route has. */
  readonly refusals?: Readonly<Record<number, string>>
  run(request: RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>>, parts: ApiParts): Promise<unknown>
}

/** Gives `run` the types of its own schemas and forgets them for the table. */
export function defineRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  route: Route<Params, Query, Body>,
): Route {
  return route as unknown as Route
}

/** As `defineRoute`, for one that lets in more than keys do. */
export function defineOpenRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  route: Omit<Route<Params, Query, Body>, 'run'> & {
    run(request: OpenRequest<z.output<Params>, z.output<Query>, z.output<Body>>, parts: ApiParts): Promise<unknown>
  },
): Route {
  return { ...route, isOpen: true } as unknown as Route
}

export function check<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = mostTelling(parsed.error.issues[0])
  const param = path.length === 0 ? null : path.join('.')
  throw new RequestError(400, 'invalid_value', param === null ? `${message}.` : `${param}: ${message}.`, { param })
}

/** Of a value that may have several forms: what is wrong with it in the form that it comes closest to. */
function mostTelling(issue: z.core.$ZodIssue): { readonly path: readonly PropertyKey[]; readonly message: string } {
  if (issue.code !== 'invalid_union') return issue
  const inForms = issue.errors.flatMap((issues) => issues.slice(0, 1))
  // A list that is too long is not told that it is no object.
  const ofItsKind = inForms.filter(({ code, path }) => code !== 'invalid_type' || path.length > 0)
  const told = (ofItsKind.length > 0 ? ofItsKind : inForms).map(mostTelling)
  const deepest = told.toSorted((a, b) => b.path.length - a.path.length)[0] ?? issue
  return { path: [...issue.path, ...deepest.path], message: deepest.message }
}
