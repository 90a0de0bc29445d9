import {
  feedbackAcceptedSchema,
  feedbackBodySchema,
  feedbackPageSchema,
  feedbackQuerySchema,
  type NewFeedback,
} from '@plumbline/contracts'
import { type ApiParts, defineOpenRoute, defineRoute, type OpenRequest, RequestError } from '@plumbline/gateway'
import { type FeedbackRow, feedbackPayload } from '@plumbline/store'
import { keepDurably } from './keep.ts'
import type { FeedbackLimiter } from './limits.ts'
import { feedbackRow } from './row.ts'
import { findSender } from './sender.ts'

export const feedbackScopes = ['client', 'reviewer', 'admin'] as const
export const feedbackRefusals = {
  401: 'the token is forged or has expired, or no good key was sent',
  403: 'the token belongs to another answer, or the key does not speak for this actor',
  429: 'too much from one token, person or key; "retry-after" says how long to wait',
  503: 'nothing was kept: send it again',
}

export const feedbackRoutes = (limiter: FeedbackLimiter) => [
  defineOpenRoute({
    method: 'POST',
    path: '/v1/feedback',
    summary: 'What somebody says of an answer, one or a list: with the token of the answer, or with a key',
    scopes: feedbackScopes,
    body: feedbackBodySchema,
    maxBodyBytes: 2 ** 20,
    response: feedbackAcceptedSchema,
    refusals: feedbackRefusals,
    async run({ body, ...request }, parts) {
      const isList = Array.isArray(body)
      const rows = await acceptFeedback(body, request, limiter, parts)
      const accepted = rows.map(({ id, interaction }) => ({ id, interaction, status: 'accepted' }))
      return isList ? { data: accepted } : accepted[0]
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/feedback',
    summary:
      'Feedback of the key’s project, newest first; of one answer by either of its ids. Reviewers see what people say',
    scopes: ['reviewer', 'admin'],
    query: feedbackQuerySchema,
    response: feedbackPageSchema,
    // Programs' verdicts would sway whoever judges the answer next.
    run: ({ key, query }, { store }) =>
      store.listFeedback(key.project, { ...query, without: key.scope === 'reviewer' ? 'system' : undefined }),
  }),
]

/** All of it or, with a RequestError, none. */
export async function acceptFeedback(
  sent: NewFeedback | readonly NewFeedback[],
  { identify, headers }: Pick<OpenRequest<unknown, unknown, unknown>, 'identify' | 'headers'>,
  limiter: FeedbackLimiter,
  parts: ApiParts,
): Promise<FeedbackRow[]> {
  let caller: ReturnType<typeof identify> | undefined
  const identifyOnce = () => {
    caller ??= identify()
    return caller
  }
  const rows: FeedbackRow[] = []
  const isList = Array.isArray(sent)
  for (const [place, one] of (isList ? sent : [sent]).entries()) {
    const sender = await findSender(one, { identify: identifyOnce, headers }, limiter, parts).catch(
      (error: unknown) => {
        throw isList && error instanceof RequestError && isOfItem(error) ? placed(error, place) : error
      },
    )
    rows.push(feedbackRow(one, sender, parts.now()))
  }
  await keepDurably(parts.spool, rows.map(feedbackPayload))
  return rows
}

/** A bad key is at fault for all of them. */
const isOfItem = ({ status, body: { param } }: RequestError) => param !== null || status === 429

/** Says at which item of a list it stopped, as the schema's own errors do. */
function placed({ status, message, headers, body: { code, type, param } }: RequestError, place: number): RequestError {
  const at = param === null ? String(place) : `${place}.${param}`
  const bare = message.startsWith(`${param}: `) ? message.slice(`${param}: `.length) : message
  return new RequestError(status, String(code), `${at}: ${bare}`, { param: at, headers, type })
}
