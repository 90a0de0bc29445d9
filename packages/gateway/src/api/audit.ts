import { auditPageSchema, numberedPageSchema } from '@plumbline/contracts'
import type { AuditEvent, StoredKey } from '@plumbline/store'
import { defineRoute } from './route.ts'

export function auditEvent(
  { id, project }: Pick<StoredKey, 'id' | 'project'>,
  action: string,
  target: string | null,
  at: string,
): AuditEvent {
  return { actor: id, action, project, target, outcome: 'done', at }
}

export const auditRoutes = [
  defineRoute({
    method: 'GET',
    path: '/api/audit',
    summary: 'Who did what, newest first; the operator’s key sees every project',
    scopes: ['admin'],
    query: numberedPageSchema,
    response: auditPageSchema,
    run: ({ key, query }, { store }) => store.audit.list(key.isOperator ? undefined : key.project, query),
  }),
]
