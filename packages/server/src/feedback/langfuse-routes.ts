import { type LangfuseScore, langfuseScoreSchema, type NewFeedback, newFeedbackSchema } from '@plumbline/contracts'
import { defineOpenRoute, RequestError } from '@plumbline/gateway'
import { z } from 'zod'
import type { FeedbackLimiter } from './limits.ts'
import { acceptFeedback, feedbackRefusals, feedbackScopes } from './routes.ts'

export const langfuseRoutes = (limiter: FeedbackLimiter) => [
  defineOpenRoute({
    method: 'POST',
    path: '/api/public/scores',
    summary: 'Feedback as Langfuse’s clients send it: traceId is the id of an answer, the secret key one of ours',
    scopes: feedbackScopes,
    takesBasic: true,
    body: langfuseScoreSchema,
    maxBodyBytes: 256 * 1024,
    response: z.object({ id: z.string() }),
    refusals: feedbackRefusals,
    async run({ body, ...request }, parts) {
      const [row] = await acceptFeedback(fromScore(body), request, limiter, parts)
      return { id: body.id ?? row.id }
    },
  }),
]

/** Numbers and booleans are ratings, a correction is one, categories and text are comments. */
function fromScore(score: LangfuseScore): NewFeedback {
  const { id, traceId, observationId, name, value, comment } = score
  const dataType = score.dataType ?? typeOf(value)
  const common = {
    interaction: observationId ?? traceId,
    category: categoryOf(name),
    idempotency_key: id ?? undefined,
    text: comment ?? undefined,
  }
  switch (dataType) {
    case 'NUMERIC':
    case 'BOOLEAN':
      return parsed({ ...common, kind: 'rating', rating: typeof value === 'string' ? Number.NaN : Number(value) })
    case 'CORRECTION':
      return parsed({ ...common, kind: 'correction', text: String(value) })
    default: {
      const said = comment ? `${value}: ${comment}` : String(value)
      return parsed({ ...common, kind: 'comment', text: said.slice(0, 64_000) })
    }
  }
}

function typeOf(value: LangfuseScore['value']): NonNullable<LangfuseScore['dataType']> {
  if (typeof value === 'number') return 'NUMERIC'
  return typeof value === 'boolean' ? 'BOOLEAN' : 'CATEGORICAL'
}

/** Langfuse's names are free text; ours are not. */
export function categoryOf(name: string): string | undefined {
  const category = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9/_-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64)
  return category === '' ? undefined : category
}

function parsed(feedback: NewFeedback): NewFeedback {
  const result = newFeedbackSchema.safeParse(feedback)
  if (result.success) return result.data
  const message = 'value: does not fit dataType: NUMERIC and BOOLEAN take a number or a boolean, the others text.'
  throw new RequestError(400, 'invalid_value', message, { param: 'value' })
}
