import { setTimeout as sleep } from 'node:timers/promises'
import { longestWaitMs } from '../later.ts'
import type { Jobs, LeasedJob } from './jobs.ts'

/**
 * Does one kind of job and gives its result. It may be begun twice: after a crash, and when a lease ran out. `signal`
 * says to stop.
 */
export type JobHandler = (payload: unknown, context: { readonly signal: AbortSignal }) => Promise<unknown>

export interface WorkerOptions {
  readonly handlers: Readonly<Record<string, JobHandler>>
  readonly warn: (text: string) => void
  readonly leaseMs?: number
  /** Between two looks at an empty queue. */
  readonly pollMs?: number
  /** Before the second try; doubled before each later one, up to an hour. */
  readonly backoffMs?: number
}

export interface Worker {
  /** Looks at once: a job was enqueued. */
  wake(): void
  /** Begins no more; what is under way is told to stop and goes back into the queue. */
  stop(): Promise<void>
}

/** Does jobs one after another. More of these, in one process or in several, share the queue. */
export function startWorker(jobs: Jobs, options: WorkerOptions): Worker {
  const { handlers, warn, leaseMs = 60_000, pollMs = 2_000, backoffMs = 1_000 } = options
  const kinds = Object.keys(handlers)
  const stopping = new AbortController()
  let woken = new AbortController()
  let isStoreAway = false

  const work = async (job: LeasedJob) => {
    const lost = new AbortController()
    const signal = AbortSignal.any([stopping.signal, lost.signal])
    const beat = setInterval(() => {
      // A store that is away for a moment: the next beat, or the end of the lease, decides.
      jobs.heartbeat(job, leaseMs).then((isOurs) => isOurs || lost.abort(new Error('the lease was lost')), ignore)
    }, leaseMs / 3)
    try {
      const result = await handlers[job.kind](job.payload, { signal })
      await jobs.complete(job, result)
    } catch (error) {
      if (stopping.signal.aborted) await jobs.release(job)
      else {
        const { message } = error as Error
        warn(`Job ${job.kind} ${job.id} failed, try ${job.attempts} of ${job.maxAttempts}: ${message}`)
        await jobs.fail(job, message, Math.min(longestWaitMs, backoffMs * 2 ** (job.attempts - 1)))
      }
    } finally {
      clearInterval(beat)
    }
  }

  const run = async () => {
    while (!stopping.signal.aborted) {
      woken = new AbortController()
      try {
        const job = await jobs.lease(kinds, leaseMs)
        if (isStoreAway) warn('Jobs go on.')
        isStoreAway = false
        if (job !== undefined) {
          await work(job)
          continue
        }
      } catch (error) {
        if (!isStoreAway) warn(`Jobs wait for the store: ${(error as Error).message}`)
        isStoreAway = true
      }
      const signal = AbortSignal.any([stopping.signal, woken.signal])
      await sleep(pollMs, undefined, { signal, ref: false }).catch(ignore)
    }
  }
  const running = run()

  return {
    wake: () => woken.abort(),
    stop: async () => {
      stopping.abort(new Error('the worker stops'))
      await running
    },
  }
}

function ignore(): void {}
