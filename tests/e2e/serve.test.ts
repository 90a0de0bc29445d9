import type { ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { migrate } from '../../packages/store/src/migrate.ts'
import { openPglite } from '../../packages/store/src/pglite.ts'
import { startPlumb } from './plumb-process.ts'

/** The real process, killed and started again on the same folder. CI takes 5 rounds; PLUMBLINE_SERVE_ROUNDS asks for more. */
const rounds = Number(process.env.PLUMBLINE_SERVE_ROUNDS ?? 5)
const adminKey = 'an-administrator-key-of-this-test'

let folder: string
let upstream: Server
let upstreamUrl: string
let child: ChildProcess | undefined
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-'))
  let id = 0
  upstream = createServer((req, res) => {
    req.resume()
    const choices = [{ index: 0, message: { role: 'assistant', content: 'Yes.' }, finish_reason: 'stop' }]
    const answer = {
      id: `chatcmpl-${process.hrtime.bigint()}-${++id}`,
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices,
    }
    res.setHeader('content-type', 'application/json')
    setTimeout(() => res.end(JSON.stringify(answer)), Math.random() * 20)
  })
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done))
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
})
afterAll(async () => {
  child?.kill('SIGKILL')
  upstream.closeAllConnections()
  upstream.close()
  await rm(folder, { recursive: true, force: true })
})

async function start(
  env: NodeJS.ProcessEnv,
  // One for most tests: a database costs some seconds to make.
  data = join(folder, 'data'),
  more: readonly string[] = ['--upstream', upstreamUrl],
) {
  const started = await startPlumb(['serve', '--json', '--data', data, '--port', '0', ...more], env)
  child = started.process
  const out = started.stdout()
  const facts = out === '' ? { url: '' } : (JSON.parse(out) as { url: string; admin_key?: string })
  return { ...facts, ...started }
}

async function allIds(url: string): Promise<string[]> {
  const ids: string[] = []
  let after = ''
  for (;;) {
    const headers = { authorization: `Bearer ${adminKey}` }
    const response = await fetch(`${url}/api/interactions?limit=1000${after}`, { headers })
    const { data, next } = (await response.json()) as { data: { id: string }[]; next: string | null }
    ids.push(...data.map(({ id }) => id))
    if (next === null) return ids
    after = `&after=${next}`
  }
}

test(`kill -9 under load, ${rounds} rounds: every answer that a client has is recorded once`, {
  timeout: 120_000 + rounds * 120_000,
}, async () => {
  const answered = new Set<string>()
  for (let round = 0; round < rounds; round++) {
    const serving = await start({ PLUMBLINE_ADMIN_KEY: adminKey })
    const client = new OpenAI({ baseURL: `${serving.url}/v1`, apiKey: adminKey, maxRetries: 0 })
    let isKilled = false
    const ask = async () => {
      while (!isKilled) {
        const answer = await client.chat.completions
          .create({ model: 'm', messages: [{ role: 'user', content: 'Well?' }] })
          .catch(() => undefined)
        if (answer !== undefined) answered.add(answer.id)
      }
    }
    const asking = Array.from({ length: 8 }, ask)
    const before = answered.size
    while (answered.size < before + 20) await sleep(10)
    await sleep(Math.random() * 500)
    serving.process.kill('SIGKILL')
    isKilled = true
    await Promise.all([...asking, serving.exited])
  }
  const serving = await start({ PLUMBLINE_ADMIN_KEY: adminKey })
  let ids: string[] = []
  const missing = () => [...answered].filter((id) => !ids.includes(id))
  for (let tries = 0; tries < 600; tries++) {
    ids = await allIds(serving.url)
    if (missing().length === 0) break
    await sleep(100)
  }
  expect(missing()).toEqual([])
  expect(new Set(ids).size).toBe(ids.length)

  const second = await start({ PLUMBLINE_ADMIN_KEY: adminKey })
  expect([await second.exited, second.stderr()]).toMatchObject([1, expect.stringContaining('DATA_IN_USE')])

  serving.process.kill('SIGTERM')
  expect(await serving.exited, serving.stderr()).toBe(0)
})

