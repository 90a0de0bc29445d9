/** From the bytes of a file to float32 parameters, on several threads when there is much of it. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { PlumblineError } from '@plumbline/contracts'
import { createParameter, type Parameter, type ParameterMap } from '@plumbline/engine'
import { type ReadingSetup, type ReadingTask, readShare, type StoredWeight } from './read-share.ts'

/** What a thread says when it cannot go on; nothing when all is read. */
export interface ReadingFailure {
  readonly code?: string
  readonly message: string
  readonly hint?: string
}

// A thread takes a tenth of a second to start, in which one reads about so many numbers.
const ELEMENTS_A_THREAD = 1 << 24
const MOST_THREADS = 4

/** Reads weights as float32, in the order given. Throws what the files throw when they have changed, and READING_FAILED. */
export async function readWeights(weights: readonly StoredWeight[]): Promise<ParameterMap> {
  const parameters = new Map<string, Parameter>()
  const tasks = weights.map((weight): ReadingTask => {
    const { name, shape, layout } = weight
    const parameter = createParameter(name, layout.kind === 'transposed' ? shape.toReversed() : shape)
    parameters.set(name, parameter)
    return { weight, data: parameter.data }
  })
  const elements = tasks.reduce((sum, { data }) => sum + data.length, 0)
  const threads = Math.min(availableParallelism(), MOST_THREADS, Math.ceil(elements / ELEMENTS_A_THREAD)) - 1
  // The large ones first, so that nobody waits long for the last.
  const bySize = tasks.toSorted((a, b) => b.data.length - a.data.length)
  const setup: ReadingSetup = { tasks: bySize, next: new Int32Array(new SharedArrayBuffer(4)) }
  const helpers = Array.from({ length: threads }, () => startHelper(setup))
  const shares = [readShare(setup), ...helpers.map(({ done }) => done)]
  try {
    await Promise.all(shares)
  } finally {
    // Nobody writes into these weights when the caller has heard of a failure.
    Atomics.store(setup.next, 0, tasks.length)
    await Promise.all(helpers.map(({ worker }) => worker.terminate()))
    await Promise.allSettled(shares)
  }
  return parameters
}

function startHelper(setup: ReadingSetup): { worker: Worker; done: Promise<void> } {
  const worker = new Worker(new URL('./read-weights-thread.ts', import.meta.url), {
    workerData: setup,
    name: 'weights',
    execArgv: [],
  })
  const done = new Promise<void>((resolve, reject) => {
    worker.once('message', ({ code = 'READING_FAILED', message, hint }: ReadingFailure) =>
      reject(new PlumblineError(code, message, { hint })),
    )
    worker.once('error', (cause) =>
      reject(
        new PlumblineError('READING_FAILED', `A thread that read weights failed: ${cause.message}.`, {
          hint: 'Out of memory is a common reason. Try a smaller model.',
          cause,
        }),
      ),
    )
    worker.once('exit', () => resolve())
  })
  return { worker, done }
}
