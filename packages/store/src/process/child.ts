import { readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import type { Database, Parameter, Queries, Row } from '../database.ts'
import { createPeer } from '../peer.ts'
import { openPglite } from '../pglite.ts'
import { readBatch, type SpoolIndex } from '../spool/read-batch.ts'
import { type Shipper, type ShipperOptions, type ShipperState, startShipper } from '../spool/shipper.ts'
import type { SpoolSource } from '../spool/spool.ts'
import { createStore } from '../store.ts'

/** The process of the embedded store: PGlite, and what brings records from the spool into it. */

/** What the gateway's process may call here. */
export type StoreMethods = {
  open(folder: string | undefined): Promise<void>
  /** From now on a statement that takes longer has hung. */
  watch(patienceMs: number): void
  /** Answered by a process that is not stuck. */
  ping(): void
  query(sql: string, parameters: readonly Parameter[], transaction: number | undefined): Promise<Row[]>
  /** Gives the number of a transaction once it is the only one. */
  begin(): Promise<number>
  end(transaction: number, isGood: boolean): Promise<void>
  /** Ships the spool of a folder until `stopShipping`. */
  ship(folder: string, options: ShippingTimes): void
  stopShipping(patienceMs: number): Promise<void>
  close(): Promise<void>
}

export type ShippingTimes = Pick<ShipperOptions, 'batchBytes' | 'retryMs' | 'gatherMs'>

/** What is called there from here. */
export type GatewayMethods = Pick<SpoolIndex, keyof SpoolIndex> & {
  /** Resolves when there may be something to read. */
  readable(): Promise<void>
  warn(text: string): void
  shipped(state: ShipperState): void
  /** Why this process ends now. */
  ended(reason: string): void
}

interface Transaction {
  readonly queries: Queries
  /** Its end, as `Database.transaction` has it. */
  end(isGood: boolean): Promise<void>
}

let database: Database | undefined
let shipper: Shipper | undefined
let isClosed = false
let patience: number | undefined
let lastTransaction = 0
const transactions = new Map<number, Transaction>()

const opened = (): Database => {
  if (database === undefined) throw new Error('The embedded store is not open.')
  return database
}

const begin = () =>
  new Promise<number>((began, failed) => {
    const id = ++lastTransaction
    const { promise: isOver, resolve, reject } = Promise.withResolvers<void>()
    const done = opened().transaction(async (queries) => {
      const end = (isGood: boolean) => {
        transactions.delete(id)
        if (isGood) resolve()
        else reject(new Error('rolled back'))
        return isGood ? done : done.catch(() => {})
      }
      transactions.set(id, { queries, end })
      began(id)
      await isOver
    })
    done.catch(failed)
  })

const methods: StoreMethods = {
  open: async (folder) => {
    database = openPglite(folder, { patienceMs: () => patience, onEnd: leave })
    // Everybody waits for the start of the database.
    await database.query('select 1 as one')
    giveWay()
  },
  watch: (patienceMs) => {
    patience = patienceMs
  },
  ping: () => {},
  query: async (sql, parameters, transaction) => {
    const queries = transaction === undefined ? opened() : transactions.get(transaction)?.queries
    if (queries === undefined) throw new Error('This transaction is over.')
    return queries.query(sql, parameters)
  },
  begin,
  end: async (transaction, isGood) => transactions.get(transaction)?.end(isGood),
  ship: (folder, options) => {
    const warn = (text: string) => void gateway.call('warn', text).catch(() => {})
    const onState = (state: ShipperState) => void gateway.call('shipped', state).catch(() => {})
    shipper ??= startShipper(spoolIn(folder), createStore(opened()), { ...options, folder, warn, onState })
  },
  stopShipping: async (patienceMs) => shipper?.stop(patienceMs),
  close: async () => {
    isClosed = true
    await database?.close()
  },
}
const gateway = createPeer<GatewayMethods>(process, methods)

/** The records are in this machine's files; where they are in there, the gateway's process says. */
function spoolIn(folder: string): SpoolSource {
  const index: SpoolIndex = {
    next: (after) => gateway.call('next', after),
    lend: (maxBytes) => gateway.call('lend', maxBytes),
    repay: (loan) => gateway.call('repay', loan),
    commit: (end) => gateway.call('commit', end),
    setAside: (from, bytes) => gateway.call('setAside', from, bytes),
    keepAside: (name, bytes, from) => gateway.call('keepAside', name, bytes, from),
  }
  return {
    read: (maxBytes, after) => readBatch(folder, index, { maxBytes, after }),
    readable: async (signal) => {
      if (signal.aborted) return
      const { promise: aborted, resolve } = Promise.withResolvers<unknown>()
      signal.addEventListener('abort', resolve)
      await Promise.race([gateway.call('readable'), aborted])
      signal.removeEventListener('abort', resolve)
    },
  }
}

/**
 * Answers come before the records of earlier ones, which are safe in the spool. Linux has a priority for each thread: those
 * that come later have it from the one that makes them.
 */
function giveWay(): void {
  const threads = process.platform === 'linux' ? readdirSync('/proc/self/task').map(Number) : [process.pid]
  for (const thread of threads) {
    try {
      setPriority(thread, Math.min(19, getPriority(thread) + 10))
    } catch {
      // A thread that has ended; or a sandbox that forbids it, where all are equals.
    }
  }
}

/** Without a database it is of no use: the gateway's process says why, and starts another. */
function leave(error: Error): void {
  if (!isClosed) gateway.call('ended', error.message).then(die, die)
}

/** `process.exit` would wait for a thread that has hung. A store that nobody closed is as a kill leaves it. */
function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

// What stops the gateway is sent to this process too, by a terminal or a service manager, and is not for it to decide.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
// The folder is to be free at once for the next plumb serve.
process.on('disconnect', () => (isClosed ? process.exit(0) : die()))
