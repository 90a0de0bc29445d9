import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RequestError, sendError } from './openai-error.ts'
import { createPageServer } from './pages.ts'

let loads = 0
const html = `<!doctype html>${'words '.repeat(200)}`
const pages = createPageServer({
  paths: ['/', '/app.js'],
  load: async () => {
    loads++
    if (loads === 1) throw new Error('the disk is away')
    return new Map([
      ['/', { type: 'text/html; charset=utf-8', body: html }],
      ['/app.js', { type: 'text/javascript', body: 'let a' }],
    ])
  },
})

let server: Server
let url: string
beforeAll(async () => {
  server = createServer((req, res) => {
    const path = req.url!
    const fault = new RequestError(500, 'internal_error', 'A fault.')
    pages.serve(req, res, path).catch((error) => sendError(req, res, error instanceof RequestError ? error : fault))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.close()
})

test('pages that could not be made are made for the next visitor, and then once for all', async () => {
  expect((await fetch(url)).status).toBe(500)
  const answers = await Promise.all([fetch(url), fetch(`${url}/app.js`), fetch(url)])
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(loads).toBe(2)
  expect(pages.has('/app.js')).toBe(true)
  expect(pages.has('/app.js/')).toBe(false)
})

test('whole or compressed, the bytes are the same; unchanged ones are not sent again', async () => {
  for (const encoding of ['gzip', 'identity']) {
    const response = await fetch(url, { headers: { 'accept-encoding': encoding } })
    expect(response.headers.get('content-encoding')).toBe(encoding === 'gzip' ? 'gzip' : null)
    expect(await response.text()).toBe(html)
    const etag = response.headers.get('etag')!
    const again = await fetch(url, { headers: { 'if-none-match': etag } })
    expect([again.status, await again.text()]).toEqual([304, ''])
  }
  const head = await fetch(url, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([200, ''])
  expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(405)
})

test('the policy allows scripts and styles of this server alone', async () => {
  const { headers } = await fetch(url)
  const policy = headers.get('content-security-policy')!
  expect(policy.split('; ')).toEqual([
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ])
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('cache-control')).toBe('no-cache')
})