test('kill -9 while the disk is slow: an answer that a client has whole is recorded', {
  timeout: 240_000,
}, async () => {
  // At the signal the one thread for files computes for a second or more: whatever the disk is asked waits for real.
  const preload = `import { pbkdf2 } from 'node:crypto'
    process.on('SIGUSR2', () => {
      pbkdf2('a', 'b', 3_000_000, 32, 'sha256', () => {})
      process.stderr.write('the disk is slow')
    })`
  const options = `--import data:text/javascript,${encodeURIComponent(preload)}`
  const slow = await start({ PLUMBLINE_ADMIN_KEY: adminKey, UV_THREADPOOL_SIZE: '1', NODE_OPTIONS: options })
  const client = new OpenAI({ baseURL: `${slow.url}/v1`, apiKey: adminKey, maxRetries: 0 })
  const ask = () => client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'Well?' }] })
  await ask()
  slow.process.kill('SIGUSR2')
  while (!slow.stderr().includes('the disk is slow')) await sleep(10)
  const { id } = await ask()
  slow.process.kill('SIGKILL')
  await slow.exited
  const again = await start({ PLUMBLINE_ADMIN_KEY: adminKey })
  for (let tries = 0; tries < 600 && !(await allIds(again.url)).includes(id); tries++) await sleep(100)
  expect(await allIds(again.url)).toContain(id)
  again.process.kill('SIGTERM')
  expect(await again.exited, again.stderr()).toBe(0)
})

test('a clock that is set forward and back: every answer is recorded once, in the order in which they came', {
  timeout: 240_000,
}, async () => {
  // At each signal the clock of the process is set to another year; what counts milliseconds alone goes on.
  const preload = `const real = Date.now, years = [1, -1]
    let offset = 0
    Date.now = () => real() + offset
    process.on('SIGUSR2', () => {
      offset = years.shift() * 365 * 86_400_000
      process.stderr.write('the clock is set ' + offset)
    })`
  const options = `--import data:text/javascript,${encodeURIComponent(preload)}`
  const limited = ['--upstream', upstreamUrl, '--limit-requests-per-minute', '3', '--retain-content-days', '30']
  const serving = await start({ PLUMBLINE_ADMIN_KEY: adminKey, NODE_OPTIONS: options }, undefined, limited)
  const client = new OpenAI({ baseURL: `${serving.url}/v1`, apiKey: adminKey, maxRetries: 0 })
  const ask = () => client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'Well?' }] })
  const ids = [(await ask()).id]
  for (let jumps = 1; jumps <= 2; jumps++) {
    serving.process.kill('SIGUSR2')
    while (serving.stderr().split('the clock is set').length <= jumps) await sleep(10)
    ids.unshift((await ask()).id)
  }
  // A year ahead would have given the key its minute anew.
  await expect(ask()).rejects.toMatchObject({ status: 429 })
  const newest = async () => (await allIds(serving.url)).slice(0, 3)
  await expect.poll(newest, { timeout: 60_000 }).toEqual(ids)
  const headers = { authorization: `Bearer ${adminKey}` }
  const { data } = await (await fetch(`${serving.url}/api/interactions?limit=3`, { headers })).json()
  const days = data.map((record: { created_at: string }) => Date.parse(record.created_at) / 86_400_000)
  expect([Math.round(days[1] - days[2]), Math.round(days[0] - days[2])]).toEqual([365, -365])
  for (const { timings } of data) expect(timings.total_ms).toBeLessThan(60_000)
  expect(await (await fetch(`${serving.url}/readyz`)).json()).toMatchObject({ recording: 'ok', store: 'ok' })
  serving.process.kill('SIGTERM')
  expect(await serving.exited, serving.stderr()).toBe(0)
})

test('without PLUMBLINE_ADMIN_KEY a key is made and shown once', { timeout: 240_000 }, async () => {
  const data = join(folder, 'own-key')
  const first = await start({ PLUMBLINE_ADMIN_KEY: '' }, data)
  expect(first.admin_key).toMatch(/^plk_.{43}$/)
  const headers = { authorization: `Bearer ${first.admin_key}` }
  expect((await fetch(`${first.url}/api/interactions`, { headers })).status).toBe(200)
  first.process.kill('SIGINT')
  expect(await first.exited).toBe(0)
  const second = await start({ PLUMBLINE_ADMIN_KEY: '' }, data)
  expect(second.admin_key).toBeUndefined()
  expect((await fetch(`${second.url}/api/interactions`, { headers })).status).toBe(200)
  second.process.kill('SIGTERM')
  expect(await second.exited).toBe(0)
})

