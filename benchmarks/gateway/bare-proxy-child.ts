/**
 * The least that Node's own server and undici's pool cost a gateway: it reads a request whole, sends it on, and gives back
 * what comes. It checks nothing, records nothing and knows no limits, so no gateway of these parts can be quicker.
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
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart: () => {},
        onResponseStart: (_, status, headers) => {
          const { 'content-type': type, 'content-length': length } = headers
          res.writeHead(status, { 'content-type': String(type), 'content-length': String(length) })
        },
        onResponseData: (_, chunk) => res.write(chunk),
        onResponseEnd: () => res.end(),
        onResponseError: () => res.destroy(),
      }
      req.on('data', (chunk) => chunks.push(chunk))
      req.on('end', () => {
        const headers = { 'content-type': 'application/json' }
        pool.dispatch({ method: 'POST', path: req.url!, headers, body: Buffer.concat(chunks) }, handler)
      })
    })
    server.keepAliveTimeout = 60_000
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pid: process.pid }
  },
})
