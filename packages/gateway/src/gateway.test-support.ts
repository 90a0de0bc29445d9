import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Interaction, KeyLimits, KeyScope } from '@plumbline/contracts'
import { openSpool, openStore, type SpoolOptions, type Store, startShipper } from '@plumbline/store'
import OpenAI from 'openai'
import { openFeedbackTokens } from './feedback-token.ts'
import { createGateway, type GatewayParts } from './gateway.ts'
import { createKey, createKeyRing } from './keys.ts'
import { createLimiter } from './limiter.ts'
import { createMetrics } from './metrics.ts'
import { createPolicyBook, type PolicyOptions, type RouteOptions } from './policies.ts'
import { createRecorder } from './recorder.ts'
import { createReload } from './reload.ts'
import type { UpstreamWorld } from './upstream.ts'
import { startUpstream, type UpstreamServer } from './upstream-server.test-support.ts'
import { startGatewayWorker } from './worker.ts'

/** Patient, and without retries: a test says what it wants otherwise. */
const defaults: Omit<PolicyOptions, 'upstreams'> = {
  firstTokenMs: 10_000,
  idleMs: 10_000,
  totalMs: 60_000,
  connectTimeoutMs: 10_000,
  maxBodyBytes: 100_000,
  maxInFlight: 100,
  breaker: { failureRate: 1, windowMs: 60_000, minAttempts: 1_000_000, pauseMs: 1_000 },
  retries: { max: 0, budget: 0.1, baseMs: 1, maxWaitMs: 1_000 },
  keyLimits: {},
  fallbackAnswer: undefined,
}

export function route(name: string, url: string, more: Partial<RouteOptions> = {}): RouteOptions {
  return { name, url, weight: 1, isFallback: false, ...more }
}

type OpenWorld = Partial<UpstreamWorld & Pick<GatewayParts, 'rewardModel' | 'arrival' | 'now' | 'routes' | 'pages'>>

/** A real store, spool and upstream; gateways in front of them with limits of a test's own. */
export async function startHarness(disk: Pick<SpoolOptions, 'open' | 'maxPendingBytes'> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-'))
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(text)
  const real = await openStore('memory')
  let isStoreAway = false
  // What a database that is away looks like from here: its calls fail.
  const guarded =
    <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
    async (...args: Args) => {
      if (isStoreAway) throw new Error('connect ECONNREFUSED')
      return call(...args)
    }
  const store: Store = {
    ...real,
    insertInteractions: guarded(real.insertInteractions),
    listInteractions: guarded(real.listInteractions),
    audited: guarded(real.audited) as Store['audited'],
    sessions: { ...real.sessions, find: guarded(real.sessions.find) },
    insertKey: guarded(real.insertKey),
    listKeys: guarded(real.listKeys),
  }
  const spool = await openSpool(join(folder, 'spool'), { warn, retryMs: 10, ...disk })
  const shipper = startShipper(spool, store, { warn, folder: join(folder, 'spool'), retryMs: 10 })
  const recorder = createRecorder(spool, { now: Date.now, warn, until: 'written', patienceMs: 5_000 })
  const keys = createKeyRing(store)
  const feedback = await openFeedbackTokens(store, Date.now)
  const hashSubject = await real.subjectHasher()
  const worker = await startGatewayWorker(real, { policy: {}, now: Date.now, clock: () => performance.now(), warn })
  const server = await startUpstream()
  const others: UpstreamServer[] = []
  const closers: (() => Promise<void>)[] = []

  const addKey = async (scope: KeyScope, project = 'default', isOperator = false, limits: KeyLimits = {}) => {
    const { secret, stored } = createKey({ scope, project, isOperator, name: '', limits })
    await store.insertKey(stored, new Date().toISOString())
    keys.add(stored)
    return secret
  }
  const clientKey = await addKey('client')
  const adminKey = await addKey('admin', 'default', true)

  const open = async (
    more: Partial<PolicyOptions> = {},
    { rewardModel, arrival, now = Date.now, routes = [], pages, ...world }: OpenWorld = {},
  ) => {
    const first = { ...defaults, upstreams: [route('main', server.url, { apiKey: 'sk-operator' })], ...more }
    const policies = createPolicyBook(first, { clock: () => performance.now(), warn, ...world })
    const metrics = createMetrics()
    const limiter = createLimiter(
      () => performance.now(),
      (limit) => metrics.count('plumbline_limited_total', { limit }),
    )
    let next = async (): Promise<PolicyOptions> => first
    const reload = createReload(policies, metrics, () => next())
    const records = { store, spool, shipper, recorder, rewardModel }
    const api = { hashSubject, wakeWorker: worker.wake, version: '0.0.0', routes }
    const rest = { now, random: Math.random, warn, ...api }
    const gateway = createGateway({
      ...records,
      ...rest,
      arrival,
      pages,
      policies,
      limiter,
      feedback,
      keys,
      metrics,
      reload,
    })
    const { port } = await gateway.listen(0, '127.0.0.1')
    const url = `http://127.0.0.1:${port}`
    const close = async (patienceMs = 0) => {
      await gateway.drain(patienceMs)
      await policies.close()
    }
    closers.push(close)
    const headers = { authorization: `Bearer ${clientKey}`, 'content-type': 'application/json' }
    return {
      url,
      port,
      close,
      limiter,
      /** One sample of /metrics. */
      metric: async (name: string) => {
        const text = await (await fetch(`${url}/metrics`)).text()
        const line = text.split('\n').find((one) => one.startsWith(`${name} `))
        return line === undefined ? undefined : Number(line.slice(name.length + 1))
      },
      /** What a reload will find. */
      configure: (read: (first: PolicyOptions) => PolicyOptions) => {
        next = async () => read(first)
      },
      reload,
      client: new OpenAI({ baseURL: `${url}/v1`, apiKey: clientKey, maxRetries: 0 }),
      get: (path: string, key = adminKey) => fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } }),
      send: (method: string, path: string, body?: unknown, key = adminKey) =>
        fetch(`${url}${path}`, {
          method,
          headers: { ...headers, authorization: `Bearer ${key}` },
          body: body === undefined ? undefined : JSON.stringify(body),
        }),
      post: (path: string, body: BodyInit, more: Record<string, string> = {}, signal?: AbortSignal) =>
        fetch(`${url}${path}`, { method: 'POST', headers: { ...headers, ...more }, body, signal }),
    }
  }

  /** The newest record that fits, waited for until the spool has been shipped. */
  const recordOf = async (isIt: (record: Interaction) => boolean, project = 'default'): Promise<Interaction> => {
    for (let tries = 0; tries < 2000; tries++) {
      const { data } = await real.listInteractions(project, { limit: 50 })
      const found = data.find(isIt)
      if (found !== undefined) return found
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error('there is no such record')
  }

  return {
    upstream: server,
    /** Another one, closed with the rest. */
    startUpstream: async () => {
      const other = await startUpstream()
      others.push(other)
      return other
    },
    store: real,
    spool,
    recorder,
    feedback,
    warnings,
    addKey,
    clientKey,
    adminKey,
    open,
    recordOf,
    setStoreAway: (isAway: boolean) => {
      isStoreAway = isAway
    },
    close: async () => {
      for (const close of closers) await close().catch(() => {})
      await worker.stop()
      await shipper.stop(5_000)
      await spool.close(1_000)
      for (const upstream of [server, ...others]) await upstream.close()
      await real.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type Harness = Awaited<ReturnType<typeof startHarness>>
export type OpenGateway = Awaited<ReturnType<Harness['open']>>
