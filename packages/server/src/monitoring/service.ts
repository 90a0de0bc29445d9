import { type Store, startWorker } from '@plumbline/store'
import { alarmHandlers } from './alarms/handlers.ts'
import { counterfactualLane } from './counterfactual/pass.ts'
import { startCounterfactuals } from './counterfactual/worker.ts'
import { compareDays, driftJob } from './drift/compare.ts'
import { pass } from './evaluation/pass.ts'
import { createRunner } from './evaluation/runner.ts'
import type { Lane, MonitoringPlan } from './plan.ts'

export interface MonitoringParts {
  readonly store: Store
  readonly now: () => number
  readonly warn: (text: string) => void
}

export interface MonitoringOptions {
  /** Between two looks for new records. */
  readonly everyMs?: number
  /** Before the second try of a message; doubled before each later one. */
  readonly backoffMs?: number
}

export interface MonitoringService {
  stop(): Promise<void>
}

/** A day is compared when it is over; this often is looked whether one is. */
const driftEveryMs = 15 * 60_000

/** After so many batches other jobs have their turn. */
const batchesInTurn = 10

/**
 * Starts looking at records and telling people. Each lane and the messages have a worker of their own, so a slow judge
 * delays neither classifiers nor alarms. Which process does it is settled by the jobs' leases.
 */
export async function startMonitoring(
  plan: MonitoringPlan,
  { store, now, warn }: MonitoringParts,
  { everyMs = 2_000, backoffMs = 5_000 }: MonitoringOptions = {},
): Promise<MonitoringService> {
  const stops: (() => Promise<void>)[] = []
  for (const lane of plan.lanes) {
    const kind = `monitor-${lane.name}`
    // Neither an upgrade nor a judge that is added later goes through what people said long ago.
    await store.monitoring.begin(lane.name)
    await store.jobs.schedule({ kind, payload: null, everyMs })
    stops.push(startLane(kind, lane, plan, { store, now, warn }, everyMs))
  }
  // What came while the section was absent is not sent when it is back.
  if (plan.counterfactual === undefined) await store.monitoring.forget(counterfactualLane)
  else stops.push(await startCounterfactuals(plan.counterfactual, { store, now, warn }, everyMs))
  if (plan.hasDrift) {
    await store.jobs.schedule({ kind: driftJob, payload: null, everyMs: driftEveryMs })
    const comparer = startWorker(store.jobs, {
      handlers: { [driftJob]: (_, { signal }) => compareDays({ store, plan, now, signal }) },
      warn,
      pollMs: everyMs * 10,
    })
    stops.push(comparer.stop)
  }
  const teller = startWorker(store.jobs, {
    handlers: alarmHandlers({ store, channels: plan.channels, now, warn }),
    warn,
    backoffMs,
    pollMs: everyMs,
  })
  stops.push(teller.stop)
  return {
    stop: async () => {
      await Promise.all(stops.map((stop) => stop()))
    },
  }
}

function startLane(
  kind: string,
  lane: Lane,
  plan: MonitoringPlan,
  { store, now, warn }: MonitoringParts,
  pollMs: number,
): () => Promise<void> {
  const runner = createRunner({ ...lane, warn })
  const worker = startWorker(store.jobs, {
    warn,
    pollMs,
    handlers: {
      [kind]: async (_, { signal }) => {
        for (let batch = 0; batch < batchesInTurn; batch++)
          if (!(await pass(lane, { store, plan, runner, now }, signal))) break
        return null
      },
    },
  })
  return async () => {
    await worker.stop()
    await runner.close()
  }
}
