import {
  createdKeySchema,
  keyIdSchema,
  keyPageSchema,
  keyQuerySchema,
  newKeySchema,
  revokedKeySchema,
} from '@plumbline/contracts'
import { z } from 'zod'
import { createKey } from '../keys.ts'
import { RequestError } from '../openai-error.ts'
import { auditEvent } from './audit.ts'
import { defineRoute } from './route.ts'

export const keyRoutes = [
  defineRoute({
    method: 'GET',
    path: '/api/keys',
    summary: 'Keys of the key’s project, revoked ones too; the operator’s key sees every project',
    scopes: ['admin'],
    query: keyQuerySchema,
    response: keyPageSchema,
    async run({ key, query }, { store }) {
      const { data, next } = await store.listKeyFacts(key.isOperator ? undefined : key.project, query)
      const facts = data.map(({ createdAt, revokedAt, ...rest }) => ({
        ...rest,
        created_at: createdAt,
        revoked_at: revokedAt,
      }))
      return { data: facts, next }
    },
  }),
  defineRoute({
    method: 'POST',
    path: '/api/keys',
    summary: 'Make a key: shown this once',
    scopes: ['admin'],
    body: newKeySchema,
    response: createdKeySchema,
    refusals: { 403: 'a key of another project' },
    async run({ key, body: { scope, project = key.project, name = '', limits = {} } }, { store, keys, now }) {
      if (project !== key.project && !key.isOperator) {
        throw new RequestError(403, 'other_project', 'This key makes keys of its own project only.', {
          param: 'project',
        })
      }
      const { secret, stored } = createKey({ scope, project, isOperator: false, name, limits })
      const at = new Date(now()).toISOString()
      const event = { ...auditEvent(key, 'key.create', stored.id, at), project }
      await store.audited(event, (inside) => inside.insertKey(stored, at))
      keys.add(stored)
      return { key: secret, id: stored.id, scope, project, name, limits }
    },
  }),
  defineRoute({
    method: 'DELETE',
    path: '/api/keys/{id}',
    summary: 'Revoke a key',
    scopes: ['admin'],
    params: z.strictObject({ id: keyIdSchema }),
    response: revokedKeySchema,
    refusals: { 404: 'no such key in the key’s project' },
    async run({ key, params: { id } }, { store, keys, now }) {
      const at = new Date(now()).toISOString()
      const project = key.isOperator ? undefined : key.project
      await store.audited(auditEvent(key, 'key.revoke', id, at), async (inside) => {
        if (await inside.revokeKey(id, project, at)) return
        throw new RequestError(404, 'no_such_key', 'There is no such key.')
      })
      keys.remove(id)
      return { id, revoked: true }
    },
  }),
]
