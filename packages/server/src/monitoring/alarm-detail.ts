import type { AlarmDetail } from '@plumbline/contracts'
import type { RateRow, Store, StoredAlarm } from '@plumbline/store'
import { alarmJobs } from './alarms/channels.ts'
import { readEvidence } from './alarms/evidence.ts'
import { driftReading } from './drift/reading.ts'
import { daysOf, evaluatorReadings } from './overview.ts'
import type { MonitoringPlan } from './plan.ts'

const dayMs = 86_400_000
const seriesDays = 60
const shownAnswers = 50

/** An alarm with what it rests on: the numbers by day, and the answers. */
export async function alarmDetail(store: Store, plan: MonitoringPlan, stored: StoredAlarm): Promise<AlarmDetail> {
  const { alarm, project } = stored
  const [{ rate, records }, jobs] = await Promise.all([
    readEvidence(store.monitoring, stored, shownAnswers),
    store.monitoring.notifications(project, alarm.id),
  ])
  return {
    ...alarm,
    evidence: {
      baseline: rate === undefined ? null : baselineOf(rate.baseline),
      since_start:
        rate === undefined ? null : { flagged: rate.hits, judged: rate.n, likeliest_rate: rate.likeliestRate },
      log_evidence: rate?.evidence ?? null,
      log_needed: rate?.needed ?? null,
      drift: alarm.kind === 'drift' ? driftReading(stored.evidence as Parameters<typeof driftReading>[0]) : null,
      series: rate === undefined ? [] : await seriesOf(store, plan, stored, rate.until),
    },
    interactions: records.map(({ record, recordAt, label, category, score }) => ({
      record,
      at: recordAt,
      label,
      category,
      score,
    })),
    notifications: jobs.map(({ kind, state, attempts, error }) => ({
      channel: channelOf(kind),
      state,
      attempts,
      error,
    })),
  }
}

async function seriesOf(
  { monitoring, review }: Store,
  plan: MonitoringPlan,
  { alarm, project }: StoredAlarm,
  until: string,
): Promise<AlarmDetail['evidence']['series']> {
  const to = until.slice(0, 10)
  const from = new Date(Date.parse(to) - (seriesDays - 1) * dayMs).toISOString().slice(0, 10)
  const [{ rates, traffic }, labels] = await Promise.all([
    monitoring.sums({ project, from, to }),
    review.sampleLabels(project),
  ])
  const isOwn = ({ evaluator, version }: Pick<RateRow, 'evaluator' | 'version'>) =>
    evaluator === alarm.evaluator && version === alarm.version
  const [read] = await evaluatorReadings(plan, { rates, traffic, labels }, daysOf({ from, to }), isOwn)
  return read?.days ?? []
}

export function baselineOf({ hits, n, estimate, upper }: { hits: number; n: number; estimate: number; upper: number }) {
  return { estimate, upper, flagged: hits, judged: n }
}

function channelOf(kind: string): 'log' | 'webhook' | 'email' {
  return kind === alarmJobs.webhook ? 'webhook' : kind === alarmJobs.email ? 'email' : 'log'
}
