import { startWorker } from '@plumbline/store'
import { createRunner } from '../evaluation/runner.ts'
import type { CounterfactualPlan } from '../plan.ts'
import type { MonitoringParts } from '../service.ts'
import { openAsker } from './ask.ts'
import { counterfactualLane, counterfactualPass } from './pass.ts'

const kind = `monitor-${counterfactualLane}`
/** After so many batches the job is given back. */
const batchesInTurn = 10

/** Begins with the answers that come from now on. Gives what stops it. */
export async function startCounterfactuals(
  plan: CounterfactualPlan,
  { store, now, warn }: MonitoringParts,
  everyMs: number,
): Promise<() => Promise<void>> {
  await store.monitoring.begin(counterfactualLane)
  await store.jobs.schedule({ kind, payload: null, everyMs })
  const runner = createRunner({ ...plan, warn })
  const asker = openAsker(plan)
  const parts = { store, plan, asker, runner, now }
  const worker = startWorker(store.jobs, {
    warn,
    pollMs: everyMs,
    handlers: {
      [kind]: async (_, { signal }) => {
        for (let batch = 0; batch < batchesInTurn; batch++) if (!(await counterfactualPass(parts, signal))) break
        return null
      },
    },
  })
  return async () => {
    await worker.stop()
    await runner.close()
    await asker.close()
  }
}
