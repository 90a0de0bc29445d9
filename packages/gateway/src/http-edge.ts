import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { RequestError, safeHeaders } from './openai-error.ts'

export function listen(server: Server, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve(server.address() as AddressInfo)
    })
  })
}

export function parseTarget(target = ''): URL {
  // The host is of no matter here, and what a client says of it is not believed.
  const url = target.startsWith('/') ? URL.parse(target, 'http://gateway') : null
  if (url === null || url.host !== 'gateway') throw new RequestError(400, 'invalid_url', 'The path is not one.')
  return url
}

export function allow(req: IncomingMessage, method: string): void {
  if (req.method === method) return
  throw new RequestError(405, 'method_not_allowed', `This path takes ${method}.`, { headers: { allow: method } })
}

const broken: Readonly<Record<string, readonly [number, string, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'headers_too_large', 'The headers are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout', 'The request did not come in time.'],
}

/** What is no HTTP: answered in OpenAI's shape too, as far as it can be. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, code, message] = broken[error.code ?? ''] ?? [400, 'bad_request', 'This is no HTTP request.']
  const body = JSON.stringify({ error: { message, type: 'invalid_request_error', code, param: null } })
  const headers = { ...safeHeaders, connection: 'close', 'content-length': Buffer.byteLength(body) }
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} Error\r\n${head.join('')}\r\n${body}`)
}
