/** From the bytes of a file to float32 parameters, on several threads when there is much of it. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { PlumblineError } from '@plumbline/contracts'
import { createParameter, type Parameter, type ParameterMap } from '@plumbline/engine'
import { type ReadingSetup, type ReadingTask, readShare, type StoredWeight } from './read-share.ts'

/** What a thread says when it cannot go on; nothing when all is read. */
export interface ReadingFailure {
  /** Of an error that is meant for a user. */
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
  const worthwhile = Math.min(tasks.length, Math.ceil(elements / ELEMENTS_A_THREAD))
  const threads = Math.min(availableParallelism(), MOST_THREADS, worthwhile) - 1
  // The large ones first, so that nobody waits long for the last.
  const bySize = tasks.toSorted((a, b) => b.data.length - a.data.length)
  const setup: ReadingSetup = { tasks: bySize, next: new Int32Array(new SharedArrayBuffer(4)) }
  const helpers: Helper[] = []
  const shares = [readShare(setup)]
  try {
    while (helpers.length < threads) {
      const helper = startHelper(setup)
      // A machine that gives no further thread is no reason to fail: this one reads what nobody takes.
      if (!helper) break
      helpers.push(helper)
      shares.push(helper.done)
    }
    await Promise.all(shares)
  } catch (error) {
    throw error instanceof PlumblineError ? error : failed(error as Error)
  } finally {
    // Nobody writes into these weights when the caller has heard of a failure.
    Atomics.store(setup.next, 0, tasks.length)
    await Promise.all(helpers.map(({ worker }) => worker.terminate()))
    await Promise.allSettled(shares)
  }
  return parameters
}

function failed(cause: Error): PlumblineError {
  return new PlumblineError('READING_FAILED', `The weights could not be read: ${cause.message}.`, {
    hint: 'A faulty disk and too little memory are common reasons.',
    cause,
  })
}

interface Helper {
  readonly worker: Worker
  readonly done: Promise<void>
}

/** Undefined when the machine gives no thread. */
function startHelper(setup: ReadingSetup): Helper | undefined {
  let worker: Worker
  try {
    worker = new Worker(new URL('./read-weights-thread.ts', import.meta.url), {
      workerData: setup,
      name: 'weights',
      execArgv: [],
    })
  } catch {
    return undefined
  }
  const done = new Promise<void>((resolve, reject) => {
    worker.once('message', ({ code, message, hint }: ReadingFailure) =>
      reject(code === undefined ? failed(new Error(message)) : new PlumblineError(code, message, { hint })),
    )
    worker.once('error', (cause) => reject(failed(cause)))
    worker.once('exit', (status) =>
      status === 0 ? resolve() : reject(failed(new Error(`a thread ended with ${status}`))),
    )
  })
  return { worker, done }
}