test('SIGHUP reads the configuration anew; one that is no good leaves the old one', { timeout: 240_000 }, async () => {
  const file = join(folder, 'gateway.yaml')
  const upstreams = (url: string) => `upstreams:\n  - name: one\n    url: ${url}\n`
  await writeFile(file, upstreams(upstreamUrl))
  const serving = await start({ PLUMBLINE_ADMIN_KEY: adminKey }, undefined, ['--config', file])
  const client = new OpenAI({ baseURL: `${serving.url}/v1`, apiKey: adminKey, maxRetries: 0 })
  const ask = async () => {
    const answer = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'Well?' }] })
    return answer.choices[0].message.content
  }
  const reload = async (text: string, said: string) => {
    await writeFile(file, text)
    serving.process.kill('SIGHUP')
    while (!serving.stderr().includes(said)) await sleep(10)
  }
  expect(await ask()).toBe('Yes.')
  await reload(`${upstreams(upstreamUrl)}    wieght: 2\n`, 'Did you mean weight?')
  expect(serving.stderr()).toContain(
    'The configuration was not reloaded, the old one stays. upstreams[0]: there is no key',
  )
  expect(await ask()).toBe('Yes.')
  await reload(`${upstreams('http://127.0.0.1:1')}fallback_answer: Later.\ndrain_timeout: 31\n`, 'is in force')
  expect(serving.stderr()).toContain('A reload does not change drain_timeout')
  expect(await ask()).toBe('Later.')
  serving.process.kill('SIGTERM')
  expect(await serving.exited, serving.stderr()).toBe(0)
})

test('a store that a newer version has written is refused, with what to do', { timeout: 240_000 }, async () => {
  const data = join(folder, 'newer')
  await mkdir(data)
  const database = openPglite(join(data, 'store'))
  await migrate(database)
  await database.query(`insert into plumbline.migrations (position, name, sha256) values (1000, 'of tomorrow', 'x')`)
  await database.close()
  const serving = await start({ PLUMBLINE_ADMIN_KEY: adminKey }, data)
  expect(await serving.exited).toBe(1)
  expect(serving.stderr()).toMatch(/STORE_NEWER.*"of tomorrow".*\n.*Run that version or a later one/)
})

test('no key is logged, whatever goes wrong', { timeout: 240_000 }, async () => {
  const upstreamKey = 'sk-a-key-of-the-operator'
  // Says the key that it is shown, as some do.
  const tactless = createServer((req, res) => {
    const message = `${req.headers.authorization} is no good`
    if (req.url === '/v1/completions') res.socket?.end(`${message}\r\n\r\n`)
    else if (req.url === '/v1/embeddings') res.writeHead(200).end(message)
    else res.writeHead(req.url === '/v1/responses' ? 500 : 401).end(JSON.stringify({ error: { message } }))
  })
  await new Promise<void>((done) => tactless.listen(0, '127.0.0.1', done))
  onTestFinished(() => void tactless.close())
  const file = join(folder, 'keys.yaml')
  const { port } = tactless.address() as AddressInfo
  await writeFile(file, `upstream: http://127.0.0.1:${port}\n`)
  const env = { PLUMBLINE_ADMIN_KEY: adminKey, PLUMBLINE_UPSTREAM_KEY: upstreamKey }
  const serving = await start(env, undefined, ['--verbose', '--config', file])
  const ask = async (path: string, body: unknown, key: string) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const response = await fetch(`${serving.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    return response.text()
  }
  const clientKey: string = JSON.parse(await ask('/api/keys', { scope: 'client' }, adminKey)).key
  const failing = async (key: string) => {
    for (const path of ['chat/completions', 'completions', 'responses', 'embeddings'])
      await ask(`/v1/${path}`, { model: 'm', messages: [], prompt: 'x', input: 'x' }, key)
    for (const path of ['/api/keys', '/api/none', '/api/reload', `/${key}`]) await ask(path, [], key)
  }
  for (const key of [clientKey, adminKey, `${clientKey}x`]) await failing(key)
  await writeFile(file, `upstreams: [{ name: one, url: "http://${upstreamKey}@127.0.0.1" }]\n`)
  serving.process.kill('SIGHUP')
  while (!serving.stderr().includes('not reloaded')) await sleep(10)
  tactless.closeAllConnections()
  tactless.close()
  await failing(clientKey)
  serving.process.kill('SIGTERM')
  expect(await serving.exited, serving.stderr()).toBe(0)
  for (const secret of [upstreamKey, clientKey, adminKey])
    expect(serving.stdout() + serving.stderr()).not.toContain(secret)
})
