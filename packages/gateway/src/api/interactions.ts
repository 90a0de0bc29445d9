import { interactionPageSchema, interactionQuerySchema, interactionSchema } from '@plumbline/contracts'
import { z } from 'zod'
import { RequestError } from '../openai-error.ts'
import { defineRoute } from './route.ts'

export const interactionRoutes = [
  defineRoute({
    method: 'GET',
    path: '/api/interactions',
    summary: 'Records of the key’s project, newest first; a page may be short, "next" leads on',
    scopes: ['admin'],
    query: interactionQuerySchema,
    response: interactionPageSchema,
    run: ({ key, query: { subject, ...query } }, { store, hashSubject }) =>
      store.listInteractions(key.project, {
        ...query,
        subject: subject === undefined ? undefined : hashSubject(key.project, subject),
      }),
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
