import type { IncomingHttpHeaders } from 'node:http'
import { PlumblineError } from '@plumbline/contracts'
import { Pool } from 'undici'
import { addressKind, allowedKinds, checkedLookup, type ResolveName } from './address.ts'
import { Breaker, type BreakerOptions } from './breaker.ts'

/** An OpenAI-compatible server. Its address comes from the configuration alone, never from a request. */
export interface Upstream {
  readonly name: string
  /** Scheme, host and port: what records name. */
  readonly origin: string
  readonly pool: Pool
  readonly breaker: Breaker
  /** The path on the server for one of ours, `/v1/models`. */
  path(ours: string): string
  /** What a request to it has, in pairs. */
  headers(client: IncomingHttpHeaders, record: string): string[]
  close(): Promise<void>
}

export interface UpstreamOptions {
  readonly name: string
  readonly url: string
  /** Shown to the upstream as a bearer key; the client's own key never is. */
  readonly apiKey?: string
  /** Its name may lead to private and loopback addresses. */
  readonly isPrivate?: boolean
  readonly connectTimeoutMs: number
  readonly connections: number
  readonly breaker: BreakerOptions
}

/** What an upstream needs of the world. */
export interface UpstreamWorld {
  /** Milliseconds that never go back. */
  readonly clock: () => number
  /** The operating system's resolver when left out. */
  readonly resolve?: ResolveName
  readonly warn: (text: string) => void
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

export function openUpstream(options: UpstreamOptions, { clock, resolve, warn }: UpstreamWorld): Upstream {
  const { name, apiKey, isPrivate = false, connectTimeoutMs, connections } = options
  const { origin, pathname, hostname } = parseUpstreamUrl(options)
  const base = pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
  let isTold = false
  const onRefused = (message: string) => {
    if (!isTold) warn(`The upstream "${name}" is not asked: ${message}. If it is meant to, say private: true there.`)
    isTold = true
  }
  const lookup = checkedLookup({ kinds: allowedKinds(hostname, isPrivate), resolve, onRefused })
  const pool = new Pool(origin, {
    connections,
    pipelining: 1,
    connect: { timeout: connectTimeoutMs, lookup },
    // The exchange has clocks of its own, which know what they wait for.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: 32 * 1024,
  })
  return {
    name,
    origin,
    pool,
    breaker: new Breaker(options.breaker, clock),
    path: (ours) => `${base}${ours}`,
    headers: (client, record) => {
      // Not encoded, as the record reads what passes.
      const headers = ['accept-encoding', 'identity', 'x-request-id', record]
      for (const name of passedToUpstream) {
        const value = client[name]
        if (typeof value === 'string') headers.push(name, value)
      }
      if (apiKey !== undefined) headers.push('authorization', `Bearer ${apiKey}`)
      return headers
    },
    close: () => pool.destroy(),
  }
}

/** With or without `/v1` at its end, as OpenAI's clients and most servers' documentation write it. */
export function parseUpstreamUrl({ name, url }: Pick<UpstreamOptions, 'name' | 'url'>): URL {
  const wrong = (reason: string, hint = 'For example http://127.0.0.1:8000/v1.') =>
    new PlumblineError('USAGE_UPSTREAM', `The upstream "${name}" ${reason}.`, { hint })
  if (!URL.canParse(url)) throw wrong(`has no URL: "${url}" is none`)
  const parsed = new URL(url)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw wrong(`must be http or https, not ${parsed.protocol.slice(0, -1)}`)
  if (parsed.username !== '' || parsed.password !== '') {
    throw wrong(
      'must not hold a user or password in its URL',
      'Its key goes into PLUMBLINE_UPSTREAM_KEY, or the variable that key_env names.',
    )
  }
  if (parsed.search !== '' || parsed.hash !== '') throw wrong('must not have a query or fragment in its URL')
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  if ((host.includes(':') || /^[\d.]+$/.test(host)) && addressKind(host) === 'refused') {
    throw wrong(
      `is at ${host}, which is no address of a model`,
      'Link-local, metadata and reserved addresses are never asked; a server on this machine is at 127.0.0.1.',
    )
  }
  return parsed
}

export function clientHeaders(upstream: IncomingHttpHeaders): Record<string, string> {
  const headers: Record<string, string> = { 'x-content-type-options': 'nosniff' }
  for (const [name, value] of Object.entries(upstream)) {
    if (typeof value !== 'string') continue
    if (passedToClient.has(name) || isLimit(name)) headers[name] = value
  }
  return headers
}

/** What a client gets of an answer's headers, and ours, in pairs. */
export function answerHeaders(upstream: IncomingHttpHeaders, own: Readonly<Record<string, string>>): string[] {
  const headers = ['x-content-type-options', 'nosniff']
  let hasLimits = false
  for (const name in own) {
    headers.push(name, own[name])
    hasLimits ||= isLimit(name)
  }
  for (const name in upstream) {
    const value = upstream[name]
    if (typeof value === 'string' && (passedToClient.has(name) || (isLimit(name) && !hasLimits)))
      headers.push(name, value)
  }
  return headers
}

const isLimit = (name: string) => name.startsWith('x-ratelimit-')

/** Headers of ours beside an upstream's. A client with limits of its own is not told the upstream's. */
export function withOwnHeaders(
  upstream: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const hasLimits = Object.keys(own).some(isLimit)
  return { ...Object.fromEntries(Object.entries(upstream).filter(([name]) => !hasLimits || !isLimit(name))), ...own }
}
