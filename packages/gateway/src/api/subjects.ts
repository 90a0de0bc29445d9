import { erasureStartedSchema, jobSchema, subjectSchema } from '@plumbline/contracts'
import type { Erasure } from '@plumbline/store'
import { z } from 'zod'
import { RequestError } from '../openai-error.ts'
import { auditEvent } from './audit.ts'
import { defineRoute } from './route.ts'

/** What the worker does by this name; its payload is a NotedErasure. */
export const erasureJob = 'erase'

const erasing = (mode: Erasure['mode'], summary: string) =>
  defineRoute({
    method: 'POST',
    path: `/api/subjects/${mode}`,
    summary,
    scopes: ['admin'],
    body: subjectSchema,
    status: 202,
    response: erasureStartedSchema,
    async run({ key, body }, { store, hashSubject, now, wakeWorker }) {
      const target = body.subject_hash ?? hashSubject(key.project, body.subject!)
      const at = new Date(now()).toISOString()
      const erasure: Erasure = { project: key.project, target, kind: 'subject', mode, at }
      const { id } = await store.audited(auditEvent(key, `subject.${mode}`, target, at), async (inside) => {
        const payload = await inside.noteErasure(erasure)
        return inside.jobs.enqueue({ kind: erasureJob, project: key.project, payload })
      })
      wakeWorker()
      return { job: id, subject_hash: target }
    },
  })

export const subjectRoutes = [
  erasing(
    'delete',
    'Delete every record of one person: none of those asked for until now gets in any more, a job takes out what is there',
  ),
  erasing('redact', 'Take the words and the person out of every record of one person'),
  defineRoute({
    method: 'GET',
    path: '/api/jobs/{id}',
    summary: 'How far a job of the key’s project is',
    scopes: ['admin'],
    params: z.strictObject({ id: z.uuid() }),
    response: jobSchema,
    refusals: { 404: 'no such job in the key’s project' },
    async run({ key, params }, { store }) {
      const job = await store.jobs.find(key.project, params.id)
      if (job === undefined) throw new RequestError(404, 'no_such_job', 'There is no such job.')
      const { id, kind, state, attempts, result, error, createdAt, finishedAt } = job
      return { id, kind, state, attempts, result, error, created_at: createdAt, finished_at: finishedAt }
    },
  }),
]
