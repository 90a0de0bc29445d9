import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startUpstream } from '../../packages/gateway/src/upstream-server.test-support.ts'
import { noPostgres, startPostgres } from '../../packages/store/src/postgres-server.test-support.ts'
import { startPlumb } from './plumb-process.ts'

const missing = await noPostgres()
const adminKey = 'an-administrator-key-of-this-test'

async function start(args: readonly string[]) {
  const started = await startPlumb(args, { PLUMBLINE_ADMIN_KEY: adminKey })
  onTestFinished(() => void started.process.kill('SIGKILL'))
  return started
}

/** Asks until `isIt`, as what one process did reaches the others after a while. */
async function until<T>(ask: () => Promise<T>, isIt: (answer: T) => boolean): Promise<T> {
  for (let answer = await ask(); ; answer = await ask()) {
    if (isIt(answer)) return answer
    await sleep(50)
  }
}

test.skipIf(missing !== undefined)(
  `two gateways and a worker share one PostgreSQL${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  { timeout: 240_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gateways-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const server = await startPostgres()
    onTestFinished(() => server.remove())
    const upstream = await startUpstream()
    onTestFinished(() => upstream.close())
    const gateway = async (name: string) => {
      const place = ['--data', join(folder, name), '--port', '0', '--database', server.url]
      const started = await start(['gateway', '--json', ...place, '--upstream', upstream.url])
      const { url } = JSON.parse(started.stdout()) as { url: string }
      const call = async (method: string, path: string, body?: unknown, key = adminKey) => {
        const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
        const sent = body === undefined ? null : JSON.stringify(body)
        const response = await fetch(`${url}${path}`, { method, headers, body: sent })
        return { status: response.status, body: (await response.json()) as never }
      }
      return { ...started, call }
    }
    const [one, two] = [await gateway('one'), await gateway('two')]
    const { key } = (await one.call('POST', '/api/keys', { scope: 'client' })).body as { key: string }
    const ask = async (from: typeof one) => {
      const asked = { model: 'm', safety_identifier: 'ann', messages: [{ role: 'user', content: 'Well?' }] }
      const sent = () => from.call('POST', '/v1/chat/completions', asked, key)
      return ((await until(sent, ({ status }) => status === 200)).body as { id: string }).id
    }
    const ids = [await ask(one), await ask(two)]
    const list = async () => {
      const { body } = await two.call('GET', '/api/interactions')
      return (body as { data: { id: string }[] }).data.map(({ id }) => id)
    }
    expect((await until(list, ({ length }) => length === 2)).sort()).toEqual(ids.sort())

    const { job } = (await one.call('POST', '/api/subjects/delete', { subject: 'ann' })).body as { job: string }
    const state = async () => ((await two.call('GET', `/api/jobs/${job}`)).body as { state: string }).state
    // Nobody does it until there is a worker.
    expect(await state()).toBe('waiting')
    const worker = await start(['worker', '--json', '--database', server.url])
    await until(state, (now) => now === 'done')
    expect(await list()).toEqual([])
    for (const { process, exited, stderr } of [one, two, worker]) {
      process.kill('SIGTERM')
      expect(await exited, stderr()).toBe(0)
    }
  },
)

test.skipIf(missing !== undefined)(
  `a worker that has done nothing yet outlives its PostgreSQL${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  { timeout: 240_000 },
  async () => {
    const server = await startPostgres()
    onTestFinished(() => server.remove())
    const worker = await start(['worker', '--json', '--database', server.url])
    await server.crash()
    const says = (text: string) =>
      until(
        async () => worker.process.exitCode ?? worker.stderr(),
        (said) => typeof said === 'number' || said.includes(text),
      )
    expect(await says('wait for the store')).toEqual(expect.any(String))
    await server.start()
    expect(await says('Jobs go on.')).toEqual(expect.any(String))
    worker.process.kill('SIGTERM')
    expect(await worker.exited, worker.stderr()).toBe(0)
  },
)

test('a gateway that is one of several needs a database and an upstream', async () => {
  const alone = await start(['gateway', '--data', 'x', '--upstream', 'http://127.0.0.1:1'])
  expect([await alone.exited, alone.stderr()]).toEqual([2, expect.stringContaining('--database')])
  const place = ['--data', 'x', '--database', 'postgres://nobody@127.0.0.1:1/x']
  const without = await start(['gateway', ...place])
  expect([await without.exited, without.stderr()]).toEqual([2, expect.stringContaining('--upstream')])
})
