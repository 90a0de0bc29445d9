import { timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { PlumblineError } from '@plumbline/contracts'
import { RequestError, sendError, sendJson } from '@plumbline/gateway/openai-error'
import { parseObject, readBody } from '@plumbline/gateway/request-body'
import type { GenerationQueue } from '@plumbline/models'
import { type Endpoint, type ServedModel, seconds } from './call.ts'
import { chat } from './chat.ts'
import { complete } from './complete.ts'
import { completions } from './completions.ts'
import { responses } from './responses.ts'

const endpoints: Readonly<Record<string, Endpoint>> = {
  '/v1/chat/completions': chat,
  '/v1/completions': completions,
  '/v1/responses': responses,
  '/v1/embeddings': () => {
    throw new RequestError(404, 'no_embeddings', 'The local model writes text and gives no embeddings.', {
      param: 'model',
    })
  },
}

/** The gateway in front has a lower cap of its own. */
const maxBodyBytes = 32 * 2 ** 20

export interface ModelServerParts {
  readonly model: ServedModel
  readonly queue: GenerationQueue
  /** What callers show as their bearer key: any process of this machine can reach the port. */
  readonly apiKey: string
  readonly warn: (text: string) => void
}

export function createModelServer({ model, queue, apiKey, warn }: ModelServerParts): Server {
  const created = seconds(model)
  const expected = Buffer.from(`Bearer ${apiKey}`)
  const self = { id: model.name, object: 'model', created, owned_by: 'plumbline' }

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const given = Buffer.from(req.headers.authorization ?? '')
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new RequestError(401, 'invalid_api_key', 'This server belongs to its gateway.')
    }
    const { url = '', method } = req
    if (method === 'GET' && url === '/v1/models') return sendJson(res, 200, { object: 'list', data: [self] })
    if (method === 'GET' && url.startsWith('/v1/models/')) {
      if (unescaped(url.slice('/v1/models/'.length)) === model.name) return sendJson(res, 200, self)
      throw new RequestError(404, 'model_not_found', 'There is no such model here.', { param: 'model' })
    }
    if (method !== 'POST' || !Object.hasOwn(endpoints, url)) {
      throw new RequestError(404, 'unknown_url', 'There is no such path here.')
    }
    const gone = new AbortController()
    res.on('close', () => gone.abort(new Error('the client is gone')))
    const body = parseObject(await readBody(req, maxBodyBytes))
    await complete(endpoints[url](body, model), model, queue, res, gone.signal)
  }

  const fail = (req: IncomingMessage, res: ServerResponse, error: unknown) => {
    if (res.destroyed) return
    const known = asRequestError(error)
    if (known.status === 500) warn(`The local model failed: ${error instanceof Error ? error.stack : error}`)
    if (!res.headersSent) return sendError(req, res, known)
    // In a stream, no end mark follows: the answer is not whole.
    res.end(`event: error\ndata: ${JSON.stringify({ ...known.body, type: 'error', error: known.body })}\n\n`)
  }

  const server = createServer((req, res) => {
    serve(req, res).catch((error: unknown) => fail(req, res, error))
  })
  // A step of the model may hold the clock up: a connection that the gateway is about to use must not be closed for it.
  server.keepAliveTimeout = 0
  return server
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error
  const { code, message } =
    error instanceof PlumblineError ? error : new PlumblineError('INTERNAL_ERROR', 'A fault of the local model.')
  // Not 503: a model that is busy is well, and the gateway must not take it for one that fails.
  if (code === 'QUEUE_FULL') return new RequestError(429, 'overloaded', message, { headers: { 'retry-after': '1' } })
  if (code === 'QUEUE_CLOSED') return new RequestError(503, 'shutdown', message)
  return new RequestError(500, code.toLowerCase(), message)
}
