import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyScope } from '@plumbline/contracts'
import { openFeedbackTokens, serve } from '@plumbline/gateway'
import { policiesOf, policyFields } from '@plumbline/gateway/config'
import { openStore, type Store } from '@plumbline/store'
import { z } from 'zod'
import type { FeedbackLimits } from './feedback/limits.ts'
import { readMonitoring } from './monitoring/plan.ts'
import { startMonitoring } from './monitoring/service.ts'
import { createServerRoutes } from './routes.ts'
import type { Runs } from './training-runs/runs.ts'

const adminKey = 'an-administrator-key-of-this-test'

interface ServerOptions {
  readonly limits?: Partial<FeedbackLimits>
  /** As the file of `--monitoring` says it; nothing is monitored when left out. */
  readonly monitoring?: object
  readonly env?: Readonly<Record<string, string>>
  /** Where a model answers; nowhere when left out. */
  readonly upstream?: string
  readonly runs?: Runs
}

/** A real gateway on a folder of its own, with the server's routes; `tokens` are those that it signs by. */
export async function startServer({
  limits = {},
  monitoring,
  env = {},
  runs,
  upstream = 'http://127.0.0.1:9/v1',
}: ServerOptions = {}) {
  const policies = policiesOf(z.object(policyFields).parse({ upstream }), {})
  // An answer that is drawn for reviewers by chance would be news to most tests.
  const plan = readMonitoring({ review: { sample: 0 }, ...monitoring }, env)
  const folder = await mkdtemp(join(tmpdir(), 'server-'))
  const place = { folder: join(folder, 'store') }
  const store = await openStore(place)
  const tokens = await openFeedbackTokens(store, Date.now)
  const oldTokens = await openFeedbackTokens(store, () => Date.now() - 31 * 86_400_000)
  const forgers = await openFeedbackTokens(
    { insertSecret: async () => {}, listSecrets: async () => [forged] },
    Date.now,
  )
  await store.close()
  let later = 0
  const warnings: string[] = []
  let opened: Store | undefined
  const serving = await serve({
    folder,
    databaseUrl: undefined,
    host: '127.0.0.1',
    port: 0,
    policies,
    reread: async () => policies,
    adminKey,
    feedbackDays: 30,
    recordUntil: 'written',
    recordPatienceMs: 1_000,
    drainMs: 1_000,
    retention: {},
    routes: createServerRoutes(plan, { limits, runs }),
    services: [
      async (parts) => {
        opened = parts.store
        const idle = { stop: async () => {} }
        return monitoring === undefined ? idle : startMonitoring(plan, parts, { everyMs: 50, backoffMs: 10 })
      },
    ],
    version: '0.0.0',
    now: () => Date.now() + later,
    warn: (text) => void warnings.push(text),
  })
  const send = async (method: string, path: string, body?: unknown, key?: string) => {
    const response = await fetch(`${serving.url}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(key === undefined ? {} : { authorization: key.includes(' ') ? key : `Bearer ${key}` }),
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    })
    return { status: response.status, headers: response.headers, body: (await response.json()) as never }
  }
  const addKey = async (scope: KeyScope, project = 'default') =>
    ((await send('POST', '/api/keys', { scope, project }, adminKey)).body as { key: string }).key
  return {
    url: serving.url,
    adminKey,
    /** The one that the gateway has open. */
    store: opened!,
    warnings,
    tokens,
    oldTokens,
    forgers,
    send,
    addKey,
    waitDays: (days: number) => {
      later += days * 86_400_000
    },
    /** An answer, told by OpenTelemetry; gives its record. */
    answer: async (key: string, prompt: string, reader = adminKey) => {
      const traceId = randomBytes(16).toString('hex')
      await send('POST', '/v1/traces', chatSpan(traceId, prompt), key)
      return until(async () => {
        const { body } = await send('GET', `/api/interactions?text=${encodeURIComponent(prompt)}`, undefined, reader)
        return (body as { data: { record: string; id: string }[] }).data[0]
      })
    },
    stop: async () => {
      await serving.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
export type TestServer = Awaited<ReturnType<typeof startServer>>

const forged = {
  id: `fs_${'a'.repeat(12)}`,
  purpose: 'feedback',
  secret: randomBytes(32).toString('base64url'),
  createdAt: '2026-01-01T00:00:00.000Z',
}

/** Asks until there is something: what was acknowledged is on disk, and in the store a little later. */
export async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 3000; tries++) {
    const found = await ask()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('it does not come')
}

export function chatSpan(traceId: string, prompt: string, events: unknown[] = []) {
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } })
  const said = (role: string, content: string) => JSON.stringify([{ role, parts: [{ type: 'text', content }] }])
  const span = {
    traceId,
    spanId: traceId.slice(0, 16),
    name: 'chat m',
    startTimeUnixNano: '1790000000000000000',
    endTimeUnixNano: '1790000001500000000',
    attributes: [
      text('gen_ai.operation.name', 'chat'),
      text('gen_ai.request.model', 'm'),
      text('gen_ai.response.id', `chatcmpl-${traceId}`),
      text('gen_ai.input.messages', said('user', prompt)),
      text('gen_ai.output.messages', said('assistant', `answer to ${prompt}`)),
      text('user.id', 'anna@example.com'),
      { key: 'gen_ai.usage.input_tokens', value: { intValue: '7' } },
    ],
    events,
  }
  return { resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }
}
