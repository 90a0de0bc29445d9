import { Worker } from 'node:worker_threads'
import type { Database, Parameter, Queries, Row } from './database.ts'
import type { WorkerReply, WorkerRequest } from './pglite-worker.ts'
import { vacuum } from './vacuum.ts'

/** What comes before the id of a request. */
type Unnumbered<Request> = Request extends { id: number } ? Omit<Request, 'id'> : never

interface Waiting {
  resolve(rows: Row[]): void
  reject(error: Error): void
}

const endsWithinMs = 5_000
/**
 * For what its thread has just made (three half-spaces of V8). Nearly nothing of that is kept, yet V8 lets it grow to 134 MB
 * in minutes.
 */
const youngMb = 48

export interface PgliteOptions {
  /** A statement that takes longer has hung: all that waits fails. Asked at every statement; undefined waits for ever. */
  readonly patienceMs?: () => number | undefined
  /** Called when it answers no more, closed or not. */
  readonly onEnd?: (reason: Error) => void
}

/** PostgreSQL in this process, in a folder or (without one) in memory. One connection: transactions take turns. */
export function openPglite(
  folder: string | undefined,
  { patienceMs = () => undefined, onEnd }: PgliteOptions = {},
): Database {
  const worker = new Worker(new URL('./pglite-worker.ts', import.meta.url), {
    workerData: { folder },
    name: 'store',
    resourceLimits: { maxYoungGenerationSizeMb: youngMb },
    execArgv: [], // flags of the caller's script, such as --input-type, would keep the worker from starting
  })
  const waiting = new Map<number, Waiting>()
  let lastId = 0
  let ended: Error | undefined
  const endWith = (error: Error) => {
    if (ended === undefined) onEnd?.(error)
    ended ??= error
    for (const { reject } of waiting.values()) reject(ended)
    waiting.clear()
  }
  worker.on('message', (reply: WorkerReply) => {
    const request = waiting.get(reply.id)
    waiting.delete(reply.id)
    if ('rows' in reply) request?.resolve(reply.rows)
    else request?.reject(Object.assign(new Error(reply.failure.message), { code: reply.failure.code }))
  })
  worker.on('error', endWith)
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  worker.on('exit', () => endWith(new Error('The embedded store has ended.')))

  const ask = (request: Unnumbered<WorkerRequest>) =>
    new Promise<Row[]>((resolve, reject) => {
      if (ended !== undefined) return reject(ended)
      const id = ++lastId
      worker.postMessage({ ...request, id }, 'parameters' in request ? ownMemory(request.parameters) : [])
      waiting.set(id, { resolve, reject })
    })
  const query: Queries['query'] = async (sql, parameters = []) => {
    const ms = patienceMs()
    if (ms === undefined) return ask({ sql, parameters })
    const hang = () => endWith(new Error(`it has not answered a statement for ${ms / 1000} s`))
    const timer = setTimeout(hang, ms).unref()
    return ask({ sql, parameters }).finally(() => clearTimeout(timer))
  }

  const inTurn = createTurns()
  const queryInTurn: Queries['query'] = (sql, parameters) => inTurn(() => query(sql, parameters))
  return {
    query: queryInTurn,
    transaction: (work) => inTurn(() => transact({ query }, work)),
    vacuum: (signal) => vacuum({ query: queryInTurn }, signal),
    close: async () => {
      await inTurn(() => ask({ close: true })).catch(() => {})
      // It ends by itself; stopped in the middle of that, a process has died of it (SIGSEGV, twice in the tests).
      const stop = setTimeout(() => worker.terminate(), endsWithinMs)
      await exited
      clearTimeout(stop)
    },
  }
}

/** Bytes that have memory of their own go over to the other thread instead of being copied. */
function ownMemory(parameters: readonly Parameter[]): ArrayBuffer[] {
  const memory = parameters.flatMap((value) => {
    if (!(value instanceof Uint8Array) || value.byteLength !== value.buffer.byteLength) return []
    return value.buffer instanceof ArrayBuffer ? [value.buffer] : []
  })
  return [...new Set(memory)]
}

async function transact<T>(queries: Queries, work: (queries: Queries) => Promise<T>): Promise<T> {
  await queries.query('begin')
  try {
    const result = await work(queries)
    await queries.query('commit')
    return result
  } catch (error) {
    await queries.query('rollback').catch(() => {})
    throw error
  }
}

/** Work after work, in the order of the calls, whether the one before failed or not. */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work, work)
    last = turn.catch(() => {})
    return turn
  }
}
