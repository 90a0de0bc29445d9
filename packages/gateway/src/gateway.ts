import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyScope } from '@plumbline/contracts'
import type { Shipper, Spool, Store, StoredKey, SubjectHasher } from '@plumbline/store'
import { openApiDocument, type PublicPath, publicPaths } from './api/openapi.ts'
import type { Route } from './api/route.ts'
import { routes as ownRoutes } from './api/routes.ts'
import { serveApi } from './api/serve-api.ts'
import { type EndpointPath, endpoints } from './endpoints.ts'
import { Exchange, type ExchangeTimeouts, type Outcome } from './exchange.ts'
import type { FeedbackTokens } from './feedback-token.ts'
import { uuidv7 } from './ids.ts'
import type { KeyRing } from './keys.ts'
import { createMetrics, type Gauge } from './metrics.ts'
import { RequestError, sendError, sendJson } from './openai-error.ts'
import type { Recorder } from './recorder.ts'
import { parseObject, readBody } from './request-body.ts'
import { concealSubjects } from './subjects.ts'
import type { Upstream } from './upstream.ts'

export interface GatewayParts {
  readonly upstream: Upstream
  readonly store: Store
  readonly spool: Spool
  readonly shipper: Pick<Shipper, 'state'>
  readonly recorder: Recorder
  readonly keys: KeyRing
  readonly hashSubject: SubjectHasher
  readonly feedback: FeedbackTokens
  /** Beside the gateway's own. */
  readonly routes: readonly Route[]
  readonly wakeWorker: () => void
  /** Of Plumbline, for the OpenAPI document. */
  readonly version: string
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly warn: (text: string) => void
}

export interface GatewayLimits extends ExchangeTimeouts {
  readonly maxBodyBytes: number
  /** Answers at a time; past it, a client is asked to come back. */
  readonly maxInFlight: number
}

export interface Gateway {
  listen(port: number, host: string): Promise<AddressInfo>
  /** Takes no more requests, lets answers end for this long, cuts the rest. */
  drain(patienceMs: number): Promise<void>
}

const maxHeaders = 100
const modelPath = /^\/v1\/models(\/(?!\.)(?:[\w.:@-]|%2[Ff])+)*$/

