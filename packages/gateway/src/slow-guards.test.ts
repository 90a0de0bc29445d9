import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from './gateway.test-support.ts'
import { openGuardWorld } from './guards/guard-world.ts'
import { readGuards } from './guards/read-guards.ts'
import type { PolicyOptions } from './policies.ts'
import { sentence } from './upstream-server.test-support.ts'

let harness: Harness
/** A moderation endpoint that says nothing until it is let. */
let moderation: Server
let url: string
const waiting: (() => void)[] = []
beforeAll(async () => {
  harness = await startHarness()
  moderation = createServer(async (req, res) => {
    req.resume()
    await new Promise<void>((resolve) => waiting.push(resolve))
    res.setHeader('content-type', 'application/json')
    res.end(JSON.stringify({ results: [{ flagged: false, category_scores: {} }] }))
  })
  await new Promise<void>((done) => moderation.listen(0, '127.0.0.1', done))
  url = `http://127.0.0.1:${(moderation.address() as AddressInfo).port}/v1/moderations`
})
const letSpeak = () => {
  for (const speak of waiting.splice(0)) speak()
}
afterEach(letSpeak)
afterAll(async () => {
  moderation.closeAllConnections()
  moderation.close()
  await harness.close()
})

const open = (mode: string, direction: string, more: Partial<PolicyOptions> = {}, others: object[] = []) => {
  const slow = { kind: 'http', url, mode, direction, timeout_ms: 60_000 }
  return harness.open({ guards: readGuards([...others, slow], openGuardWorld({})), ...more })
}
const windows = () =>
  readGuards(
    [{ kind: 'http', url, mode: 'block', direction: 'input', timeout_ms: 60_000, window: 100 }],
    openGuardWorld({}),
  )
const chat = (model: string) => JSON.stringify({ model, messages: [{ role: 'user', content: 'About Paris.' }] })
const asked = async (times: number) => {
  while (waiting.length < times) await sleep(5)
}
const path = '/v1/chat/completions'

test('one that only watches holds up neither the end of an answer nor the next request of its key', async () => {
  const gateway = await open('observe', 'output')
  const key = await harness.addKey('client', 'default', false, { concurrent: 1 })
  const ask = () => gateway.post(path, chat('watched'), { authorization: `Bearer ${key}` })
  for (const count of [1, 2]) {
    const answer = await ask()
    expect([answer.status, (await answer.json()).choices[0].message.content]).toEqual([200, sentence])
    await asked(count)
    while ((await gateway.metric('plumbline_in_flight')) !== 0) await sleep(5)
  }
  letSpeak()
  expect((await harness.recordOf((one) => one.request_model === 'watched')).guards).toMatchObject([
    { outcome: 'passed' },
  ])
})

test('a record whose guards have not spoken when the gateway stops is written without them', async () => {
  const gateway = await open('observe', 'output')
  expect((await gateway.post(path, chat('unspoken'))).status).toBe(200)
  await asked(1)
  await gateway.close(0)
  const record = await harness.recordOf((one) => one.request_model === 'unspoken')
  expect(record).toMatchObject({ text: sentence, termination: 'completed', guards: [] })
  expect(record.notes.join()).toContain('what the guards said')
})

test('so is that of an answer which the stop itself cuts', async () => {
  const gateway = await open('observe', 'output')
  const body = JSON.stringify({ model: 'stalls-in-stream', messages: [{ role: 'user', content: 'x' }], stream: true })
  const answer = await gateway.post(path, body)
  await answer.body!.getReader().read()
  await gateway.close(0)
  const record = await harness.recordOf((one) => one.request_model === 'stalls-in-stream')
  expect(record).toMatchObject({ termination: 'shutdown', guards: [] })
  expect(record.notes.join()).toContain('what the guards said')
})

test('a drain waits for them as long as it may', async () => {
  const gateway = await open('observe', 'output')
  expect((await gateway.post(path, chat('awaited'))).status).toBe(200)
  await asked(1)
  const closed = gateway.close(60_000)
  letSpeak()
  await closed
  const record = await harness.recordOf((one) => one.request_model === 'awaited')
  expect(record).toMatchObject({ guards: [{ outcome: 'passed' }], notes: [] })
})

test('a blocked request is answered before those that only watch have spoken', async () => {
  const gateway = await open('observe', 'input', {}, [
    { kind: 'rules', mode: 'block', direction: 'input', keywords: ['paris'] },
  ])
  expect((await gateway.post(path, chat('blocked'))).status).toBe(400)
  await asked(1)
  letSpeak()
  const record = await harness.recordOf((one) => one.request_model === 'blocked')
  expect(record.guards).toMatchObject([{ outcome: 'blocked' }, { outcome: 'passed' }])
})

