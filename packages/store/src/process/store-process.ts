import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Queries } from '../database.ts'
import { createPeer, type Peer } from '../peer.ts'
import type { Shipper, ShipperOptions, ShipperState } from '../spool/shipper.ts'
import type { Spool } from '../spool/spool.ts'
import { vacuum } from '../vacuum.ts'
import type { GatewayMethods, ShippingTimes, StoreMethods } from './child.ts'

export interface StoreProcessOptions {
  readonly warn: (text: string) => void
  /**
   * Called with the number of each process before it touches the folder: until that has ended too, the folder is in use.
   * Left out where nobody else comes.
   */
  readonly hold?: ((pid: number) => Promise<void>) | undefined
  /** A statement that takes longer, or an answer of the process, has hung. PostgreSQL's server knows of limits itself. */
  readonly patienceMs?: number
}

/** An embedded store in a process of its own, which gives way to this one. */
export interface StoreProcess {
  readonly database: Database
  /** From now on one that is stuck is ended. Not before its tables are up to date, which takes what it takes. */
  watch(): void
  /** As `startShipper`, but there: no record passes through this process but those that only memory holds. */
  ship(spool: Spool, options: ShipperOptions): Shipper
}

interface Running {
  readonly child: ChildProcess
  readonly peer: Peer<StoreMethods>
}

/** What is being shipped. One that was started anew counts anew, from what was `before`. */
interface Shipping {
  readonly spool: Spool
  readonly options: ShipperOptions
  readonly stopping: AbortController
  before: ShipperState
}

/** Between an end and the next start: more after every start that failed. */
const restartMs = { first: 1_000, most: 60_000 }
const pingEveryMs = 30_000
/** Much: the vacuum of a table is one statement, and this process gives way to all others. */
const longPatienceMs = 600_000
/** As for the database's thread: of what is just made nearly nothing is kept, yet V8 would let it grow to 134 MB. */
const halfSpaceMb = 16
/** To write what is not in its files yet. Killed it has that in its log, and takes longer to start. */
const closesWithinMs = 30_000
const afterPatienceMs = 1_000
const none: ShipperState = { shipped: 0, refused: 0, isStoreAway: false }

