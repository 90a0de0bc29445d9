import { Worker } from 'node:worker_threads'
import type { EvaluatorSetup } from './evaluators-of.ts'
import type { Judgement, ThreadReply, ThreadRequest, ThreadSetup } from './thread.ts'

/** Judges records in a thread of its own, which may die: what ended it twice is left out, and said so. */
export interface EvaluationRunner {
  /** A judgement for each body, in their order. */
  evaluate(bodies: readonly string[], signal: AbortSignal): Promise<Judgement[]>
  close(): Promise<void>
}

export interface RunnerOptions {
  readonly setup: EvaluatorSetup
  readonly concurrency: number
  /** A thread that judges nothing for so long has hung. */
  readonly patienceMs: number
  readonly warn: (text: string) => void
}

/** Heap of the thread, in megabytes: an evaluator that eats memory ends its thread and not the gateway. */
const maxHeapMb = 512
/** To load its evaluators, on a machine that has no time for it. */
const startupMs = 300_000
/** Times that one record and evaluator may end the thread. */
const mostDeaths = 2

type Pair = ThreadRequest['skip'][number]

export function createRunner({ setup, concurrency, patienceMs, warn }: RunnerOptions): EvaluationRunner {
  const underWay = new SharedArrayBuffer(8)
  const place = new Int32Array(underWay)
  let thread: Worker | undefined
  let isReady = false

  const start = () => {
    const workerData: ThreadSetup = { setup, concurrency, underWay }
    const started = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData,
      name: 'evaluation',
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
      execArgv: [],
    })
    isReady = false
    // Also between two rounds: the next one starts another.
    const forget = () => {
      if (thread === started) thread = undefined
    }
    return started.on('error', forget).on('exit', forget)
  }

  /** Until the thread has done all of it, or is dead: then gives why. */
  const round = (request: ThreadRequest, found: Map<number, Judgement>, signal: AbortSignal) =>
    new Promise<string | undefined>((resolve, reject) => {
      thread ??= start()
      const own = thread
      Atomics.store(place, 0, -1)
      const end = (finish: () => void) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        own.off('message', onReply).off('error', onDeath).off('exit', onDeath)
        finish()
      }
      const kill = (finish: () => void) => {
        // The end that follows is ours, and no crash.
        own.off('error', onDeath).off('exit', onDeath)
        void own.terminate().then(() => end(finish))
      }
      const onReply = (reply: ThreadReply) => {
        if (reply === 'done') return end(() => resolve(undefined))
        if (reply === 'ready') isReady = true
        clearTimeout(timer)
        timer = setTimeout(onHang, patienceMs)
        if (reply !== 'ready') found.set(reply.index, reply.judgement)
      }
      const onDeath = () => kill(() => resolve('EVALUATOR_CRASHED'))
      const onAbort = () => kill(() => reject(signal.reason))
      const onHang = () => kill(() => resolve('EVALUATOR_HUNG'))
      let timer = setTimeout(onHang, isReady ? patienceMs : startupMs)
      signal.addEventListener('abort', onAbort)
      own.on('message', onReply).on('error', onDeath).on('exit', onDeath)
      own.postMessage(request)
    })

  return {
    evaluate: async (bodies, signal) => {
      signal.throwIfAborted()
      const found = new Map<number, Judgement>()
      const deaths: Pair[] = []
      const skip: Pair[] = []
      while (found.size < bodies.length) {
        const left = bodies.map((body, index) => ({ index, body })).filter(({ index }) => !found.has(index))
        const code = await round({ records: left, skip }, found, signal)
        if (code === undefined) continue
        const isKnown = place[0] >= 0
        const pair = { index: isKnown ? place[0] : left[0].index, evaluator: isKnown ? place[1] : 0, code }
        deaths.push(pair)
        const times = deaths.filter((one) => one.index === pair.index && one.evaluator === pair.evaluator).length
        warn(`The evaluation thread ended (${code}) at ${nameOf(setup, pair.evaluator)}, time ${times} for one record.`)
        if (times >= mostDeaths) skip.push(pair)
      }
      return bodies.map((_, index) => found.get(index)!)
    },
    close: async () => {
      await thread?.terminate()
      thread = undefined
    },
  }
}

function nameOf({ names }: EvaluatorSetup, evaluator: number): string {
  return names[evaluator] ?? 'judge'
}
