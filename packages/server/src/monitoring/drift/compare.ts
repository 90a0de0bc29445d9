import { Worker } from 'node:worker_threads'
import { type DriftReport, levelPerLook, type Reading } from '@plumbline/monitor'
import type { AnswerDay, NewAlarm, Store } from '@plumbline/store'
import { jobsFor } from '../alarms/channels.ts'
import type { MonitoringPlan } from '../plan.ts'
import type { KeptDrift } from './reading.ts'
import type { DriftRequest } from './thread.ts'

/** The kind of job that compares days. */
export const driftJob = 'monitor-drift'

const dayMs = 86_400_000
/** Answers of each side. */
const mostTexts = 600
/** Of a look, in megabytes. */
const maxHeapMb = 512
/** Days that nobody looked at in time are let go. */
const latestDays = 7
const namedTerms = 4

interface CompareParts {
  readonly store: Store
  readonly plan: MonitoringPlan
  readonly now: () => number
  readonly signal: AbortSignal
}

/** Compares each day that is over with the first days of its project. Gives how many. */
export async function compareDays({ store, plan, now, signal }: CompareParts): Promise<number> {
  const { monitoring } = store
  const today = dayOf(now())
  const days = await monitoring.answerDays(today)
  let compared = 0
  for (const { project, day, from, to } of dueDays(days, plan.watch.baselineDays, dayOf(now() - latestDays * dayMs))) {
    signal.throwIfAborted()
    const { falseAlarmsPerYear } = plan.watch
    const request = {
      reference: await monitoring.sampleAnswers({ project, from, to }, mostTexts),
      current: await monitoring.sampleAnswers({ project, from: day, to: day }, mostTexts),
      level: levelPerLook({ falseAlarmsPerYear, looksPerYear: 365 }),
    }
    const reading = await look(request, signal).catch((error: Error) => {
      signal.throwIfAborted()
      return failedLook(error)
    })
    const report: KeptDrift = { reading }
    const hasDrifted = reading.status === 'ok' && reading.hasDrifted
    const alarm = hasDrifted ? driftAlarm(project, day, reading) : undefined
    const at = new Date(now()).toISOString()
    if (await monitoring.keepLook({ project, day, report, alarm, notify: jobsFor(plan.channels), at })) compared++
  }
  return compared
}

/** Days after the first ones that were not compared, with the first and last of those. */
export function dueDays(days: readonly AnswerDay[], baselineDays: number, notBefore: string) {
  return [...Map.groupBy(days, ({ project }) => project).values()].flatMap((own) => {
    const reference = own.slice(0, baselineDays)
    const due = own.slice(baselineDays).filter(({ day, isCompared }) => !isCompared && day >= notBefore)
    return due.map(({ project, day }) => ({ project, day, from: reference[0].day, to: reference.at(-1)!.day }))
  })
}

function driftAlarm(project: string, day: string, reading: DriftReport & Reading<DriftReport>): NewAlarm {
  const words = (isMore: boolean) =>
    reading.moved
      .filter(({ weight }) => weight > 0 === isMore)
      .slice(0, namedTerms)
      .map(({ term }) => JSON.stringify(term))
      .join(', ')
  const parts = [words(true) === '' ? '' : `; more ${words(true)}`, words(false) === '' ? '' : `; less ${words(false)}`]
  const summary = `Answers of ${day} differ from those of the first days${parts.join('')}`
  const evidence = { day, report: { reading } satisfies KeptDrift }
  return { project, kind: 'drift', subject: '', version: null, summary, evidence }
}

/** Kept like any other, so that one project's texts keep no other project from being looked at. */
function failedLook({ name, code = name }: Error & { readonly code?: string }): Reading<DriftReport> {
  // The message may have words of the answers in it.
  return { status: 'error', code: 'DRIFT_FAILED', reason: `The comparison ended with an error (${code}).` }
}

/** In a thread that lives as long as the look: it takes seconds of computing. */
function look(request: DriftRequest, signal: AbortSignal): Promise<Reading<DriftReport>> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData: request,
      name: 'drift',
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
      execArgv: [],
    })
    const end = (finish: () => void) => {
      signal.removeEventListener('abort', onAbort)
      void thread.terminate().then(finish)
    }
    const onAbort = () => end(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort)
    thread.on('message', (reading: Reading<DriftReport>) => end(() => resolve(reading)))
    thread.on('error', (error) => end(() => reject(error)))
  })
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}
