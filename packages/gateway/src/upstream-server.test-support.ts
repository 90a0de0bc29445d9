import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { outputItems } from './output-items.test-support.ts'

/** A small OpenAI-compatible server. The model's name says how it behaves, unless it was told otherwise. */
export interface UpstreamServer {
  readonly url: string
  readonly requests: Received[]
  /** How it behaves towards the next requests, one name each: a behaviour, or `plain`. */
  next(...names: string[]): void
  /** How it behaves from now on, whatever the model; undefined goes by the model again. */
  always(name: string | undefined): void
  /** Lets answers of the behaviour `waits-in-stream` go on. */
  release(): void
  /** Connections that are open. */
  connections(): Promise<number>
  close(): Promise<void>
}

export interface Received {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** In performance.now()'s milliseconds. */
  readonly at: number
  /** Milliseconds of performance.now() when the connection of this request went away before its answer was whole. */
  brokenAt: number | undefined
}

const words = ['The ', 'capital ', 'of ', 'France ', 'is ', 'Paris', ' 🗼', '.']
export const sentence = words.join('')
let lastId = 0

export async function startUpstream(): Promise<UpstreamServer> {
  const requests: Received[] = []
  const script: string[] = []
  let mode: string | undefined
  const waiting = new Set<() => void>()
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString('utf8')
    const at = performance.now()
    const received: Received = { path: req.url ?? '', headers: req.headers, body, at, brokenAt: undefined }
    requests.push(received)
    res.on('close', () => {
      if (!res.writableFinished) received.brokenAt = performance.now()
    })
    res.setHeader('set-cookie', 'session=upstream')
    res.setHeader('x-request-id', 'req_upstream')
    const json = body === '' ? {} : JSON.parse(body)
    // Fuzz has models that are anything, also what cannot be made a string.
    const name = script.shift() ?? mode ?? (typeof json.model === 'string' ? json.model : '')
    const released = new Promise<void>((resolve) => waiting.add(resolve))
    const behave = Object.hasOwn(behaviours, name) ? behaviours[name] : answerPlainly
    await behave(req, res, json, released)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    next: (...names) => void script.push(...names),
    always: (name) => {
      mode = name
      script.length = 0
    },
    release: () => {
      for (const resolve of waiting) resolve()
      waiting.clear()
    },
    connections: () => new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Behaviour = (
  req: IncomingMessage,
  res: ServerResponse,
  json: Record<string, unknown>,
  released: Promise<void>,
) => Promise<void> | void

function sendJson(res: ServerResponse, status: number, value: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
  res.end(JSON.stringify(value))
}

const usage = { prompt_tokens: 5, completion_tokens: 8, total_tokens: 13 }

/** All events of an answer, each as it goes over the line. */
export function eventsOf(path: string, json: Record<string, unknown>, id: string): string[] {
  const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
  const head = { id, created: 1, model: json.model }
  if (path === '/v1/responses') {
    const typed = (type: string, rest: object) => `event: ${type}\n${event({ type, ...rest })}`
    return [
      typed('response.created', { response: { ...responseOf(json, id), output: [], status: 'in_progress' } }),
      ...words.map((delta) => typed('response.output_text.delta', { delta, output_index: 0, content_index: 0 })),
      typed('response.completed', { response: responseOf(json, id) }),
    ]
  }
  if (path === '/v1/completions') {
    const choice = (text: string, finish_reason: string | null) => ({ index: 0, text, finish_reason, logprobs: null })
    const chunk = (text: string, finish: string | null) =>
      event({ ...head, object: 'text_completion', choices: [choice(text, finish)] })
    return [...words.map((word) => chunk(word, null)), chunk('', 'stop'), 'data: [DONE]\n\n']
  }
  const chunk = (delta: object, finish_reason: string | null) =>
    event({ ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] })
  return [
    chunk({ role: 'assistant', content: '' }, null),
    ...words.map((content) => chunk({ content }, null)),
    chunk(
      { tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'look', arguments: '' } }] },
      null,
    ),
    chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a":' } }] }, null),
    chunk({ tool_calls: [{ index: 0, function: { arguments: '1}' } }] }, null),
    chunk({}, 'stop'),
    event({ ...head, object: 'chat.completion.chunk', choices: [], usage }),
    'data: [DONE]\n\n',
  ]
}

function responseOf(json: Record<string, unknown>, id: string) {
  const content = [{ type: 'output_text', text: sentence, annotations: [] }]
  const output = [{ type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content }]
  const counted = { input_tokens: 5, output_tokens: 8, total_tokens: 13 }
  return { id, object: 'response', created_at: 1, model: json.model, status: 'completed', output, usage: counted }
}

