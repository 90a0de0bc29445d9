import { defineRoute, RequestError } from '@plumbline/gateway'
import { feedbackPayload, interactionJson, interactionPayload, recordFacts } from '@plumbline/store'
import { z } from 'zod'
import { keepDurably } from './keep.ts'
import type { FeedbackLimiter } from './limits.ts'
import { otlpProtobuf } from './otlp-protobuf.ts'
import { feedbackRefusals } from './routes.ts'
import { feedbackRow } from './row.ts'
import { findSender } from './sender.ts'
import { type ReadSpan, readSpan, tracesSchema } from './telemetry.ts'

/** They are read one after the other while nothing else goes on. Exporters send some hundreds at a time. */
const maxSpans = 5000

export const telemetryRoutes = (limiter: FeedbackLimiter) => [
  defineRoute({
    method: 'POST',
    path: '/v1/traces',
    summary:
      'OTLP as JSON or protobuf, gzipped or not: spans of GenAI operations are interactions, results of evaluations in them feedback',
    scopes: ['client', 'admin'],
    body: tracesSchema,
    maxBodyBytes: 4 * 2 ** 20,
    formats: [otlpProtobuf],
    takesGzip: true,
    response: z.object({
      partialSuccess: z.object({ rejectedSpans: z.string(), errorMessage: z.string() }).optional(),
    }),
    refusals: feedbackRefusals,
    async run({ body, headers, key, session }, parts) {
      const { id: keyId, project } = key
      const source = { project, keyId, hash: (name: string) => parts.hashSubject(project, name) }
      const identify = async () => ({ key, session })
      const spans = body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
      if (spans.length > maxSpans)
        throw new RequestError(413, 'request_too_large', `The request has ${spans.length} spans; at most ${maxSpans}.`)
      const read = spans.map((span) => readSpan(span, source))
      const good = read.filter((one): one is ReadSpan => one !== undefined)
      const payloads = good.flatMap(({ interaction }) => {
        if (interaction === undefined) return []
        limiter.take('key', keyId)
        const { record, id, created_at: createdAt, model, termination, subjects } = interaction
        const head = {
          record,
          id,
          project,
          createdAt,
          keyId,
          model,
          termination,
          subjects,
          ...recordFacts(interaction),
        }
        return [interactionPayload({ ...head, json: interactionJson(interaction) })]
      })
      for (const feedback of good.flatMap((one) => one.feedback)) {
        const sender = await findSender(feedback, { identify, headers }, limiter, parts)
        payloads.push(feedbackPayload(feedbackRow(feedback, sender, parts.now())))
      }
      await keepDurably(parts.spool, payloads)
      const rejected = read.length - good.length
      if (rejected === 0) return {}
      const errorMessage =
        'Spans without good ids and times, or with more than 1,000 attributes or 100 events, were left out.'
      return { partialSuccess: { rejectedSpans: String(rejected), errorMessage } }
    },
  }),
]
