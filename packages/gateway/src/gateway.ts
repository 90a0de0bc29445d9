import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { KeyScope } from '@plumbline/contracts'
import type { StoredKey } from '@plumbline/store'
import { formatOfError } from './api/body-format.ts'
import { openApiDocument, type PublicPath, publicPaths } from './api/openapi.ts'
import type { ApiParts, Route } from './api/route.ts'
import { routes as ownRoutes } from './api/routes.ts'
import { serveApi } from './api/serve-api.ts'
import { type EndpointPath, endpoints } from './endpoints.ts'
import { type GaugeParts, readGauges } from './gauges.ts'
import { answerBrokenRequest, listen, parseTarget } from './http-edge.ts'
import { RequestError, sendError, sendJson, sendReply, wrongScope } from './openai-error.ts'
import { createPageServer, type Pages } from './pages.ts'
import { createProxy, type ProxyParts } from './proxy.ts'

export interface GatewayParts extends Omit<ApiParts, 'authorize' | 'routes'>, GaugeParts, ProxyParts {
  /** Beside the gateway's own. */
  readonly routes: readonly Route[]
  /** For browsers; none when left out. */
  readonly pages?: Pages | undefined
  /** How slowly a request may come. */
  readonly arrival?: Arrival | undefined
  /** Of Plumbline, for the OpenAPI document. */
  readonly version: string
  readonly warn: (text: string) => void
}

interface Arrival {
  readonly headersMs: number
  /** Headers and body. */
  readonly wholeMs: number
  /** How often it is looked at. */
  readonly checkMs: number
}

export interface Gateway {
  listen(port: number, host: string): Promise<AddressInfo>
  /** Takes no more requests, lets answers end for this long, cuts the rest. */
  drain(patienceMs: number): Promise<void>
}

const maxHeaders = 100
const usualArrival: Arrival = { headersMs: 10_000, wholeMs: 60_000, checkMs: 5_000 }
/** Whose keys open the endpoints of a model. */
const callers: readonly KeyScope[] = ['client', 'admin']
const isEndpoint = (path: string | undefined): path is EndpointPath => Object.hasOwn(endpoints, path ?? '')
const modelPath = /^\/v1\/models(\/(?!\.)(?:[\w.:@-]|%2[Ff])+)*$/

export function createGateway(parts: GatewayParts): Gateway {
  const { metrics } = parts
  const routes = [...ownRoutes, ...parts.routes]
  const document = openApiDocument(parts.version, routes)
  const pages = parts.pages && createPageServer(parts.pages)
  let isDraining = false
  const proxy = createProxy(parts, () => isDraining)

  const { headersMs, wholeMs, checkMs } = parts.arrival ?? usualArrival
  const clocks = { headersTimeout: headersMs, requestTimeout: wholeMs, connectionsCheckingInterval: checkMs }
  const server = createServer({ maxHeaderSize: 16 * 1024, ...clocks }, (req, res) => {
    serve(req, res).catch((error: unknown) => refuse(req, res, error))
  })
  server.maxHeadersCount = 0 // counted by us, as Node would drop those past its limit in silence
  server.keepAliveTimeout = 65_000
  server.on('clientError', answerBrokenRequest)

  const refuse = (req: IncomingMessage, res: ServerResponse, error: unknown) => {
    const known =
      error instanceof RequestError ? error : new RequestError(500, 'internal_error', 'A fault of the gateway.')
    if (!(error instanceof RequestError)) parts.warn(`A fault of ours: ${error instanceof Error ? error.stack : error}`)
    metrics.count('plumbline_refused_total', { status: String(known.status), code: String(known.body.code) })
    sendError(req, res, known, formatOfError(req, routes))
  }

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    if (isDraining) res.setHeader('connection', 'close')
    if (req.rawHeaders.length > 2 * maxHeaders) {
      throw new RequestError(431, 'too_many_headers', `A request has at most ${maxHeaders} headers.`)
    }
    if (isEndpoint(req.url)) return proxy.complete(req, res, req.url, authorize(req, callers))
    const url = parseTarget(req.url)
    const { pathname } = url
    if (Object.hasOwn(publicPaths, pathname)) return publish[pathname as PublicPath](res)
    if (pathname.startsWith('/api/') || routes.some(({ path }) => path === pathname)) {
      return serveApi(req, res, url, { ...parts, routes, authorize })
    }
    if (pathname.startsWith('/v1/')) {
      const key = authorize(req, callers)
      if (isEndpoint(pathname)) return proxy.complete(req, res, pathname, key)
      if (modelPath.test(pathname)) return proxy.models(req, res, pathname)
    }
    if (pages?.has(pathname)) return pages.serve(req, res, pathname)
    throw new RequestError(404, 'unknown_url', 'There is no such path here.')
  }

  const publish: Record<PublicPath, (res: ServerResponse) => void> = {
    '/healthz': (res) => sendJson(res, 200, { status: 'ok' }),
    '/readyz': (res) => sendJson(res, isDraining ? 503 : 200, readiness()),
    '/metrics': (res) => {
      const text = metrics.text(readGauges(parts, parts.policies.current, proxy.underWay.size))
      const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }
      sendReply(res, { status: 200, headers, body: Buffer.from(text) })
    },
    '/openapi.json': (res) => sendJson(res, 200, document),
  }

  const authorize = (req: IncomingMessage, scopes: readonly KeyScope[]): StoredKey => {
    const key = parts.keys.find(req.headers.authorization)
    if (key === undefined) {
      const message = 'The API key is missing or not good: send "Authorization: Bearer KEY".'
      throw new RequestError(401, 'invalid_api_key', message, { headers: { 'www-authenticate': 'Bearer' } })
    }
    if (scopes.includes(key.scope)) return key
    throw wrongScope(key.scope, scopes)
  }

  const isRecording = () =>
    parts.spool.state().fault === undefined && parts.recorder.uncountedGaps() === 0 && !parts.recorder.isBehind()
  const readiness = () => ({
    status: isDraining ? 'draining' : 'ready',
    // Traffic goes on without either: these say what to look at.
    recording: isRecording() ? 'ok' : 'degraded',
    store: parts.shipper.state().isStoreAway ? 'away' : 'ok',
    ...(parts.rewardModel && { reward_model: parts.rewardModel.state().isUp ? 'ok' : 'away' }),
    config: parts.policies.current.version,
  })

  return {
    listen: (port, host) => listen(server, port, host),
    drain: async (patienceMs) => {
      isDraining = true
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const { underWay, lateRecords } = proxy
      const answered = async () => {
        await Promise.all([...underWay].map(({ done }) => done))
        await lateRecords.done()
      }
      await Promise.race([answered(), sleep(patienceMs, undefined, { ref: false })])
      for (const passage of underWay) passage.cut()
      lateRecords.cut()
      await Promise.race([answered(), sleep(1_000)])
      // What was cut inside its guards is told so in this turn.
      await nextTurn()
      server.closeAllConnections()
      await closed
    },
  }
}