const answerPlainly: Behaviour = async (req, res, json) => {
  const path = req.url ?? ''
  const id = `${path === '/v1/responses' ? 'resp' : 'chatcmpl'}-${++lastId}`
  if (path === '/v1/models') {
    return sendJson(res, 200, { object: 'list', data: [{ id: 'm', object: 'model', created: 1, owned_by: 'us' }] })
  }
  if (path.startsWith('/v1/models/'))
    return sendJson(res, 200, { id: decodeURIComponent(path.slice(11)), object: 'model' })
  if (path === '/v1/embeddings') {
    const data = [{ object: 'embedding', index: 0, embedding: [0.5, -0.25] }]
    return sendJson(res, 200, { object: 'list', model: json.model, data, usage: { prompt_tokens: 2, total_tokens: 2 } })
  }
  if (json.stream !== true) {
    const head = { id, created: 1, model: json.model }
    if (path === '/v1/responses') return sendJson(res, 200, responseOf(json, id))
    const message = { role: 'assistant', content: sentence, refusal: null }
    const choice = { index: 0, finish_reason: 'stop', logprobs: null }
    if (path === '/v1/completions')
      return sendJson(res, 200, { ...head, object: 'text_completion', choices: [{ ...choice, text: sentence }], usage })
    return sendJson(res, 200, { ...head, object: 'chat.completion', choices: [{ ...choice, message }], usage })
  }
  beginStream(res)
  for (const event of eventsOf(path, json, id)) {
    res.write(event)
    await sleep(1)
  }
  res.end()
}

function sendLong(res: ServerResponse, { model }: Record<string, unknown>, characters: number): void {
  const message = { role: 'assistant', content: 'a'.repeat(characters), refusal: null }
  sendJson(res, 200, { id: 'long', model, choices: [{ index: 0, message, finish_reason: 'stop' }] })
}

function beginStream(res: ServerResponse): void {
  res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
}

async function sendPieces(res: ServerResponse, { stream, pieces }: Record<string, unknown>): Promise<void> {
  res.writeHead(200, { 'content-type': stream === true ? 'text/event-stream' : 'application/json' })
  for (const piece of pieces as string[]) {
    res.write(Buffer.from(piece, 'base64'))
    await sleep(0)
  }
}

const chatEvents = (json: Record<string, unknown>) => eventsOf('/v1/chat/completions', json, `chatcmpl-${++lastId}`)
const untilClosed = (res: ServerResponse) => new Promise<void>((resolve) => res.on('close', () => resolve()))

