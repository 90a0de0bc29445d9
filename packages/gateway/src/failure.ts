import type { Termination } from '@plumbline/contracts'
import { type Answer, asObject, readError } from './answer.ts'
import type { Refusal } from './attempt.ts'
import type { Reply } from './delivery.ts'
import type { ExchangeRequest } from './exchange.ts'
import { fallbackReply } from './fallback-answer.ts'
import { plainError } from './guards/plain-error.ts'
import { type OpenAIError, safeHeaders } from './openai-error.ts'

const explain: Partial<Record<Termination, string>> = {
  no_upstream: 'Every upstream for this model has failed too often and is left alone for a while.',
  upstream_unreachable: 'The upstream cannot be reached.',
  upstream_reset: 'The connection to the upstream broke.',
  upstream_incomplete: 'The upstream ended its answer before it was whole.',
  upstream_invalid:
    'The upstream gave what cannot be read as an answer. Its log may say why: this request has its x-request-id there.',
  timeout_connect: 'The upstream did not take the connection in time.',
  timeout_first_token: 'The upstream did not begin its answer in time.',
  timeout_idle: 'The upstream fell silent in the middle of its answer.',
  timeout_total: 'The answer took too long.',
  shutdown: 'The gateway is shutting down.',
}

export interface Ending {
  readonly termination: Termination
  /** In place of what is said of every such termination. */
  readonly explanation: string | undefined
  /** What the upstream said, at an `upstream_error`. */
  readonly refusal: Refusal | undefined
  /** Until some upstream may be asked, at a `no_upstream`. */
  readonly reopensInMs: number
  readonly now: number
}

/**
 * What a client is sent in place of an upstream's answer, and how that is called: the fallback answer of the
 * configuration where the upstreams are to blame, else an error. What it says goes into `answer`.
 */
export function replyOfOurs(
  ending: Ending,
  request: ExchangeRequest,
  fallbackAnswer: string | undefined,
  answer: Answer,
): { termination: Termination; reply: Reply } {
  const { termination, refusal, now } = ending
  const isRefused = refusal !== undefined && termination === 'upstream_error'
  const isGuarded = request.guarding?.mayActOnAnswers === true
  const reply = isRefused ? refusalReply(refusal, answer, isGuarded) : failureReply(ending)
  const isTheirs = (reply.status >= 500 || reply.status === 429) && !['client_abort', 'shutdown'].includes(termination)
  const fallback =
    isTheirs && fallbackAnswer !== undefined ? fallbackReply(request, fallbackAnswer, answer, now) : undefined
  const chosen =
    fallback === undefined ? { termination, reply } : { termination: 'fallback_answer' as const, reply: fallback }
  return { ...chosen, reply: { ...chosen.reply, headers: { ...safeHeaders, ...chosen.reply.headers } } }
}

function failureReply({ termination, explanation = explainTermination(termination), reopensInMs }: Ending): Reply {
  const isForNow = termination === 'shutdown' || termination === 'no_upstream'
  const status = termination.startsWith('timeout_') ? 504 : isForNow ? 503 : 502
  const body = errorBody(explanation, termination)
  if (termination !== 'no_upstream') return { status, body }
  return { status, body, headers: { 'retry-after': String(Math.max(1, Math.ceil(reopensInMs / 1000))) } }
}

/** An upstream's error as a client is shown it, without its words where guards act; what it says goes into the answer. */
function refusalReply({ status, headers, body }: Refusal, answer: Answer, isGuarded: boolean): Reply {
  const error = body === undefined ? undefined : parseError(body)
  if (error !== undefined) readError(answer, error.error)
  // A redirect is not followed, and a refused key is the operator's, not the client's.
  const isOurs = status < 400 || status === 401
  if (body !== undefined && error !== undefined && !isOurs) {
    return { status, headers, body: isGuarded ? Buffer.from(JSON.stringify(plainError(error))) : body }
  }
  const told = errorBody(`The upstream answered with status ${status}.`, 'upstream_error')
  const typed = { ...headers, 'content-type': safeHeaders['content-type'] }
  return { status: isOurs ? 502 : status, headers: typed, body: told }
}

/** Read as a failure by clients of chat, completions and responses alike. */
export function failureEvent(termination: Termination): string {
  const message = explainTermination(termination)
  const value = { type: 'error', ...errorOf(message, termination), message, code: termination, param: null }
  return `event: error\ndata: ${JSON.stringify(value)}\n\n`
}

function explainTermination(termination: Termination): string {
  return explain[termination] ?? 'The upstream failed.'
}

function errorOf(message: string, code: string): { error: OpenAIError } {
  return { error: { message, type: 'server_error', code, param: null } }
}

function errorBody(message: string, code: string): Buffer {
  return Buffer.from(JSON.stringify(errorOf(message, code)))
}

function parseError(body: Buffer): Record<string, unknown> | undefined {
  try {
    const json = asObject(JSON.parse(body.toString('utf8')))
    return json.error === undefined ? undefined : json
  } catch {
    return undefined
  }
}