export function createGateway(parts: GatewayParts, limits: GatewayLimits): Gateway {
  const metrics = createMetrics()
  const inFlight = new Set<Exchange>()
  const routes = [...ownRoutes, ...parts.routes]
  const document = openApiDocument(parts.version, routes)
  let isDraining = false

  const server = createServer(
    // A body that is slow in coming is cut off by requestTimeout, headers by headersTimeout.
    { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5_000 },
    (req, res) => {
      serve(req, res).catch((error: unknown) => refuse(req, res, error))
    },
  )
  server.maxHeadersCount = 0 // counted by us, as Node would drop those past its limit in silence
  server.keepAliveTimeout = 65_000
  server.on('clientError', answerBrokenRequest)

  const refuse = (req: IncomingMessage, res: ServerResponse, error: unknown) => {
    const known =
      error instanceof RequestError ? error : new RequestError(500, 'internal_error', 'A fault of the gateway.')
    if (!(error instanceof RequestError)) parts.warn(`A fault of ours: ${error instanceof Error ? error.stack : error}`)
    metrics.count('plumbline_refused_total', { status: String(known.status), code: String(known.body.code) })
    sendError(req, res, known)
  }

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    if (isDraining) res.setHeader('connection', 'close')
    if (req.rawHeaders.length > 2 * maxHeaders) {
      throw new RequestError(431, 'too_many_headers', `A request has at most ${maxHeaders} headers.`)
    }
    const url = parseTarget(req.url)
    const { pathname } = url
    if (Object.hasOwn(publicPaths, pathname)) return publish[pathname as PublicPath](res)
    if (pathname.startsWith('/api/') || routes.some(({ path }) => path === pathname)) {
      return serveApi(req, res, url, { ...parts, routes, authorize })
    }
    if (pathname.startsWith('/v1/')) {
      const key = authorize(req, ['client', 'admin'])
      if (Object.hasOwn(endpoints, pathname)) return complete(req, res, pathname as EndpointPath, key)
      if (modelPath.test(pathname)) return passOn(req, res, pathname)
    }
    throw new RequestError(404, 'unknown_url', 'There is no such path here.')
  }

  const publish: Record<PublicPath, (res: ServerResponse) => void> = {
    '/healthz': (res) => sendJson(res, 200, { status: 'ok' }),
    '/readyz': (res) => sendJson(res, isDraining ? 503 : 200, readiness()),
    '/metrics': (res) => {
      res.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' })
      res.end(metrics.text(gauges()))
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
    throw new RequestError(403, 'wrong_scope', `A key of scope ${key.scope} does not open this.`)
  }

  const admit = () => {
    if (isDraining || inFlight.size >= limits.maxInFlight) {
      const message = isDraining ? 'The gateway is shutting down.' : 'Too many answers are in flight.'
      throw new RequestError(503, 'overloaded', message, { headers: { 'retry-after': '1' } })
    }
  }

  /** A request for an answer of the model: recorded. */
  const complete = async (req: IncomingMessage, res: ServerResponse, path: EndpointPath, key: StoredKey) => {
    allow(req, 'POST')
    admit()
    const body = await readBody(req, limits.maxBodyBytes)
    const json = parseObject(body)
    const createdAt = parts.now()
    const record = uuidv7(createdAt)
    const isStream = json.stream === true
    const { subjects, request: kept } = concealSubjects(parts.hashSubject, key.project, json, body)
    admit()
    const onOutcome = async (outcome: Outcome) => {
      count(path, outcome)
      const fields = {
        record,
        project: key.project,
        key_id: key.id,
        created_at: new Date(createdAt).toISOString(),
        endpoint: path,
        upstream: parts.upstream.origin,
        request_model: typeof json.model === 'string' ? json.model.slice(0, 512) : null,
        stream: isStream,
        request_bytes: body.length,
        subjects,
        redaction: null,
        ...outcome,
      }
      await parts.recorder.record(fields, kept)
    }
    const request = { method: 'POST', path, headers: req.headers, body, isStream, record } as const
    const exchange = new Exchange(parts.upstream, request, endpoints[path], res, limits, onOutcome)
    await track(exchange)
  }

  /** The list of models, and one of it: no answer of a model, so not recorded. */
  const passOn = async (req: IncomingMessage, res: ServerResponse, path: string) => {
    allow(req, 'GET')
    admit()
    req.resume()
    const record = uuidv7(parts.now())
    const request = { method: 'GET', path, headers: req.headers, body: undefined, isStream: false, record } as const
    await track(
      new Exchange(parts.upstream, request, undefined, res, limits, async (outcome) => count('/v1/models', outcome)),
    )
  }

  const track = async (exchange: Exchange) => {
    inFlight.add(exchange)
    await exchange.done
    inFlight.delete(exchange)
  }

  const count = (endpoint: string, { status, termination, timings }: Outcome) => {
    metrics.count('plumbline_answers_total', { endpoint, status: String(status), termination })
    metrics.observe('plumbline_answer_seconds', timings.total_ms / 1000)
    if (timings.first_token_ms !== null) metrics.observe('plumbline_first_token_seconds', timings.first_token_ms / 1000)
  }

  const readiness = () => ({
    status: isDraining ? 'draining' : 'ready',
    // Traffic goes on without either: these say what to look at.
    recording: parts.spool.state().fault === undefined && parts.recorder.uncountedGaps() === 0 ? 'ok' : 'degraded',
    store: parts.shipper.state().isStoreAway ? 'away' : 'ok',
  })

  const gauges = (): Gauge[] => {
    const spool = parts.spool.state()
    const shipper = parts.shipper.state()
    const gauge = (name: string, value: number, help: string) => ({ name, value, help, type: 'gauge' as const })
    const total = (name: string, value: number, help: string) => ({ name, value, help, type: 'counter' as const })
    return [
      gauge('plumbline_in_flight', inFlight.size, 'Answers that are on their way.'),
      gauge('plumbline_spool_bytes', spool.bytes, 'Records on disk that are not in the store yet.'),
      gauge('plumbline_spool_pending_records', spool.pendingRecords, 'Records that are not on disk yet.'),
      gauge('plumbline_spool_failing', spool.fault === undefined ? 0 : 1, 'Whether the spool cannot be written.'),
      total('plumbline_spool_damaged_total', spool.damaged, 'Damaged regions of the spool, kept aside.'),
      total('plumbline_records_shipped_total', shipper.shipped, 'Records that the store has taken.'),
      total('plumbline_records_refused_total', shipper.refused, 'Records that the store refuses, kept aside.'),
      gauge('plumbline_store_away', shipper.isStoreAway ? 1 : 0, 'Whether the store cannot be written.'),
      total('plumbline_records_lost_total', parts.recorder.lost(), 'Answers that could not be recorded.'),
    ]
  }

  return {
    listen: (port, host) => listen(server, port, host),
    drain: async (patienceMs) => {
      isDraining = true
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const answered = Promise.all([...inFlight].map(({ done }) => done))
      await Promise.race([answered, sleep(patienceMs, undefined, { ref: false })])
      for (const exchange of inFlight) exchange.cut()
      await Promise.race([Promise.all([...inFlight].map(({ done }) => done)), sleep(1_000)])
      server.closeAllConnections()
      await closed
    },
  }
}

function allow(req: IncomingMessage, method: string): void {
  if (req.method === method) return
  throw new RequestError(405, 'method_not_allowed', `This path takes ${method}.`, { headers: { allow: method } })
}

function listen(server: Server, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve(server.address() as AddressInfo)
    })
  })
}

function parseTarget(target = ''): URL {
  // The host is of no matter here, and what a client says of it is not believed.
  const url =
    target.startsWith('/') && URL.canParse(target, 'http://gateway') ? new URL(target, 'http://gateway') : undefined
  if (url === undefined || url.host !== 'gateway') throw new RequestError(400, 'invalid_url', 'The path is not one.')
  return url
}

const broken: Readonly<Record<string, readonly [number, string, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'headers_too_large', 'The headers are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout', 'The request did not come in time.'],
}

/** What is no HTTP: answered in OpenAI's shape too, as far as it can be. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, code, message] = broken[error.code ?? ''] ?? [400, 'bad_request', 'This is no HTTP request.']
  const body = JSON.stringify({ error: { message, type: 'invalid_request_error', code, param: null } })
  const head = `HTTP/1.1 ${status} Error\r\ncontent-type: application/json\r\nconnection: close`
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
