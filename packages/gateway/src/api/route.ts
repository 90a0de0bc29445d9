import type { IncomingMessage } from 'node:http'
import type { KeyScope } from '@plumbline/contracts'
import type { Store, StoredKey, SubjectHasher } from '@plumbline/store'
import type { z } from 'zod'
import type { FeedbackTokens } from '../feedback-token.ts'
import type { KeyRing } from '../keys.ts'
import { RequestError } from '../openai-error.ts'

/** What the routes below /api/ work on. */
export interface ApiParts {
  readonly store: Store
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

/** One path and method below /api/. Checks, the OpenAPI document and the fuzz all come from it. */
export interface Route<
  Params extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodObject = z.ZodObject,
> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** With `{name}` for what `params` describes. */
  readonly path: string
  readonly summary: string
  readonly scopes: readonly KeyScope[]
  /** Only a key in the Authorization header will do, no session. */
  readonly needsKey?: true
  readonly params?: Params
  readonly query?: Query
  readonly body?: Body
  readonly status?: 200 | 202
  readonly response: z.ZodType
  /** Refusals beyond those that every route has. */
  readonly refusals?: Readonly<Record<number, string>>
  run(request: RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>>, parts: ApiParts): Promise<unknown>
}

/** Gives `run` the types of its own schemas and forgets them for the table. */
export function defineRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodObject>(
  route: Route<Params, Query, Body>,
): Route {
  return route as unknown as Route
}

export function check<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [{ path, message }] = parsed.error.issues
  const param = path.length === 0 ? null : path.join('.')
  throw new RequestError(400, 'invalid_value', param === null ? `${message}.` : `${param}: ${message}.`, { param })
}
