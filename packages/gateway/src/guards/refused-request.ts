import type { GuardVerdict } from '@plumbline/contracts'
import { cannedAnswer } from '../canned-answer.ts'
import type { Reply } from '../delivery.ts'
import type { EndpointPath } from '../endpoints.ts'
import type { OpenAIError } from '../openai-error.ts'
import type { Outcome } from '../outcome.ts'
import type { Refused } from './guarding.ts'

interface RefusedRequest {
  readonly record: string
  readonly endpoint: EndpointPath
  readonly model: string
  readonly isStream: boolean
  readonly withUsage: boolean
  readonly createdAt: number
}

/** What a client is told whose request a guard has stopped: an error, or the guard's own answer. */
export function refusedReply(refused: Refused, request: RefusedRequest): Reply {
  const { record, endpoint, model, isStream, withUsage, createdAt } = request
  const isReplaced = refused.by === 'stop' && refused.stop.guard.mode === 'replace'
  const text = isReplaced ? refused.stop.guard.replacement : ''
  const canned = isReplaced ? cannedAnswer(endpoint, { record, model, text, createdAt, isFiltered: true }) : undefined
  if (canned === undefined) return { status: 400, body: Buffer.from(JSON.stringify({ error: refusedError(refused) })) }
  if (!isStream) return { status: 200, body: Buffer.from(JSON.stringify(canned.whole)) }
  const streamed = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }
  return { status: 200, headers: streamed, body: Buffer.from(canned.events(withUsage).join('')) }
}

function refusedError(refused: Refused): OpenAIError {
  const type = 'invalid_request_error'
  if (refused.by === 'unreadable') {
    const message = `The request holds what the guards of this service cannot read: ${refused.what.join(', ')}.`
    return { message, type, code: 'content_unreadable', param: null }
  }
  const message = 'The request was stopped by a guard of this service.'
  return { message, type, code: 'content_blocked', param: null }
}

/** What the record says of it. */
export function refusedOutcome(
  refused: Refused,
  { record }: RefusedRequest,
  { status }: Reply,
  guards: GuardVerdict[],
): Outcome {
  const { message, type, code } = refusedError(refused)
  return {
    id: record,
    model: null,
    status,
    termination: 'input_blocked',
    text: '',
    choices: [],
    usage: null,
    error: { message, type, code },
    timings: { headers_ms: null, first_token_ms: null, total_ms: 0 },
    guards,
    response_bytes: 0,
    notes: [],
    upstream: '',
    attempts: [],
    upstream_request_id: null,
  }
}
