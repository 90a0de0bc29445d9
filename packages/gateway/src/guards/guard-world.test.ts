import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { ResolveName } from '../address.ts'
import { openGuardWorld } from './guard-world.ts'
import { readGuards } from './read-guards.ts'

let server: Server
let port: number
let asked = 0
beforeAll(async () => {
  server = createServer((req, res) => {
    asked++
    req.resume()
    res.end('{"results":[{"flagged":true}]}')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  asked = 0
})

const leadingTo =
  (address: string): ResolveName =>
  (_name, _options, done) =>
    done(null, [{ address, family: 4 }])

/** What a guard with this address says of a text, where each name leads to `address`. */
function verdict(host: string, more: object = {}, address = '127.0.0.1') {
  const config = [{ kind: 'http', mode: 'block', url: `http://${host}:${port}/v1/moderations`, ...more }]
  const [{ look }] = readGuards(config, openGuardWorld({}, undefined, leadingTo(address))).guards
  if (look.by !== 'whole') throw new Error('it looks at the whole')
  const context = { direction: 'input', prompt: '', conversation: undefined } as const
  return look.judge('a text', context, new AbortController().signal)
}

test('a guard is asked where its address may lead: itself, a private name, and others that say so', async () => {
  expect(await verdict('127.0.0.1')).toMatchObject({ isFlagged: true })
  expect(await verdict('localhost')).toMatchObject({ isFlagged: true })
  expect(await verdict('guards.internal')).toMatchObject({ isFlagged: true })
  expect(await verdict('guards.example', { private: true })).toMatchObject({ isFlagged: true })
  expect(asked).toBe(4)
})

test('a public name does not lead a guard into private networks, and no name to a metadata service', async () => {
  await expect(verdict('guards.example')).rejects.toThrow('guards.example leads to 127.0.0.1')
  await expect(verdict('localhost', {}, '10.0.0.1')).rejects.toThrow('leads to 10.0.0.1')
  for (const more of [{}, { private: true }])
    await expect(verdict('guards.internal', more, '169.254.169.254')).rejects.toThrow('leads to 169.254.169.254')
  expect(asked).toBe(0)
})

test.each(['http', 'judge'])('%s: an address that nobody may ask is refused with the configuration', (kind) => {
  const rest = kind === 'judge' ? { model: 'j', policy: 'nothing bad' } : {}
  const read = (url: string, more: object = {}) =>
    readGuards([{ kind, mode: 'block', url, ...rest, ...more }], openGuardWorld({})).guards[0]
  for (const url of ['http://169.254.169.254/v1', 'http://[fd00:ec2::254]/v1', 'ftp://a/v1', 'http://a:b@guards/v1'])
    expect(() => read(url, { private: true }), url).toThrow(expect.objectContaining({ code: 'USAGE_ADDRESS' }))
  // Where it leads is nothing that its verdicts depend on.
  expect(read('http://a/v1').version).toBe(read('http://a/v1', { private: true }).version)
})
