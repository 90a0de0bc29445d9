import { Worker } from 'node:worker_threads'
import { PlumblineError } from '@plumbline/contracts'
import type { EvaluatorSetup } from './evaluators-of.ts'
import type { Judgement, ThreadReply, ThreadRequest, ThreadSetup } from './thread.ts'
import { noRecord, notRead } from './verdict.ts'

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
/** And for what was just made, in megabytes (three half-spaces of V8): by itself that grows to 134 MB. */
const youngMb = 48
/** To load its evaluators, on a machine that has no time for it. */
const startupMs = 300_000
/** Times that one record and evaluator, or the start, may end the thread. */
const mostDeaths = 2

/** In place of a record: none is under way yet. In place of an evaluator: the record is being read. */
const atStart = -1
const whileReading = -1

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
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb, maxYoungGenerationSizeMb: youngMb },
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
      Atomics.store(place, 0, atStart)
      Atomics.store(place, 1, whileReading)
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
        clearTimeout(timer)
        timer = setTimeout(onHang, patienceMs)
        if (reply === 'ready') {
          isReady = true
          return
        }
        for (const { index, judgement } of reply.findings) found.set(index, judgement)
        if (reply.isDone) end(() => resolve(undefined))
      }
      const onDeath = () => kill(() => resolve('EVALUATOR_CRASHED'))
      const onAbort = () => kill(() => reject(signal.reason))
      const onHang = () => kill(() => resolve('EVALUATOR_HUNG'))
      let timer = setTimeout(onHang, isReady ? patienceMs : startupMs)
      signal.addEventListener('abort', onAbort)
      own.on('message', onReply).on('error', onDeath).on('exit', onDeath)
      own.postMessage(request)
    })

  /** Where the thread ended. A record that was judged already is not it: of several at a time the oldest is. */
  const blamed = (bodies: readonly string[], found: ReadonlyMap<number, Judgement>) => {
    const [index, evaluator] = place
    if (index === atStart || !found.has(index)) return { index, evaluator }
    return { index: bodies.findIndex((_, one) => !found.has(one)), evaluator: 0 }
  }

  return {
    evaluate: async (bodies, signal) => {
      signal.throwIfAborted()
      const found = new Map<number, Judgement>()
      const deaths: Pair[] = []
      const skip: Pair[] = []
      while (found.size < bodies.length) {
        const left = bodies.map((body, index) => ({ index, body })).filter(({ index }) => !found.has(index))
        const code = await round({ records: left, skip }, found, signal)
        if (code === undefined || found.size === bodies.length) continue
        const pair = { ...blamed(bodies, found), code }
        deaths.push(pair)
        const times = deaths.filter((one) => one.index === pair.index && one.evaluator === pair.evaluator).length
        warn(`The evaluation thread ended (${code}) at ${nameOf(setup, pair)}, time ${times}.`)
        if (times < mostDeaths) continue
        if (pair.index === atStart) throw noStart(code)
        if (pair.evaluator === whileReading) found.set(pair.index, unreadable(setup))
        else skip.push(pair)
      }
      return bodies.map((_, index) => found.get(index)!)
    },
    close: async () => {
      await thread?.terminate()
      thread = undefined
    },
  }
}

function nameOf({ names }: EvaluatorSetup, { index, evaluator }: Pair): string {
  if (index === atStart) return 'its start'
  return evaluator === whileReading ? 'the reading of a record' : (names[evaluator] ?? 'judge')
}

function noStart(code: string): PlumblineError {
  return new PlumblineError('EVALUATION_THREAD', `The evaluation thread ends before it judges anything (${code}).`, {
    hint: 'Records wait, and it is tried again. Look for what the process said on its standard error.',
  })
}

function unreadable({ names, judge }: EvaluatorSetup): Judgement {
  const judged = Array.from({ length: names.length + Number(judge !== undefined) }, () => notRead)
  return { ...noRecord, judged }
}