const behaviours: Readonly<Record<string, Behaviour>> = {
  /** Bytes of the request's own choosing, cut where it says. */
  pieces: async (_req, res, json) => {
    await sendPieces(res, json)
    res.end()
  },
  /** The same, and what is no HTTP behind them. */
  'pieces-then-no-http': async (_req, res, json) => {
    await sendPieces(res, json)
    res.socket?.write('ZZZ\r\nno chunk')
    await untilClosed(res)
  },
  /** A length, and behind as many bytes a whole other answer that nobody asked for. */
  'past-its-length': (_req, res) => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: '
    const answers = ['right', 'wrong'].map((content) =>
      JSON.stringify({ choices: [{ index: 0, message: { content } }] }),
    )
    res.socket?.write(answers.map((json) => `${head}${json.length}\r\n\r\n${json}`).join(''))
  },
  /** As many answers as were asked for, of the request's own choosing. */
  several: (_req, res, json) => {
    const texts = (json.texts as string[]).slice(0, (json.n as number | undefined) ?? 1)
    const choices = texts.map((content, index) => ({
      index,
      message: { role: 'assistant', content, refusal: null, reasoning_content: `${content}?` },
      logprobs: null,
      finish_reason: 'stop',
    }))
    const counted = { prompt_tokens: 5, completion_tokens: 8 * texts.length, total_tokens: 5 + 8 * texts.length }
    const head = { id: `chatcmpl-${++lastId}`, object: 'chat.completion', created: 1, model: json.model }
    sendJson(res, 200, { ...head, system_fingerprint: 'fp', choices, usage: counted })
  },
  /** An answer of /v1/responses with an item of every type. */
  'every-item': (_req, res, json) => {
    const response = { ...responseOf(json, `resp-${++lastId}`), output: outputItems }
    if (json.stream !== true) return sendJson(res, 200, response)
    beginStream(res)
    const send = (type: string, rest: object) => res.write(`data: ${JSON.stringify({ type, ...rest })}\n\n`)
    send('response.created', { response: { ...response, output: [], status: 'in_progress' } })
    for (const [output_index, item] of outputItems.entries()) {
      send('response.output_item.added', { output_index, item })
      send('response.output_item.done', { output_index, item })
    }
    send('response.completed', { response })
    res.end()
  },
  silent: (_req, res) => untilClosed(res),
  'stalls-before-token': async (_req, res) => {
    beginStream(res)
    res.write(': wait\n\n')
    await untilClosed(res)
  },
  'stalls-in-stream': async (_req, res, json) => {
    beginStream(res)
    for (const event of chatEvents(json).slice(0, 4)) res.write(event)
    await untilClosed(res)
  },
  'resets-in-stream': async (_req, res, json) => {
    beginStream(res)
    for (const event of chatEvents(json).slice(0, 4)) res.write(event)
    await sleep(30)
    res.destroy()
  },
  'no-http-in-stream': async (_req, res, json) => {
    beginStream(res)
    for (const event of chatEvents(json).slice(0, 4)) res.write(event)
    await sleep(30)
    res.socket?.end('nonsense\r\n\r\n')
  },
  'resets-in-event': async (_req, res, json) => {
    beginStream(res)
    for (const event of chatEvents(json).slice(0, 4)) res.write(event)
    res.write('data: {"id":"x","cho')
    await sleep(30)
    res.destroy()
  },
  'waits-in-stream': async (req, res, json, released) => {
    beginStream(res)
    const events = eventsOf(req.url ?? '', json, `chatcmpl-${++lastId}`)
    for (const event of events.slice(0, 4)) res.write(event)
    await released
    res.end(events.slice(4).join(''))
  },
  'resets-after-head': (_req, res) => {
    beginStream(res)
    res.flushHeaders()
    setImmediate(() => res.destroy())
  },
  'resets-before-headers': (_req, res) => void res.destroy(),
  'resets-in-body': async (_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 })
    res.write('{"id":')
    await sleep(30)
    res.destroy()
  },
  'ends-without-done': async (_req, res, json) => {
    beginStream(res)
    for (const event of chatEvents(json).slice(0, 4)) res.write(event)
    res.end()
  },
  'keeps-open-after-done': async (_req, res, json) => {
    beginStream(res)
    for (const event of chatEvents(json)) res.write(event)
    await untilClosed(res)
  },
  'error-in-stream': (_req, res, json) => {
    beginStream(res)
    for (const event of chatEvents(json).slice(0, 3)) res.write(event)
    res.end('data: {"error":{"message":"out of memory","type":"server_error","code":"oom"}}\n\n')
  },
  'error-in-200': (_req, res) => sendJson(res, 200, { error: { message: 'no', type: 'server_error', code: 'x' } }),
  garbage: (_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end('<html>hello</html>')
  },
  'not-http': (_req, res) => void res.socket?.end('nonsense\r\n\r\n'),
  'html-503': (_req, res) => {
    res.writeHead(503, { 'content-type': 'text/html' })
    res.end('<h1>down</h1>')
  },
  'json-429': (_req, res) => {
    res.setHeader('retry-after', '7')
    sendJson(res, 429, { error: { message: 'slow down', type: 'requests', code: 'rate_limit_exceeded', param: null } })
  },
  /** Comes back within what a test waits. */
  'json-429-soon': (_req, res) => {
    res.setHeader('retry-after-ms', '400')
    sendJson(res, 429, { error: { message: 'slow down', type: 'requests', code: 'rate_limit_exceeded', param: null } })
  },
  'json-400': (_req, res) =>
    sendJson(res, 400, { error: { message: 'what?', type: 'invalid_request_error', code: null, param: null } }),
  'json-500': (_req, res) => sendJson(res, 500, { error: { message: 'oh', type: 'server_error', code: 'x' } }),
  'json-401': (_req, res) => sendJson(res, 401, { error: { message: 'bad key sk-operator', type: 'x', code: 'y' } }),
  /** Encoded, whatever was asked for. */
  encoded: (_req, res, json) => {
    const isStream = json.stream === true
    const type = isStream ? 'text/event-stream; charset=utf-8' : 'application/json'
    const plain = isStream ? chatEvents(json).join('') : '{"choices":[]}'
    res.writeHead(200, { 'content-type': type, 'content-encoding': 'gzip' })
    res.end(gzipSync(plain))
  },
  /** More than the buffers of a client that does not read take. */
  long: (_req, res, json) => sendLong(res, json, 12 * 2 ** 20),
  lengthy: (_req, res, json) => sendLong(res, json, 2 * 2 ** 20),
  redirect: (_req, res) => {
    res.writeHead(302, { location: 'http://169.254.169.254/' })
    res.end()
  },
  /** Word after word, for ever. */
  endless: async (_req, res, json) => {
    beginStream(res)
    const [, event] = chatEvents(json)
    while (!res.destroyed) {
      res.write(event)
      await sleep(1)
    }
  },
  /** As fast as the reader takes it, for ever. */
  flood: async (_req, res, json) => {
    beginStream(res)
    const [, event] = chatEvents(json)
    const block = event.repeat(400)
    const closed = untilClosed(res)
    while (!res.destroyed) {
      if (!res.write(block)) await Promise.race([new Promise((resolve) => res.once('drain', resolve)), closed])
      floodBytes += block.length
    }
  },
}

let floodBytes = 0
/** Bytes that every flood together could write. */
export const flooded = () => floodBytes