/** In a folder or (without one) in memory. One that ends by itself is started anew; what waits for an answer of it fails. */
export function startStoreProcess(
  folder: string | undefined,
  { warn, hold, patienceMs = longPatienceMs }: StoreProcessOptions,
): StoreProcess {
  const closing = new AbortController()
  let state = none
  let shipping: Shipping | undefined
  let reason: string | undefined
  let child: ChildProcess | undefined
  let isWatched = false

  const shipped = (): Shipping => {
    if (shipping === undefined) throw new Error('No spool is being shipped.')
    return shipping
  }
  const methods: GatewayMethods = {
    next: (after) => shipped().spool.next(after),
    lend: (maxBytes) => shipped().spool.lend(maxBytes),
    repay: (loan) => shipped().spool.repay(loan),
    commit: (end) => shipped().spool.commit(end),
    setAside: (from, bytes) => shipped().spool.setAside(from, bytes),
    keepAside: (name, bytes, from) => shipped().spool.keepAside(name, bytes, from),
    readable: () => shipped().spool.readable(shipped().stopping.signal),
    warn: (text) => shipped().options.warn(text),
    shipped: (now) => {
      const { before } = shipped()
      state = { ...now, shipped: before.shipped + now.shipped, refused: before.refused + now.refused }
    },
    ended: (why) => {
      reason = why
    },
  }

  /** Ends a process that has not done something in time; what this gives is called when it has. */
  const killLater = (own: ChildProcess, ms: number, what: string) => {
    const kill = () => {
      reason = `it has not ${what} for ${ms / 1000} s`
      own.kill('SIGKILL')
    }
    const timer = setTimeout(kill, ms).unref()
    return () => clearTimeout(timer)
  }

  const start = async (): Promise<Running> => {
    closing.signal.throwIfAborted()
    reason = undefined
    if (folder !== undefined) await mkdir(dirname(folder), { recursive: true })
    const own = fork(new URL('./child.ts', import.meta.url), {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // Not the flags of the caller's script: some, such as --input-type, would keep it from starting. This one is
      // about the database: less is compiled for it, so it starts with a third less CPU and is slower later, as suits tests.
      execArgv: [
        ...process.execArgv.filter((flag) => flag === '--liftoff-only'),
        `--max-semi-space-size=${halfSpaceMb}`,
      ],
    })
    child = own
    const peer = createPeer<StoreMethods>(own, methods)
    const exited = new Promise((resolve) => own.once('exit', resolve))
    own.once('error', peer.end)
    own.once('exit', () => peer.end(new Error('The process of the embedded store has ended.')))
    await once(own, 'spawn')
    const isOpen = killLater(own, longPatienceMs, 'opened the store')
    try {
      await hold?.(own.pid!)
      await peer.call('open', folder)
      if (isWatched) beginWatch({ child: own, peer })
      if (shipping?.stopping.signal.aborted === false)
        await peer.call('ship', shipping.options.folder, timesOf(shipping.options))
    } catch (error) {
      own.kill('SIGKILL')
      // Not before that is the folder free for another one.
      await exited
      throw error
    } finally {
      isOpen()
    }
    own.once('exit', (code, signal) => {
      if (closing.signal.aborted) return
      state = { ...state, isStoreAway: true }
      const status = signal === 'SIGKILL' ? 'killed, as by a system that is out of memory' : (signal ?? code)
      warn(`The process of the embedded store has ended (${reason ?? status}); another one is started.`)
      restarting = restart().finally(() => {
        restarting = undefined
      })
    })
    return { child: own, peer }
  }

  /** Until it has gone well nobody waits for it: what is asked meanwhile fails. */
  const restart = async (): Promise<void> => {
    current = Promise.reject(new Error('The embedded store is being started anew.'))
    current.catch(() => {})
    if (shipping !== undefined) shipping.before = state
    for (let waitMs = restartMs.first; !closing.signal.aborted; waitMs = Math.min(2 * waitMs, restartMs.most)) {
      await sleep(waitMs, undefined, { ref: false, signal: closing.signal }).catch(() => {})
      try {
        const running = await start()
        current = Promise.resolve(running)
        warn('The process of the embedded store runs again.')
        state = { ...state, isStoreAway: false }
        return
      } catch (error) {
        if (closing.signal.aborted) return
        warn(`The process of the embedded store does not start, trying again: ${reason ?? (error as Error).message}`)
      }
    }
  }

  const beginWatch = (running: Running) => {
    running.peer.call('watch', patienceMs).catch(() => {})
    void keepPinging(running)
  }
  const keepPinging = async ({ child, peer }: Running) => {
    for (let isThere = true; isThere; ) {
      await sleep(Math.min(pingEveryMs, patienceMs), undefined, { ref: false, signal: closing.signal }).catch(() => {})
      if (closing.signal.aborted) return
      const hasAnswered = killLater(child, patienceMs, 'answered')
      isThere = await peer.call('ping').then(
        () => true,
        () => false,
      )
      hasAnswered()
    }
  }

  let restarting: Promise<void> | undefined
  let current = start()
  // Whoever calls sees what was wrong.
  current.catch(() => {})

  const query: Queries['query'] = async (sql, parameters = []) =>
    (await current).peer.call('query', sql, parameters, undefined)
  return {
    database: {
      query,
      transaction: async (work) => {
        const { peer } = await current
        const transaction = await peer.call('begin')
        const query: Queries['query'] = (sql, parameters = []) => peer.call('query', sql, parameters, transaction)
        try {
          const result = await work({ query })
          await peer.call('end', transaction, true)
          return result
        } catch (error) {
          await peer.call('end', transaction, false).catch(() => {})
          throw error
        }
      },
      vacuum: (signal) => vacuum({ query }, signal),
      close: async () => {
        closing.abort()
        const kill = () => child?.kill('SIGKILL')
        const stop = setTimeout(kill, closesWithinMs)
        // One that is only being started has nothing to write.
        if (restarting !== undefined) kill()
        await restarting
        const running = await current.catch(() => undefined)
        if (running !== undefined) await end(running)
        clearTimeout(stop)
      },
    },
    watch: () => {
      isWatched = true
      current.then(beginWatch).catch(() => {})
    },
    ship: (spool, options) => {
      const own: Shipping = { spool, options, stopping: new AbortController(), before: state }
      shipping = own
      // One that ends before it has begun is followed by another, which is told the same.
      const call = async () => (await current).peer.call('ship', options.folder, timesOf(options))
      call().catch(() => {})
      return {
        state: () => state,
        stop: async (patienceMs) => {
          const stopped = current.then(({ peer }) => peer.call('stopShipping', patienceMs))
          const late = new AbortController()
          const isLate = sleep(patienceMs + afterPatienceMs, undefined, { signal: late.signal })
          await Promise.race([stopped, isLate]).catch(() => {})
          late.abort()
          own.stopping.abort()
        },
      }
    },
  }
}

async function end({ child, peer }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  await peer.call('close').catch(() => {})
  if (child.connected) child.disconnect()
  await exited
}

function timesOf({ batchBytes, retryMs, gatherMs }: ShipperOptions): ShippingTimes {
  return { batchBytes, retryMs, gatherMs }
}
