import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { openSpool, openStore, type RetentionPolicy, type StorePlace, startShipper } from '@plumbline/store'
import type { Route } from './api/route.ts'
import { openFeedbackTokens } from './feedback-token.ts'
import { createGateway, type GatewayLimits } from './gateway.ts'
import { createKey, createKeyRing, type KeyRing, keepKey } from './keys.ts'
import { createRecorder } from './recorder.ts'
import { openUpstream } from './upstream.ts'
import { startGatewayWorker } from './worker.ts'

/** Everything that `plumb serve` is told. */
export interface ServeOptions extends GatewayLimits {
  /** The folder of the spool and of the embedded store; the caller holds its lock. */
  readonly folder: string
  readonly databaseUrl: string | undefined
  readonly host: string
  readonly port: number
  readonly upstream: string
  readonly upstreamKey: string | undefined
  /** The administrator's own key, from PLUMBLINE_ADMIN_KEY. */
  readonly adminKey: string | undefined
  readonly connectTimeoutMs: number
  /** The longest that the end of an answer waits for its record; 0 does not wait. */
  readonly recordPatienceMs: number
  readonly drainMs: number
  /** How long records are kept. */
  readonly retention: RetentionPolicy
  /** What is served beside the gateway's own. */
  readonly routes: readonly Route[]
  /** Of Plumbline. */
  readonly version: string
  readonly now: () => number
  readonly warn: (text: string) => void
}

export interface Serving {
  readonly url: string
  /** The first key, when it had to be made: shown once. */
  readonly newAdminKey: string | undefined
  /** Lets answers end, ships what can be shipped, closes everything. */
  stop(): Promise<void>
}

const keyRefreshMs = 5_000
const lastShippingMs = 5_000

/** Starts the gateway with its spool and store. */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { folder, now, warn } = options
  const upstream = openUpstream({
    url: options.upstream,
    apiKey: options.upstreamKey,
    connectTimeoutMs: options.connectTimeoutMs,
    connections: options.maxInFlight,
  })
  const place: StorePlace =
    options.databaseUrl === undefined ? { folder: join(folder, 'store') } : { url: options.databaseUrl }
  const store = await openStore(place)
  const hashSubject = await store.subjectHasher()
  const keys = createKeyRing(store)
  await keys.refresh()
  const newAdminKey = await ensureAdmin(keys, options.adminKey, async (key) => {
    await store.insertKey(key, new Date(now()).toISOString())
    await keys.refresh()
  })
  // A key that another process made or revoked; while the store is away the keys stay as they are.
  const feedback = await openFeedbackTokens(store, now)
  const refresh = setInterval(() => {
    for (const part of [keys, feedback]) void part.refresh().catch(() => {})
  }, keyRefreshMs)
  refresh.unref()

  const spoolFolder = join(folder, 'spool')
  const spool = await openSpool(spoolFolder, { warn })
  const shipper = startShipper(spool, store, { warn, folder: spoolFolder })
  const recorder = createRecorder(spool, { now, warn, patienceMs: options.recordPatienceMs })
  const close = async () => {
    clearInterval(refresh)
    await worker.stop()
    await recorder.close()
    await shipper.stop(lastShippingMs)
    await spool.close(lastShippingMs)
    await upstream.close()
    await store.close()
  }
  const worker = await startGatewayWorker(store, { policy: options.retention, now, warn })
  const gateway = createGateway(
    {
      upstream,
      store,
      spool,
      shipper,
      recorder,
      keys,
      hashSubject,
      feedback,
      routes: options.routes,
      wakeWorker: worker.wake,
      version: options.version,
      now,
      warn,
    },
    options,
  )
  try {
    const { address, port, family } = await gateway.listen(options.port, options.host)
    const host = family === 'IPv6' ? `[${address}]` : address
    return {
      url: `http://${host}:${port}`,
      newAdminKey,
      stop: async () => {
        await gateway.drain(options.drainMs)
        await close()
      },
    }
  } catch (error) {
    await close()
    throw listenFailed(error as NodeJS.ErrnoException, options)
  }
}

function listenFailed(error: NodeJS.ErrnoException, { host, port }: ServeOptions): Error {
  const hints: Partial<Record<string, string>> = {
    EADDRINUSE: 'Stop the program that listens there, or give another --port.',
    EACCES: 'Ports below 1024 need rights of their own: give another --port.',
    EADDRNOTAVAIL: 'This machine has no such address: give another --host.',
    ENOTFOUND: 'The host name is unknown: give another --host.',
  }
  const hint = hints[error.code ?? '']
  if (hint === undefined) return error
  return new PlumblineError('PORT_UNAVAILABLE', `Cannot listen on ${host}:${port}: ${error.code}.`, {
    hint,
    cause: error,
  })
}

type KeepKey = (key: ReturnType<typeof keepKey>) => Promise<void>

/** Sees to it that somebody can get in. Gives the key when it had to be made. */
async function ensureAdmin(keys: KeyRing, given: string | undefined, keep: KeepKey): Promise<string | undefined> {
  const facts = { scope: 'admin', project: 'default', isOperator: true, name: 'first' } as const
  if (given !== undefined) {
    if (keys.find(`Bearer ${given}`) === undefined) await keep(keepKey(given, facts))
    return undefined
  }
  if ([...keys.all()].some(({ isOperator }) => isOperator)) return undefined
  const { secret, stored } = createKey(facts)
  await keep(stored)
  return secret
}
