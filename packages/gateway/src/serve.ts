import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import {
  openShippedStore,
  openSpool,
  type RetentionPolicy,
  type Safety,
  type Store,
  type StoredKey,
  type StorePlace,
} from '@plumbline/store'
import type { Route } from './api/route.ts'
import { openFeedbackTokens } from './feedback-token.ts'
import { keepAdmin, makeAdmin } from './first-admin.ts'
import { createGateway } from './gateway.ts'
import { createKeyRing } from './keys.ts'
import { noteLastGap } from './last-gap.ts'
import { createLimiter } from './limiter.ts'
import { createMetrics } from './metrics.ts'
import type { Pages } from './pages.ts'
import { createPolicyBook, type PolicyOptions } from './policies.ts'
import { createRecorder } from './recorder.ts'
import { createReload } from './reload.ts'
import type { RewardModel } from './reward-model.ts'
import { startGatewayWorker } from './worker.ts'

/** Everything that `plumb serve` is told. */
export interface ServeOptions {
  /** The folder of the spool and of the embedded store; the caller holds its lock. */
  readonly folder: string
  /** Told which process is about to work on that folder too, and ends after this one. Left out where nobody else comes. */
  readonly hold?: ((pid: number) => Promise<void>) | undefined
  readonly databaseUrl: string | undefined
  readonly host: string
  readonly port: number
  readonly policies: PolicyOptions
  /** Reads the configuration anew, for a reload. */
  readonly reread: () => Promise<PolicyOptions>
  /** Which guards and best-of-n may use; none when left out. Whoever started it stops it. */
  readonly rewardModel?: RewardModel | undefined
  /** The administrator's own key, from PLUMBLINE_ADMIN_KEY. */
  readonly adminKey: string | undefined
  /** How long a feedback token is good. */
  readonly feedbackDays: number
  /** What the end of an answer waits for, and how long at most; 0 does not wait. */
  readonly recordUntil: Safety
  readonly recordPatienceMs: number
  readonly drainMs: number
  /** How long records are kept; undefined leaves that and every other job to worker processes. */
  readonly retention: RetentionPolicy | undefined
  /** What is served beside the gateway's own. */
  readonly routes: readonly Route[]
  /** For browsers; none when left out. */
  readonly pages?: Pages | undefined
  /** What works on the store beside it, begun before the first request and stopped after the last. */
  readonly services: readonly ((parts: ServiceParts) => Promise<Service>)[]
  /** Of Plumbline. */
  readonly version: string
  readonly now: () => number
  readonly warn: (text: string) => void
}

export interface ServiceParts {
  readonly store: Store
  readonly now: () => number
  readonly warn: (text: string) => void
}

export interface Service {
  stop(): Promise<void>
}

export interface Serving {
  readonly url: string
  /** The first key, when it had to be made: shown once. */
  readonly newAdminKey: string | undefined
  /** Puts the configuration in force that `reread` gives; throws what is wrong with it, and then the old one stays. */
  reload(): Promise<{ readonly config: string }>
  /** Lets answers end, ships what can be shipped, closes everything. */
  stop(): Promise<void>
}

const keyRefreshMs = 5_000
const lastShippingMs = 5_000

/** Starts the gateway with its spool and store. */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { folder, now, warn } = options
  const clock = () => performance.now()
  // Before anything is opened: a configuration that is no good ends here.
  const policies = createPolicyBook(options.policies, { clock, warn })
  const place: StorePlace =
    options.databaseUrl === undefined ? { folder: join(folder, 'store') } : { url: options.databaseUrl }
  const { store, ship } = await openShippedStore(place, { hold: options.hold, warn })
  const hashSubject = await store.subjectHasher()
  const keys = createKeyRing(store)
  await keys.refresh()
  const keepKeyNow = async (key: StoredKey) => {
    await store.insertKey(key, new Date(now()).toISOString())
    await keys.refresh()
  }
  const feedback = await openFeedbackTokens(store, now, options.feedbackDays)
  // A key that another process made or revoked; while the store is away the keys stay as they are.
  const refresh = setInterval(() => {
    for (const part of [keys, feedback]) void part.refresh().catch(() => {})
  }, keyRefreshMs)
  refresh.unref()

  const spoolFolder = join(folder, 'spool')
  const spool = await openSpool(spoolFolder, { warn })
  const shipper = ship(spool, { warn, folder: spoolFolder })
  const recorder = createRecorder(spool, {
    now,
    warn,
    until: options.recordUntil,
    patienceMs: options.recordPatienceMs,
  })
  const services: Service[] = []
  const close = async () => {
    clearInterval(refresh)
    await Promise.all(services.map((service) => service.stop()))
    await worker?.stop()
    await recorder.close()
    await shipper.stop(lastShippingMs)
    await spool.close(lastShippingMs)
    await noteLastGap(recorder, store, warn)
    await policies.close()
    await store.close()
  }
  const policy = options.retention
  const worker = policy === undefined ? undefined : await startGatewayWorker(store, { policy, now, clock, warn })
  const metrics = createMetrics()
  const limiter = createLimiter(clock, (limit) => metrics.count('plumbline_limited_total', { limit }))
  const reload = createReload(policies, metrics, options.reread)
  const random = Math.random
  const records = { store, spool, shipper, recorder, rewardModel: options.rewardModel }
  const gateway = createGateway({
    ...records,
    policies,
    limiter,
    feedback,
    routes: options.routes,
    pages: options.pages,
    keys,
    metrics,
    reload,
    hashSubject,
    // A worker elsewhere looks by itself, every two seconds.
    wakeWorker: worker?.wake ?? (() => {}),
    version: options.version,
    now,
    random,
    warn,
  })
  try {
    if (options.adminKey !== undefined) await keepAdmin(keys, options.adminKey, keepKeyNow)
    for (const start of options.services) services.push(await start({ store, now, warn }))
    const { address, port, family } = await gateway.listen(options.port, options.host)
    const host = family === 'IPv6' ? `[${address}]` : address
    // Made last: a start that fails must not take along a key that is shown once.
    const newAdminKey = options.adminKey === undefined ? await makeAdmin(keys, keepKeyNow) : undefined
    return {
      url: `http://${host}:${port}`,
      newAdminKey,
      reload,
      stop: async () => {
        await gateway.drain(options.drainMs)
        await close()
      },
    }
  } catch (error) {
    await gateway.drain(0)
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
    EAI_AGAIN: 'The host name cannot be looked up now: give an address as --host.',
  }
  const hint = hints[error.code ?? '']
  if (hint === undefined) return error
  return new PlumblineError('PORT_UNAVAILABLE', `Cannot listen on ${host}:${port}: ${error.code}.`, {
    hint,
    cause: error,
  })
}
