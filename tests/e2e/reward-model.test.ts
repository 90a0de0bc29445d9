/** The real command with a reward model: best-of-n, guards by reward, a reload and the end. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readProcesses } from '../../benchmarks/trainers/process-tree.ts'
import { startUpstream, type UpstreamServer } from '../../packages/gateway/src/upstream-server.test-support.ts'
import { writeTinyRewardModel } from '../trainers/tiny-models.ts'
import { startPlumb } from './plumb-process.ts'

const adminKey = 'an-administrator-key-of-this-test'
const longTest = { timeout: 600_000 }

let folder: string
let upstream: UpstreamServer
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-reward-'))
  upstream = await startUpstream()
  const config = { max_position_embeddings: 512 }
  await writeTinyRewardModel(join(folder, 'model'), { config, deviation: 0.4, mean: 0, std: 1 })
}, 600_000)
afterAll(async () => {
  await upstream?.close()
  await rm(folder, { recursive: true, force: true })
})

const start = (...flags: string[]) => {
  const served = ['serve', '--json', '--data', join(folder, 'data'), '--port', '0', '--upstream', upstream.url]
  return startPlumb([...served, ...flags], { PLUMBLINE_ADMIN_KEY: adminKey })
}

test('best-of-n and a guard by reward, until it is stopped', longTest, async () => {
  const guards = join(folder, 'guards.yaml')
  const guard = (threshold: number) =>
    `- kind: reward\n  mode: replace\n  threshold: ${threshold}\n  replacement: No.\n`
  await writeFile(guards, guard(-1e6))
  const plumb = await start('--reward-model', join(folder, 'model'), '--best-of', '3', '--guards', guards)
  try {
    const { url } = JSON.parse(plumb.stdout())
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: adminKey, maxRetries: 0 })
    const texts = ['Yes.', 'No, never, not at all.', 'I do not know']
    const chat = { model: 'several', messages: [{ role: 'user' as const, content: 'Well?' }], texts }
    const authorized = { headers: { authorization: `Bearer ${adminKey}` } }
    const ask = async () => {
      const { data, response } = await client.chat.completions.create(chat).withResponse()
      const record = `${url}/api/interactions/${response.headers.get('x-request-id')}`
      const found = () => fetch(record, authorized).then(({ status }) => status)
      await expect.poll(found, { timeout: 60_000 }).toBe(200)
      return { answer: data, record: await (await fetch(record, authorized)).json() }
    }
    const { answer, record } = await ask()
    const { rewards, chosen } = record.best_of
    expect(rewards[chosen]).toBe(Math.max(...rewards))
    expect(answer.choices[0].message.content).toBe(texts[chosen])
    expect(record.guards).toMatchObject([{ name: 'reward', outcome: 'passed' }])
    expect(record.guards[0].score).toBeCloseTo(rewards[chosen], 4)
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ reward_model: 'ok' })

    await writeFile(guards, guard(1e6))
    expect((await fetch(`${url}/api/reload`, { method: 'POST', ...authorized })).status).toBe(200)
    expect((await ask()).answer.choices[0]).toMatchObject({ message: { content: 'No.' } })

    const children = readProcesses().filter(({ parent }) => parent === plumb.process.pid)
    // The reward model's, and the store's.
    expect(children).toHaveLength(2)
    plumb.process.kill('SIGTERM')
    expect(await plumb.exited).toBe(0)
    expect(readProcesses().filter(({ pid }) => children.some((child) => child.pid === pid))).toEqual([])
  } finally {
    plumb.process.kill('SIGKILL')
  }
})

test('best-of-n without a model that chooses is refused before anything is made', longTest, async () => {
  const plumb = await start('--best-of', '3')
  expect(await plumb.exited).toBe(2)
  expect(plumb.stderr()).toContain('--best-of needs a reward model')
})
