/** What an error tells a person beside its message. */
export interface ErrorDetails {
  /** The next step, as a sentence. */
  hint?: string
  /** The error underneath, kept for the log. */
  cause?: unknown
}

/**
 * The one error a user is meant to see. `message` says what went wrong, where and why; `hint` says what to do next.
 * `code` is stable: scripts may match on it. Any other error that reaches the top is a bug of ours.
 */
export class PlumblineError extends Error {
  override readonly name = 'PlumblineError'
  readonly code: string
  readonly hint: string | undefined

  constructor(code: string, message: string, { hint, cause }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.hint = hint
  }
}

/** Does `work`; what it throws for the user says first where: a file and its line. */
export function located<T>(place: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof PlumblineError)) throw error
    throw new PlumblineError(error.code, `${place}: ${error.message}`, { hint: error.hint, cause: error })
  }
}

/** The text of an error and of what caused it, on one line: "fetch failed: connect ECONNREFUSED 127.0.0.1:1". */
export function reason(error: unknown): string {
  const parts: string[] = []
  for (let at = error; at instanceof Error && parts.length < 4; at = at.cause) {
    const code = (at as { code?: string }).code
    const text = at.message || code || at.name
    if (!parts.some((part) => part.includes(text))) parts.push(text)
  }
  return parts.length > 0 ? parts.join(': ') : String(error)
}
