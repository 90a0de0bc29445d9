import { interactionPageSchema, interactionQuerySchema, interactionSchema } from '@plumbline/contracts'
import { z } from 'zod'
import { RequestError } from '../openai-error.ts'
import { defineRoute } from './route.ts'

export const interactionRoutes = [
  defineRoute({
    method: 'GET',
    path: '/api/interactions',
    summary:
      'Records of the key’s project, newest first, with the evaluators that flag them; a page may be short, "next" leads on',
    scopes: ['admin'],
    query: interactionQuerySchema,
    response: interactionPageSchema,
    async run({ key, query: { subject, ...query } }, { store, hashSubject }) {
      const page = await store.listInteractions(key.project, {
        ...query,
        subject: subject === undefined ? undefined : hashSubject(key.project, subject),
      })
      const verdicts = await store.monitoring.verdicts(page.data.map(({ record }) => record))
      const flags = Map.groupBy(
        verdicts.filter(({ isFlagged }) => isFlagged),
        ({ record }) => record,
      )
      const flagsOf = (record: string) =>
        (flags.get(record) ?? []).map(({ evaluator, label, category }) => ({ evaluator, label, category }))
      return { ...page, data: page.data.map((one) => ({ ...one, flagged_by: flagsOf(one.record) })) }
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/interactions/{id}',
    summary: 'One record by its own id, or the newest one of an answer’s id',
    scopes: ['admin'],
    params: z.strictObject({ id: z.string().min(1).max(512) }),
    response: interactionSchema,
    refusals: { 404: 'no such record, or it is not in the store yet' },
    async run({ key, params }, { store }) {
      const record = await store.findInteraction(key.project, params.id)
      if (record === undefined) throw new RequestError(404, 'no_such_interaction', 'There is no such record.')
      return record
    },
  }),
]
