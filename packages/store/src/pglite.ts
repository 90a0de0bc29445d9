import { Worker } from 'node:worker_threads'
import type { Database, Queries } from './database.ts'
import { createPeer } from './peer.ts'
import type { PgliteMethods } from './pglite-worker.ts'
import { vacuum } from './vacuum.ts'

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
  const peer = createPeer<PgliteMethods>(
    {
      send: (message) => worker.postMessage(message, 'values' in message ? ownMemory(message.values.flat()) : []),
      on: (event, listener) => worker.on(event, listener),
    },
    {},
  )
  let hasEnded = false
  const end = (reason: Error) => {
    if (!hasEnded) onEnd?.(reason)
    hasEnded = true
    peer.end(reason)
  }
  worker.on('error', end)
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  worker.on('exit', () => end(new Error('The embedded store has ended.')))

  const query: Queries['query'] = async (sql, parameters = []) => {
    const ms = patienceMs()
    if (ms === undefined) return peer.call('query', sql, parameters)
    const hang = () => end(new Error(`it has not answered a statement for ${ms / 1000} s`))
    const timer = setTimeout(hang, ms).unref()
    return peer.call('query', sql, parameters).finally(() => clearTimeout(timer))
  }

  const inTurn = createTurns()
  const queryInTurn: Queries['query'] = (sql, parameters) => inTurn(() => query(sql, parameters))
  return {
    query: queryInTurn,
    transaction: (work) => inTurn(() => transact({ query }, work)),
    vacuum: (signal) => vacuum({ query: queryInTurn }, signal),
    close: async () => {
      await inTurn(() => peer.call('close')).catch(() => {})
      // It ends by itself; stopped in the middle of that, a process has died of it (SIGSEGV, twice in the tests).
      const stop = setTimeout(() => worker.terminate(), endsWithinMs)
      await exited
      clearTimeout(stop)
    },
  }
}

/** Bytes that have memory of their own go over to the other thread instead of being copied. */
function ownMemory(values: readonly unknown[]): ArrayBuffer[] {
  const memory = values.flatMap((value) => {
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
