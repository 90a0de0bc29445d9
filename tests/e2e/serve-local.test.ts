import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Interaction } from '@plumbline/contracts'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readProcesses } from '../../benchmarks/trainers/process-tree.ts'
import { smollm2Path, testHome } from './smollm2.ts'

/** The real command with the real model and no upstream. */
const bin = resolve(import.meta.dirname, '../../packages/plumbline/bin/plumb.js')
const adminKey = 'an-administrator-key-of-this-test'
const model = 'smollm2-135m-instruct'

let folder: string
let child: ChildProcess
let exited: Promise<number | null>
let url: string
let client: OpenAI
beforeAll(async () => {
  await smollm2Path()
  folder = await mkdtemp(join(tmpdir(), 'serve-local-'))
  const env = { ...process.env, PLUMBLINE_HOME: testHome, PLUMBLINE_ADMIN_KEY: adminKey }
  const args = [bin, 'serve', '--json', '--data', join(folder, 'data'), '--port', '0']
  const started = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  child = started
  exited = new Promise((done) => started.on('exit', (code) => done(code)))
  const line = await new Promise<string>((done, fail) => {
    started.stdout.once('data', (chunk) => done(String(chunk)))
    started.once('exit', (code) => fail(new Error(`plumb serve ended with ${code}`)))
  })
  ;({ url } = JSON.parse(line))
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: adminKey, maxRetries: 0 })
}, 600_000)
afterAll(async () => {
  child?.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

const question = { model, messages: [{ role: 'user' as const, content: 'What is the capital of France?' }] }
const longTest = { timeout: 600_000 }

async function recordOf(isIt: (record: Interaction) => boolean): Promise<Interaction> {
  let found: Interaction | undefined
  const look = async () => {
    const headers = { authorization: `Bearer ${adminKey}` }
    const { data } = await (await fetch(`${url}/api/interactions?limit=50`, { headers })).json()
    found = (data as Interaction[]).find(isIt)
    return found
  }
  await expect.poll(look, { timeout: 60_000, interval: 100 }).toBeDefined()
  return found!
}

test('an answer, its stream and their records are the same', longTest, async () => {
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual([model])
  const request = { ...question, temperature: 0, max_completion_tokens: 24 }
  const whole = await client.chat.completions.create(request)
  expect(whole.choices[0].message.content).toContain('Paris')
  let text = ''
  let id = ''
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    id = chunk.id
    text += chunk.choices[0].delta.content ?? ''
  }
  expect(text).toBe(whole.choices[0].message.content)
  for (const one of [whole.id, id]) {
    const record = await recordOf((record) => record.id === one)
    expect(record).toMatchObject({ text, model, termination: 'completed', status: 200 })
  }
  const { output_text } = await client.responses.create({
    model,
    input: question.messages[0].content,
    temperature: 0,
    max_output_tokens: 24,
  })
  expect(output_text).toBe(text)
})

test('sampled answers of many at once are those of each alone', longTest, async () => {
  const ask = async (seed: number) => {
    const { choices } = await client.chat.completions.create({ ...question, seed, max_tokens: 4 + seed })
    return choices
  }
  const seeds = [1, 2, 3, 4]
  const together = await Promise.all(seeds.map(ask))
  expect(new Set(together.map(([{ message }]) => message.content)).size).toBeGreaterThan(1)
  for (const seed of seeds) expect(await ask(seed), `seed ${seed}`).toEqual(together[seed - 1])
})

test('a client that leaves is on record, and its place is free', longTest, async () => {
  const gone = new AbortController()
  const endless = { ...question, n: 8, max_tokens: 2000, stop: ['no such text'] }
  const stream = await client.chat.completions.create({ ...endless, stream: true }, { signal: gone.signal })
  const { value } = await stream[Symbol.asyncIterator]().next()
  gone.abort()
  const { id } = value as { id: string }
  expect((await recordOf((record) => record.id === id)).termination).toBe('client_abort')
  const next = await client.chat.completions.create({ ...question, max_tokens: 2 })
  expect(next.usage?.completion_tokens).toBeLessThanOrEqual(2)
})

test('errors of the model server pass as they are', longTest, async () => {
  const refused = (more: object) => client.chat.completions.create({ ...question, ...more }).catch((error) => error)
  const tools = [{ type: 'function', function: { name: 'look' } }]
  expect(await refused({ tools })).toMatchObject({ status: 400, code: 'unsupported_parameter', param: 'tools' })
  const long = [{ role: 'user', content: 'word '.repeat(9000) }]
  expect(await refused({ messages: long })).toMatchObject({ status: 400, code: 'context_length_exceeded' })
  const embedding = client.embeddings.create({ model, input: 'x' })
  await expect(embedding).rejects.toMatchObject({ status: 404, code: 'no_embeddings' })
})

test('SIGTERM ends both processes', longTest, async () => {
  const children = readProcesses().filter(({ parent }) => parent === child.pid)
  expect(children.length).toBeGreaterThan(0)
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
  const alive = () => readProcesses().filter(({ pid }) => children.some((one) => one.pid === pid))
  expect(alive()).toEqual([])
})