test('all of a request has its time, also inside the guards of its input', async () => {
  const gateway = await open('block', 'input', { totalMs: 300 })
  const answer = await gateway.post(path, chat('m'))
  expect([answer.status, (await answer.json()).error.code]).toEqual([504, 'guards_timeout'])
  expect(await gateway.metric('plumbline_in_flight')).toBe(0)
})

test('so it is while a guard of this process looks at a long one', async () => {
  const guards = readGuards([{ kind: 'prompt-injection', mode: 'block', direction: 'input' }], openGuardWorld({}))
  const gateway = await harness.open({ guards, totalMs: 30, maxBodyBytes: 4 * 2 ** 20 })
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'a word '.repeat(500_000) }] })
  const answer = await gateway.post(path, body)
  expect([answer.status, (await answer.json()).error.code]).toEqual([504, 'guards_timeout'])
})

test('and inside those of its answer, which is on record', async () => {
  const gateway = await open('block', 'output', { totalMs: 300 })
  const answer = await gateway.post(path, chat('late'))
  expect([answer.status, (await answer.json()).error.code]).toEqual([504, 'timeout_total'])
  letSpeak()
  const record = await harness.recordOf((one) => one.request_model === 'late')
  expect(record).toMatchObject({ termination: 'timeout_total', status: 504, text: sentence })
})

test.each(['input', 'output'])(
  'a client that leaves inside the guards of its %s frees its place',
  async (direction) => {
    const gateway = await open('block', direction)
    const body = chat(`leaves in ${direction}`)
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${harness.clientKey}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    await asked(1)
    socket.destroy()
    while ((await gateway.metric('plumbline_in_flight')) !== 0) await sleep(5)
    letSpeak()
    if (direction === 'output') {
      const record = await harness.recordOf((one) => one.request_model === 'leaves in output')
      expect(record).toMatchObject({ termination: 'client_abort', text: sentence })
    }
  },
)

test('records that wait hold so many bytes of requests at most, and leave room for others', async () => {
  const gateway = await open('observe', 'output', { maxBodyBytes: 1_000 })
  const ask = (model: string) => JSON.stringify({ model, messages: [{ role: 'user', content: 'x'.repeat(900) }] })
  // 16 of 1,000 bytes may wait; 32 in all would leave no room for a request.
  for (let i = 0; i < 40; i++) expect((await gateway.post(path, ask(`held ${i}`))).status).toBe(200)
  const record = await harness.recordOf((one) => one.request_model === 'held 0')
  expect(record.notes.join()).toContain('what the guards said')
})

test('a request of too many texts is refused, and many short ones hold nobody up', async () => {
  const gateway = await harness.open({
    maxBodyBytes: 2 ** 20,
    guards: readGuards([{ kind: 'personal-data', mode: 'block', direction: 'input' }], openGuardWorld({})),
  })
  const many = (count: number) => JSON.stringify({ model: 'm', input: Array.from({ length: count }, () => '') })
  const refused = await gateway.post('/v1/embeddings', many(20_001))
  expect([refused.status, (await refused.json()).error.code]).toEqual([400, 'too_many_texts'])
  let turns = 0
  const count = setInterval(() => turns++, 1)
  expect((await gateway.post('/v1/embeddings', many(19_000))).status).toBe(200)
  clearInterval(count)
  expect(turns).toBeGreaterThan(10)
})

test('a request that nobody waits for asks its guards nothing more', async () => {
  const gateway = await open('block', 'input', { totalMs: 300, guards: windows() })
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'a word '.repeat(100) }] })
  expect((await gateway.post(path, body)).status).toBe(504)
  letSpeak()
  await sleep(200)
  expect(waiting).toHaveLength(0)
})

test('what is cleared of a stream goes out although its guards are not through, and its upstream has given all', async () => {
  const guard = { kind: 'http', url, mode: 'block', direction: 'output', timeout_ms: 60_000, window: 100 }
  const gateway = await harness.open({ guards: readGuards([guard], openGuardWorld({})) })
  const event = (delta: object, finish_reason: string | null) =>
    `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta, finish_reason }] })}\n\n`
  const events = [...Array<string>(60).fill(event({ content: 'w'.repeat(50) }, null)), event({}, 'stop')]
  const pieces = [btoa(`${events.join('')}data: [DONE]\n\n`)]
  const body = { model: 'pieces', stream: true, messages: [{ role: 'user', content: 'x' }], pieces }
  const answering = gateway.post(path, JSON.stringify(body))
  // Some thirty windows, of which all but the last ten are judged.
  for (let judged = 0; judged < 20; judged++) {
    await asked(1)
    letSpeak()
  }
  await asked(1)
  const reader = (await answering).body!.pipeThrough(new TextDecoderStream()).getReader()
  let got = (await reader.read()).value!
  expect(got).toContain('wwww')
  const ended = (async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) got += next.value
    return true
  })()
  while (!(await Promise.race([ended, sleep(5, false)]))) letSpeak()
  expect(got === `${events.join('')}data: [DONE]\n\n`).toBe(true)
})
