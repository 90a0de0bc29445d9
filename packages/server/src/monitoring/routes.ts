import {
  alarmClosedSchema,
  alarmDetailSchema,
  alarmIdSchema,
  alarmPageSchema,
  alarmQuerySchema,
  evaluationsSchema,
  evaluatorListSchema,
  interactionIdSchema,
  monitoringOverviewSchema,
  monitoringQuerySchema,
  monitoringSettingsInForceSchema,
} from '@plumbline/contracts'
import { auditEvent, defineRoute, operatorOnly, RequestError } from '@plumbline/gateway'
import { z } from 'zod'
import { alarmDetail } from './alarm-detail.ts'
import { evaluationsOf } from './evaluations-of.ts'
import { listEvaluators } from './evaluator-list.ts'
import { readOverview } from './overview.ts'
import type { MonitoringPlan } from './plan.ts'
import { settingsInForce } from './settings-in-force.ts'

const dayMs = 86_400_000
const shownDays = 30
const params = z.strictObject({ id: alarmIdSchema })
const scopes = ['reviewer', 'admin'] as const
const refusals = { 404: 'no such alarm' }

export const monitoringRoutes = (plan: MonitoringPlan) => [
  defineRoute({
    method: 'GET',
    path: '/api/monitoring/overview',
    summary:
      'Volumes, rates with their bands, drift, open alarms and releases by day of UTC; the last 30 days by default',
    scopes,
    query: monitoringQuerySchema,
    response: monitoringOverviewSchema,
    run: ({ key, query }, { store, now }) =>
      readOverview(store, plan, { project: key.project, ...rangeOf(query, now()) }),
  }),
  defineRoute({
    method: 'GET',
    path: '/api/monitoring/settings',
    summary: 'What the monitoring file said when the server started, defaults among it, without what may be secret',
    scopes: ['admin'],
    response: monitoringSettingsInForceSchema,
    // Of all projects: who is told of alarms, and whose prompts are asked again.
    refusals: { 403: 'not the operator’s key' },
    async run({ key }) {
      operatorOnly(key)
      return settingsInForce(plan.settings)
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/evaluators',
    summary: 'What judges live answers: versions, measured error, the last 30 days, and how far the detectors are',
    scopes,
    response: evaluatorListSchema,
    run: ({ key }, { store, now }) => listEvaluators(store, plan, { project: key.project, ...rangeOf({}, now()) }),
  }),
  defineRoute({
    method: 'GET',
    path: '/api/evaluations',
    summary: 'What each evaluator says of one answer, and which have not judged it',
    // Not for reviewers: verdicts would sway whoever judges the answer next.
    scopes: ['admin'],
    query: z.strictObject({ interaction: interactionIdSchema }),
    response: evaluationsSchema,
    refusals: { 404: 'no such record, or it is not in the store yet' },
    async run({ key, query: { interaction } }, { store }) {
      const said = await store.monitoring.said(key.project, interaction)
      if (said === undefined) throw new RequestError(404, 'no_such_interaction', 'There is no such record.')
      return { record: said.record, data: evaluationsOf(plan, said) }
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/alarms',
    summary: 'Alarms of the key’s project, newest first',
    scopes,
    query: alarmQuerySchema,
    response: alarmPageSchema,
    run: ({ key, query }, { store }) => store.monitoring.listAlarms(key.project, query),
  }),
  defineRoute({
    method: 'GET',
    path: '/api/alarms/{id}',
    summary: 'An alarm with its evidence: numbers by day, and the answers behind it',
    // Not for reviewers, as the answers that are behind it are those which an evaluator flags.
    scopes: ['admin'],
    params,
    response: alarmDetailSchema,
    refusals,
    async run({ key, params: { id } }, { store }) {
      const found = await store.monitoring.findAlarm(key.project, id)
      if (found === undefined) throw notFound()
      return alarmDetail(store, plan, found)
    },
  }),
  defineRoute({
    method: 'POST',
    path: '/api/alarms/{id}/close',
    summary: 'Close an alarm: the next detection opens a new one',
    scopes: ['admin'],
    params,
    response: alarmClosedSchema,
    refusals,
    async run({ key, params: { id } }, { store, now }) {
      const at = new Date(now()).toISOString()
      const event = auditEvent(key, 'alarm.close', id, at)
      await store.audited(event, async ({ monitoring }) => {
        const isClosed = await monitoring.closeAlarm(key.project, { id, by: key.id, at })
        if (!isClosed && (await monitoring.findAlarm(key.project, id)) === undefined) throw notFound()
      })
      return { id, state: 'closed' }
    },
  }),
]

/** Where one end is missing, 30 days with the other; without both, those up to today. */
export function rangeOf({ from, to }: { from?: string | undefined; to?: string | undefined }, now: number) {
  const day = (time: number) => new Date(time).toISOString().slice(0, 10)
  const span = (shownDays - 1) * dayMs
  if (to !== undefined) return { from: from ?? day(Date.parse(to) - span), to }
  const end =
    from === undefined ? day(now) : day(Math.max(Date.parse(from), Math.min(now, Date.parse(from) + 400 * dayMs)))
  return { from: from ?? day(Date.parse(end) - span), to: end }
}

function notFound(): RequestError {
  return new RequestError(404, 'no_such_alarm', 'There is no such alarm.')
}
