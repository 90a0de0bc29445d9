import { type PlumblineError, runDetailSchema, runIdSchema, runPageSchema, runQuerySchema } from '@plumbline/contracts'
import { type Caller, defineRoute, RequestError } from '@plumbline/gateway'
import { z } from 'zod'
import type { Runs } from './runs.ts'

const scopes = ['reviewer', 'admin'] as const
/** Runs are of the machine: those who came with its first administrator see them, other projects do not. */
const project = 'default'
const refusals = { 403: 'the key is of another project, or its scope does not open this' }

/** `runs`: undefined where the server was given no folder. */
export const trainingRunRoutes = (runs: Runs | undefined) => [
  defineRoute({
    method: 'GET',
    path: '/api/runs',
    summary: 'Training runs in the folder that the server was given, newest first',
    scopes,
    query: runQuerySchema,
    response: runPageSchema,
    refusals,
    async run({ key, query }, { now }) {
      checkProject(key)
      if (runs === undefined) return { data: [], next: null, folder: 'none', reason: null, note: null }
      return runs.list(query, now())
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/runs/{id}',
    summary: 'One of them: configuration, curves with at most 200 points each, the newest samples, held-out accuracy',
    scopes,
    params: z.strictObject({ id: runIdSchema }),
    response: runDetailSchema,
    refusals: { ...refusals, 404: 'no such run', 503: 'the folder does not answer' },
    async run({ key, params: { id } }, { now }) {
      checkProject(key)
      const found = await runs?.find(id, now()).catch((error: PlumblineError) => {
        if (error.code !== 'RUNS_SLOW') throw error
        throw new RequestError(503, 'runs_slow', error.message)
      })
      if (found === undefined) throw new RequestError(404, 'no_such_run', 'There is no such run.')
      return found
    },
  }),
]

function checkProject(key: Caller['key']): void {
  if (key.project === project || key.isOperator) return
  const message = `Training runs are shown to keys of the project ${project} alone.`
  throw new RequestError(403, 'other_project', message)
}
