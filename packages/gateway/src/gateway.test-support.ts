import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Interaction, KeyScope } from '@plumbline/contracts'
import { openSpool, openStore, type Store, startShipper } from '@plumbline/store'
import OpenAI from 'openai'
import { openFeedbackTokens } from './feedback-token.ts'
import { createGateway, type GatewayLimits } from './gateway.ts'
import { createKey, createKeyRing } from './keys.ts'
import { createRecorder } from './recorder.ts'
import { openUpstream } from './upstream.ts'
import { startUpstream } from './upstream-server.test-support.ts'
import { startGatewayWorker } from './worker.ts'

const defaults: GatewayLimits = {
  firstTokenMs: 10_000,
  idleMs: 10_000,
  totalMs: 60_000,
  maxBodyBytes: 100_000,
  maxInFlight: 100,
}

/** A real store, spool and upstream; gateways in front of them with limits of a test's own. */
export async function startHarness() {
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
  const spool = await openSpool(join(folder, 'spool'), { warn, retryMs: 10 })
  const shipper = startShipper(spool, store, { warn, folder: join(folder, 'spool'), retryMs: 10 })
  const recorder = createRecorder(spool, { now: Date.now, warn, patienceMs: 5_000 })
  const keys = createKeyRing(store)
  const hashSubject = await real.subjectHasher()
  const feedback = await openFeedbackTokens(real, Date.now)
  const worker = await startGatewayWorker(real, { policy: {}, now: Date.now, warn })
  const server = await startUpstream()
  const closers: (() => Promise<void>)[] = []

  const addKey = async (scope: KeyScope, project = 'default', isOperator = false) => {
    const { secret, stored } = createKey({ scope, project, isOperator, name: '' })
    await store.insertKey(stored, new Date().toISOString())
    keys.add(stored)
    return secret
  }
  const clientKey = await addKey('client')
  const adminKey = await addKey('admin', 'default', true)

  const open = async (limits: Partial<GatewayLimits> = {}, upstreamUrl = server.url) => {
    const upstream = openUpstream({
      url: upstreamUrl,
      apiKey: 'sk-operator',
      connectTimeoutMs: 10_000,
      connections: 100,
    })
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
        routes: [],
        wakeWorker: worker.wake,
        version: '0.0.0',
        now: Date.now,
        warn,
      },
      { ...defaults, ...limits },
    )
    const { port } = await gateway.listen(0, '127.0.0.1')
    const url = `http://127.0.0.1:${port}`
    const close = async (patienceMs = 0) => {
      await gateway.drain(patienceMs)
      await upstream.close()
    }
    closers.push(close)
    const headers = { authorization: `Bearer ${clientKey}`, 'content-type': 'application/json' }
    return {
      url,
      port,
      close,
      client: new OpenAI({ baseURL: `${url}/v1`, apiKey: clientKey, maxRetries: 0 }),
      get: (path: string, key = adminKey) => fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } }),
      send: (method: string, path: string, body?: unknown, key = adminKey) =>
        fetch(`${url}${path}`, {
          method,
          headers: { ...headers, authorization: `Bearer ${key}` },
          body: body === undefined ? undefined : JSON.stringify(body),
        }),
      post: (path: string, body: BodyInit, more: Record<string, string> = {}) =>
        fetch(`${url}${path}`, { method: 'POST', headers: { ...headers, ...more }, body }),
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
    store: real,
    spool,
    recorder,
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
      await server.close()
      await real.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type Harness = Awaited<ReturnType<typeof startHarness>>
export type OpenGateway = Awaited<ReturnType<Harness['open']>>
