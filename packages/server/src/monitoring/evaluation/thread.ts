/** The evaluation thread: records come as JSON, findings go back. Nothing here waits for the gateway. */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { type Evaluator, evaluate } from '@plumbline/evals'
import { type EvaluatorSetup, evaluatorsOf } from './evaluators-of.ts'
import { type ReadRecord, readRecord } from './read-record.ts'
import { type Judged, judgedOf, noRecord, notRead, setAside } from './verdict.ts'

export interface ThreadSetup {
  readonly setup: EvaluatorSetup
  /** Records judged at a time; more than one only where evaluators wait for others. */
  readonly concurrency: number
  /** Two numbers: which record and which evaluator is under way, -1 while it is read: for whoever finds the thread dead. */
  readonly underWay: SharedArrayBuffer
}

export interface ThreadRequest {
  readonly records: readonly { readonly index: number; readonly body: string }[]
  /** Pairs of record and evaluator that have ended this thread before: not tried again. */
  readonly skip: readonly { readonly index: number; readonly evaluator: number; readonly code: string }[]
}

export interface Judgement extends Omit<ReadRecord, 'item'> {
  readonly judged: readonly Judged[]
}

export interface Finding {
  readonly index: number
  readonly judgement: Judgement
}

/** Findings since the reply before; `isDone` with the last ones. */
export type ThreadReply = { readonly findings: readonly Finding[]; readonly isDone: boolean } | 'ready'

const { setup, concurrency, underWay } = workerData as ThreadSetup
const place = new Int32Array(underWay)

// On Linux a priority belongs to a thread: the gateway's is not touched, and goes first.
if (process.platform === 'linux') setPriority(10)

/**
 * Findings go back together, as each message wakes the gateway's thread. Where several records are judged at a time each
 * goes at once: the runner must know which are done to tell which one ended the thread.
 */
const holdMs = concurrency === 1 ? 250 : 0

parentPort?.on('message', (request: ThreadRequest) => void work(request))
reply('ready')

async function work({ records, skip }: ThreadRequest): Promise<void> {
  // Anew each time: a judge that was given up is asked again.
  const source = setup.module === undefined ? undefined : (await import(setup.module)).evaluators
  const { list, close } = evaluatorsOf(setup, source)
  const waiting = [...records]
  let held: Finding[] = []
  let toldAt = performance.now()
  const tell = (isDone: boolean) => {
    reply({ findings: held, isDone })
    held = []
    toldAt = performance.now()
  }
  const next = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const { index } = one
      const skipped = new Map(
        skip.filter((pair) => pair.index === index).map(({ evaluator, code }) => [evaluator, code]),
      )
      held.push({ index, judgement: await judge(one, list, skipped) })
      if (performance.now() - toldAt >= holdMs) tell(false)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, next))
  await close()
  tell(true)
}

async function judge(
  { index, body }: ThreadRequest['records'][number],
  list: readonly Evaluator[],
  skipped: ReadonlyMap<number, string>,
): Promise<Judgement> {
  const begin = (evaluator: number) => {
    Atomics.store(place, 0, index)
    Atomics.store(place, 1, evaluator)
  }
  begin(-1)
  const read = readOrUndefined(body)
  if (read === undefined) return { ...noRecord, judged: list.map(() => notRead) }
  const { item, ...rest } = read
  const judged: Judged[] = []
  for (const [which, evaluator] of list.entries()) {
    begin(which)
    const code = skipped.get(which)
    if (code !== undefined) judged.push({ ...notRead, error: code })
    else judged.push(item === undefined ? setAside('no_text') : judgedOf(evaluator, await evaluate(evaluator, item)))
  }
  return { ...rest, judged }
}

/**
 * JSON may take twenty times its length in memory, and a heap that is full in the middle of `JSON.parse` ends the whole
 * process, not the thread alone. A request of 16 MB, the gateway's default bound, still fits.
 */
const maxReadLength = 18 * 2 ** 20

function readOrUndefined(body: string): ReadRecord | undefined {
  if (body.length > maxReadLength) return undefined
  try {
    return readRecord(body, setup)
  } catch {
    return undefined
  }
}

function reply(message: ThreadReply): void {
  parentPort?.postMessage(message)
}
