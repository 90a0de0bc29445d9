/** What the server said instead of an answer. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** What was thrown, if it is what the server said; throws anything else on. */
export function failureOf(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown
  throw thrown
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly body?: unknown
  /** Begins a session; everything else goes by the cookie. */
  readonly key?: string
  readonly signal?: AbortSignal
}

let csrfToken: string | null = null
let onSignedOut = () => {}

export function rememberCsrfToken(token: string | null): void {
  csrfToken = token
}

/** Tells when a call finds that the session has ended. */
export function watchSession(signedOut: () => void): void {
  onSignedOut = signedOut
}

/** Asks this server. Throws an ApiError with what it says. */
export async function call<Answer>(path: string, { method = 'GET', body, key, signal }: Call = {}): Promise<Answer> {
  const headers: Record<string, string> = {}
  if (key !== undefined) headers.authorization = `Bearer ${key}`
  else if (method !== 'GET' && csrfToken !== null) headers['x-csrf-token'] = csrfToken
  if (body !== undefined) headers['content-type'] = 'application/json'
  const sent = { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: signal ?? null }
  const response = await reach(path, sent)
  const answer = (await response.json().catch(() => undefined)) as Answer | undefined
  if (response.ok && answer !== undefined) return answer
  const { code, message } = errorOf(answer)
  if (response.status === 401 && key === undefined) onSignedOut()
  throw new ApiError(response.status, code, message ?? `The server answers with status ${response.status}.`)
}

async function reach(path: string, sent: RequestInit): Promise<Response> {
  try {
    return await fetch(path, sent)
  } catch (error) {
    if (sent.signal?.aborted) throw error
    throw new ApiError(
      0,
      'unreachable',
      'The server cannot be reached: try again when it runs and the network is there.',
    )
  }
}

function errorOf(answer: unknown): { readonly code: string; readonly message?: string } {
  const error = (answer as { error?: { code?: string; message?: string } } | undefined)?.error
  return { code: error?.code ?? 'unknown', ...(error?.message === undefined ? {} : { message: error.message }) }
}

/** A path with those parameters that have a value. */
export function withQuery(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
  )
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`
}
