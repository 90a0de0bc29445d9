/** Which checkpoints of a run stay, which is the newest whole one, which the best. */
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import {
  type Checkpoint,
  type CheckpointRecord,
  type CheckpointToSave,
  checkpointFailed,
  isDamaged,
  listCheckpoints,
  readCheckpoint,
  readRecord,
  removeCheckpoint,
  writeCheckpoint,
} from './checkpoint.ts'
import { checkConfig, type RunConfig } from './run-config.ts'
import type { RunLogs } from './run-logs.ts'

export interface CheckpointsOptions {
  command: string
  config: RunConfig
  version: string
  keep?: number | undefined
  best?: 'lowest' | 'highest' | undefined
  mayDiffer?: readonly string[]
  warn?: (text: string) => void
}

/** A checkpoint with its note on the run. */
export interface FoundCheckpoint {
  readonly checkpoint: Checkpoint
  readonly record: CheckpointRecord
}

/** The checkpoints of one run. */
export interface RunCheckpoints {
  /** Undefined when there is none. Throws CHECKPOINT_DAMAGED when there are some, but none is whole. */
  loadNewest(): Promise<FoundCheckpoint | undefined>
  loadBest(): Promise<Checkpoint | undefined>
  save(checkpoint: CheckpointToSave, logs: RunLogs): Promise<void>
}

/** Reads the metrics of those that are there. */
export async function openCheckpoints(runFolder: string, options: CheckpointsOptions): Promise<RunCheckpoints> {
  const { command, config, version, keep, best, mayDiffer = [], warn = () => {} } = options
  const folder = join(runFolder, 'checkpoints')
  const origin = { command, version, config: JSON.parse(JSON.stringify(config)) }
  /** Step → metric of the checkpoints that are whole as far as is known. */
  const metrics = new Map<number, number | null>()
  for (const step of await listCheckpoints(folder)) {
    const record = await readRecord(folder, step).catch(ignoreDamaged)
    if (record !== undefined) metrics.set(step, record.metric)
  }
  const skip = (step: number, error: unknown) => {
    if (!isDamaged(error)) throw error
    metrics.delete(step)
    warn(`${error.message} It is skipped.`)
    return error
  }
  const load = async (step: number): Promise<FoundCheckpoint> => {
    const record = await readRecord(folder, step)
    checkConfig(`${folder}, step ${step}`, record.config, config, { mayDiffer })
    return { record, checkpoint: await readCheckpoint(folder, record) }
  }
  const removeOld = async () => {
    const kept = keptSteps(metrics, keep, best)
    for (const old of await listCheckpoints(folder)) {
      if (kept.has(old)) continue
      await removeCheckpoint(folder, old)
      metrics.delete(old)
    }
  }
  return {
    async loadNewest() {
      let damage: PlumblineError | undefined
      for (const step of (await listCheckpoints(folder)).reverse()) {
        try {
          return await load(step)
        } catch (error) {
          damage = skip(step, error)
        }
      }
      if (damage === undefined) return undefined
      throw new PlumblineError('CHECKPOINT_DAMAGED', `No checkpoint in ${folder} is whole. ${damage.message}`, {
        hint: 'Start again with another --output.',
        cause: damage,
      })
    },
    async loadBest() {
      for (;;) {
        const step = bestStep(metrics, best)
        if (step === undefined) return undefined
        try {
          return (await load(step)).checkpoint
        } catch (error) {
          skip(step, error)
        }
      }
    },
    async save(checkpoint, logs) {
      const { step, metric } = checkpoint
      // A run that goes on with a lower limit, as the disk was full, needs the room first.
      await removeOld()
      // The logs go first: a checkpoint must not speak of lines that are not on the disk.
      await logs.flush({ sync: true }).catch(async (error) => {
        throw await checkpointFailed(folder, checkpoint, error)
      })
      await writeCheckpoint(folder, checkpoint, origin, logs.sizes)
      metrics.set(step, metric !== undefined && Number.isFinite(metric) ? metric : null)
      await removeOld()
    },
  }
}

function ignoreDamaged(error: unknown): undefined {
  if (!isDamaged(error)) throw error
}

/** The newest `keep` steps and the best one; all when `keep` is undefined. */
function keptSteps(
  metrics: ReadonlyMap<number, number | null>,
  keep: number | undefined,
  best: CheckpointsOptions['best'],
): Set<number> {
  const steps = [...metrics.keys()].sort((a, b) => b - a)
  const kept = new Set(steps.slice(0, keep === undefined ? steps.length : Math.max(1, keep)))
  const top = bestStep(metrics, best)
  return top === undefined ? kept : kept.add(top)
}

/** The step with the best metric, the earliest of equals. */
function bestStep(metrics: ReadonlyMap<number, number | null>, best: CheckpointsOptions['best']): number | undefined {
  if (best === undefined) return undefined
  const sign = best === 'lowest' ? 1 : -1
  const rated = [...metrics].flatMap(([step, metric]) => (metric === null ? [] : [[step, sign * metric]]))
  return rated.sort((a, b) => a[1] - b[1] || a[0] - b[0])[0]?.[0]
}
