import { availableParallelism } from 'node:os'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { PlumblineError } from '@plumbline/contracts'
import { createKernels, type KernelName } from './kernels.ts'
import { createTask, PROGRESS, type TaskItem, workOn } from './task.ts'
import type { WorkerSetup } from './worker.ts'

export interface ComputePoolOptions {
  /** Threads in all, the calling one included; default: one per core. 1 starts no worker. */
  threads?: number
  /** The module that the workers run. */
  workerUrl?: URL
  /** How long a run may make no progress before the pool gives up on a worker that died without a word. */
  stallTimeoutMs?: number
}

/** What a run of the pool came to. */
export interface PoolRun {
  /** The kernel's sum over each block, in block order: the same bytes with any number of threads. */
  readonly partialSums: Float64Array
  /** Blocks that each thread did; thread 0 is the caller. */
  readonly blocksByThread: Int32Array
}

/**
 * Threads that run element-wise kernels over shared memory. Results do not depend on the number of threads nor on who
 * was faster. Idle workers sleep, and do not keep the process alive.
 */
export interface ComputePool {
  readonly threads: number
  /** Resolves when every worker runs. Not needed before `run`: until they are up the caller does their share. */
  whenReady(): Promise<void>
  /**
   * Runs one kernel over all items and returns when it is done; the caller works too. All operands of an item are of
   * one length, or it throws `BAD_VALUE`. Throws `WORKER_FAILED` when a worker dies or throws: what the run was writing is then half done, and
   * the pool refuses every later run.
   */
  run(kernel: KernelName, items: readonly TaskItem[]): PoolRun
  /** Ends the workers. The pool refuses every later run. */
  dispose(): Promise<void>
}

const MAX_THREADS = 256
/** Waking a worker costs about as much as this many elements cost one thread. */
const ALONE_BELOW_ELEMENTS = 32768

// as source the worker is a .ts file, in the published package a .js file
const defaultWorkerUrl = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)

/** Starts the threads; once per process is enough. Throws `BAD_VALUE` for a thread count that makes no sense. */
export function createComputePool({
  threads = availableParallelism(),
  workerUrl = defaultWorkerUrl,
  stallTimeoutMs = 30_000,
}: ComputePoolOptions = {}): ComputePool {
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new PlumblineError('BAD_VALUE', `Compute pool: threads is ${threads}, not a whole number from 1 to 256.`, {
      hint: `This machine has ${availableParallelism()} cores; use at most that many.`,
    })
  }
  const kernels = createKernels()
  const tasksPosted = new Int32Array(new SharedArrayBuffer(4))
  const crew = Array.from({ length: threads - 1 }, (_, index) => startWorker(workerUrl, index + 1, tasksPosted))
  let refusal: PlumblineError | undefined
  for (const member of crew) member.worker.once('exit', () => (refusal ??= member.failure()))

  return {
    threads,
    whenReady: async () => {
      await Promise.all(crew.map(({ ready }) => ready))
    },
    run(kernel, items) {
      if (refusal) throw refusal
      for (const item of items) requireShared(kernel, item)
      const task = createTask(kernel, items, threads)
      const elements = items.reduce((sum, { operands }) => sum + operands[0].length, 0)
      if (elements >= ALONE_BELOW_ELEMENTS && crew.length > 0) {
        for (const { port } of crew) port.postMessage(task)
        Atomics.add(tasksPosted, 0, 1)
        Atomics.notify(tasksPosted, 0)
      }
      workOn(task, kernels, 0)
      if (!waitUntilDone(task.progress, task.partialSums.length, stallTimeoutMs)) {
        refusal = workerFailed(crew.map(({ port }) => receiveMessageOnPort(port)?.message).find(Boolean))
        throw refusal
      }
      return { partialSums: task.partialSums, blocksByThread: task.progress.slice(PROGRESS.byThread) }
    },
    async dispose() {
      refusal = new PlumblineError('POOL_DISPOSED', 'Compute pool: it was disposed and cannot run anything.', {
        hint: 'Dispose the pool after the last optimizer step, or create a new one.',
      })
      for (const { port } of crew) port.close()
      await Promise.all(crew.map(({ worker }) => worker.terminate()))
    },
  }
}

/** Memory that is not shared would reach a worker as a copy, and what it writes there would be lost without a word. */
function requireShared(kernel: KernelName, { operands }: TaskItem): void {
  for (const { buffer, length } of operands) {
    if (buffer instanceof SharedArrayBuffer && length === operands[0].length) continue
    throw new PlumblineError('BAD_VALUE', `Compute pool, ${kernel}: operands must be shared and of one length.`, {
      hint: 'Make weights and gradients with createParameter.',
    })
  }
}

interface CrewMember {
  readonly worker: Worker
  readonly port: MessagePort
  readonly ready: Promise<void>
  /** Why the worker is gone. */
  failure(): PlumblineError
}

function startWorker(url: URL, thread: number, tasksPosted: Int32Array<SharedArrayBuffer>): CrewMember {
  const { port1, port2 } = new MessageChannel()
  const setup: WorkerSetup = { thread, port: port2, tasksPosted }
  const worker = new Worker(url, {
    workerData: setup,
    transferList: [port2],
    name: `compute-${thread}`,
    execArgv: [], // flags of the caller's script, such as --input-type, would keep the worker from starting
  })
  let cause: unknown
  worker.on('error', (error) => {
    cause = error
  })
  const failure = () => workerFailed(cause)
  const ready = new Promise<void>((resolve, reject) => {
    worker.once('message', () => {
      worker.unref() // from here on it sleeps most of the time and must not hold the process
      resolve()
    })
    worker.once('exit', () => reject(failure()))
  })
  ready.catch(() => {}) // told by `run` too; nobody has to ask `whenReady`
  return { worker, port: port1, ready, failure }
}

function workerFailed(cause: unknown): PlumblineError {
  const reason = cause instanceof Error ? `: ${cause.message}` : ' without saying why'
  return new PlumblineError('WORKER_FAILED', `Compute pool: a worker thread ended or hangs${reason}.`, {
    hint: 'Resume from the last checkpoint: the weights in memory may be half updated. Out of memory is a common reason.',
    cause,
  })
}

/** Blocks the thread until all blocks are done; false when a worker failed or nothing moved for too long. */
function waitUntilDone(progress: Int32Array<SharedArrayBuffer>, blocks: number, stallTimeoutMs: number): boolean {
  for (;;) {
    const done = Atomics.load(progress, PROGRESS.blocksDone)
    if (Atomics.load(progress, PROGRESS.failed) === 1) return false
    if (done >= blocks) return true
    if (Atomics.wait(progress, PROGRESS.blocksDone, done, stallTimeoutMs) === 'timed-out') return false
  }
}
