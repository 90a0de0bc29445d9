/**
 * About the least that Node's own server and undici's pool cost a gateway: it reads a request whole, sends it on, and gives
 * back what comes. It checks nothing, records nothing and knows no limits.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'
import { answerLines } from './answer-lines.ts'

await answerLines({
  listen: async ({ upstream }) => {
    const pool = new Pool(String(upstream), { connections: 1024, pipelining: 1 })
    const server = createServer((req, res) => {
      const chunks: Buffer[] = []
      let last: Buffer | undefined
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart: () => {},
        onResponseStart: (_, status, headers) => {
          const { 'content-type': type, 'content-length': length } = headers
          res.writeHead(status, ['content-type', String(type), 'content-length', String(length)])
        },
        onResponseData: (_, chunk) => {
          if (last !== undefined) res.write(last)
          last = chunk
        },
        onResponseEnd: () => res.end(last),
        onResponseError: () => res.destroy(),
      }
      req.on('data', (chunk) => chunks.push(chunk))
      req.on('end', () => {
        const headers = ['content-type', 'application/json']
        const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
        pool.dispatch({ method: 'POST', path: req.url!, headers, body }, handler)
      })
    })
    server.keepAliveTimeout = 60_000
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pid: process.pid }
  },
})
