import { feedbackSecretSchema, PlumblineError, reloadedSchema } from '@plumbline/contracts'
import type { StoredKey } from '@plumbline/store'
import { RequestError } from '../openai-error.ts'
import { auditEvent } from './audit.ts'
import { defineRoute } from './route.ts'

/** What concerns every project. */
export const operatorRoutes = [
  defineRoute({
    method: 'POST',
    path: '/api/reload',
    summary: 'Read the configuration anew; one that is wrong leaves the old one',
    scopes: ['admin'],
    response: reloadedSchema,
    refusals: { 400: 'what is wrong with it', 403: 'not the operator’s key' },
    async run({ key }, { reload }) {
      operatorOnly(key)
      try {
        return await reload()
      } catch (error) {
        if (!(error instanceof PlumblineError)) throw error
        const hint = error.hint === undefined ? '' : ` ${error.hint}`
        throw new RequestError(400, 'invalid_config', `${error.message}${hint} The old configuration stays.`)
      }
    },
  }),
  defineRoute({
    method: 'POST',
    path: '/api/feedback-secrets',
    summary: 'Sign feedback tokens with a new secret from now on; those of the old one stay good',
    scopes: ['admin'],
    response: feedbackSecretSchema,
    refusals: { 403: 'not the operator’s key' },
    async run({ key }, { feedback, store, now }) {
      operatorOnly(key)
      const { id, createdAt } = await feedback.rotate()
      await store.audited(auditEvent(key, 'feedback_secret.create', id, new Date(now()).toISOString()), async () => {})
      return { id, created_at: createdAt }
    },
  }),
]

/** Throws where an administrator of one project asks for what concerns all. */
export function operatorOnly({ isOperator }: StoredKey): void {
  if (!isOperator) throw new RequestError(403, 'operator_only', 'Only the first administrator’s key opens this.')
}
