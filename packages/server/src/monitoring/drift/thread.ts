/** One look for drift, away from the gateway's thread. */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { createRandom } from '@plumbline/engine/random'
import { type DriftSample, drift } from '@plumbline/monitor'
import { readRecord } from '../evaluation/read-record.ts'

export interface DriftRequest {
  readonly reference: readonly { readonly record: string; readonly body: string }[]
  readonly current: readonly { readonly record: string; readonly body: string }[]
  /** Probability of a false alarm. */
  readonly level: number
}

// On Linux a priority belongs to a thread.
if (process.platform === 'linux') setPriority(10)

const { reference, current, level } = workerData as DriftRequest
// The same texts give the same report, whoever looks again.
parentPort?.postMessage(drift(samplesOf(reference), samplesOf(current), { random: createRandom(1), level }))

function samplesOf(bodies: DriftRequest['current']): DriftSample[] {
  return bodies.flatMap(({ record, body }) => {
    const { item } = readRecord(body, { facts: [], canaries: [], cohorts: [] })
    return item === undefined ? [] : [{ id: record, text: item.completion }]
  })
}
