import type { IncomingHttpHeaders } from 'node:http'
import { PlumblineError } from '@plumbline/contracts'
import { Pool } from 'undici'

/** An OpenAI-compatible server. Its address comes from the configuration alone, never from a request. */
export interface Upstream {
  /** Scheme, host and port: what records name. */
  readonly origin: string
  readonly pool: Pool
  /** The path on the server for one of ours, `/v1/models`. */
  path(ours: string): string
  headers(client: IncomingHttpHeaders, record: string): Record<string, string>
  close(): Promise<void>
}

export interface UpstreamOptions {
  readonly url: string
  /** Shown to the upstream as a bearer key; the client's own key never is. */
  readonly apiKey?: string
  readonly connectTimeoutMs: number
  readonly connections: number
}

/** Only these headers of a client go on; hop-by-hop headers, cookies and credentials cannot slip through a list. */
const passedToUpstream = ['accept', 'idempotency-key', 'openai-beta', 'traceparent', 'tracestate'] as const

const passedToClient = new Set([
  'cache-control',
  'content-encoding',
  'content-language',
  'content-length',
  'content-type',
  'openai-processing-ms',
  'openai-version',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
])

export function openUpstream({ url, apiKey, connectTimeoutMs, connections }: UpstreamOptions): Upstream {
  const { origin, pathname } = parseUpstreamUrl(url)
  const base = pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
  const pool = new Pool(origin, {
    connections,
    pipelining: 1,
    connect: { timeout: connectTimeoutMs },
    // The exchange has clocks of its own, which know what they wait for.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: 32 * 1024,
  })
  return {
    origin,
    pool,
    path: (ours) => `${base}${ours}`,
    headers: (client, record) => {
      // Not encoded, as the record reads what passes.
      const headers: Record<string, string> = { 'accept-encoding': 'identity', 'x-request-id': record }
      for (const name of passedToUpstream) {
        const value = client[name]
        if (typeof value === 'string') headers[name] = value
      }
      if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`
      return headers
    },
    close: () => pool.destroy(),
  }
}

/** With or without `/v1` at its end, as OpenAI's clients and most servers' documentation write it. */
function parseUpstreamUrl(url: string): URL {
  const wrong = (reason: string) =>
    new PlumblineError('USAGE_UPSTREAM', `The upstream ${reason}.`, {
      hint: 'For example http://127.0.0.1:8000/v1; its key goes into PLUMBLINE_UPSTREAM_KEY.',
    })
  if (!URL.canParse(url)) throw wrong('is no URL')
  const parsed = new URL(url)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw wrong('must be http or https')
  if (parsed.username !== '' || parsed.password !== '') throw wrong('must not hold a user or password')
  if (parsed.search !== '' || parsed.hash !== '') throw wrong('must not have a query or fragment')
  return parsed
}

export function clientHeaders(upstream: IncomingHttpHeaders): Record<string, string> {
  const headers: Record<string, string> = { 'x-content-type-options': 'nosniff' }
  for (const [name, value] of Object.entries(upstream)) {
    if (typeof value !== 'string') continue
    if (passedToClient.has(name) || name.startsWith('x-ratelimit-')) headers[name] = value
  }
  return headers
}
