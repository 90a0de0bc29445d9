import { type Answer, asObject } from './answer.ts'
import { cannedAnswer } from './canned-answer.ts'
import type { Reply } from './delivery.ts'
import { endpoints } from './endpoints.ts'
import type { ExchangeRequest } from './exchange.ts'

/**
 * A text of the operator's in the shape that the client asked for, and what it says into `answer`. Undefined where no
 * text can be the answer, as for embeddings.
 */
export function fallbackReply(
  { endpoint, record, model = '', isStream, withUsage }: ExchangeRequest,
  text: string,
  answer: Answer,
  createdAt: number,
): Reply | undefined {
  const shape = endpoint === undefined ? undefined : cannedAnswer(endpoint, { record, model, text, createdAt })
  if (shape === undefined || endpoint === undefined) return undefined
  answer.choices.clear()
  answer.id = undefined
  answer.model = undefined
  endpoints[endpoint].readWhole(answer, asObject(shape.whole))
  if (!isStream) return { status: 200, body: Buffer.from(JSON.stringify(shape.whole)) }
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }
  return { status: 200, headers, body: Buffer.from(shape.events(withUsage).join('')) }
}
