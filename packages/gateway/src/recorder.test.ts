import { spawn } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Choice, GuardVerdict } from '@plumbline/contracts'
import { openSpool, openStore, type Safety } from '@plumbline/store'
import { expect, onTestFinished, test } from 'vitest'
import { startHarness } from './gateway.test-support.ts'
import { uuidv7 } from './ids.ts'
import { noteLastGap } from './last-gap.ts'
import type { Outcome, RequestFacts } from './outcome.ts'
import { createRecorder } from './recorder.ts'
import { sentence } from './upstream-server.test-support.ts'

test('what has no room is counted, and the count is written as soon as there is room', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'))
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(text)
  const spool = await openSpool(folder, { warn, maxBytes: 1_000 })
  const recorder = createRecorder(spool, { now: () => 1_700_000_000_000, warn, until: 'synced', patienceMs: 5_000 })
  const record = () => {
    const id = uuidv7(1_700_000_000_000)
    return recorder.record(factsOf(id), outcomeOf(id), '{"model":"m"}')
  }
  for (let i = 0; i < 6; i++) await record()
  const lost = recorder.lost()
  expect(lost).toBeGreaterThan(2)
  expect(warnings).toHaveLength(1)
  const payloads: string[] = []
  for (let tries = 0; tries < 300 && !payloads.some((text) => text.includes('"gap"')); tries++) {
    const batch = await spool.read(10_000)
    payloads.push(...batch.payloads.map((payload) => Buffer.from(payload).toString()))
    await batch.commit()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect(payloads.filter((text) => text.startsWith('{"kind":"interaction"'))).toHaveLength(6 - lost)
  expect(JSON.parse(payloads[0].split('\n')[1])).toMatchObject({ request: { model: 'm' } })
  expect(JSON.parse(payloads.at(-1)!)).toMatchObject({
    kind: 'gap',
    count: lost,
    reason: expect.stringContaining('limit'),
  })
  expect(recorder.uncountedGaps()).toBe(0)
  await spool.close(0)
  await rm(folder, { recursive: true })
})

test('a record that cannot be written as JSON is counted too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'))
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(text)
  const spool = await openSpool(folder, { warn })
  const recorder = createRecorder(spool, { now: Date.now, warn, until: 'written', patienceMs: 5_000 })
  const usage = JSON.parse(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`)
  const id = uuidv7(Date.now())
  await recorder.record(factsOf(id), { ...outcomeOf(id), usage }, '{"model":"m"}')
  expect(recorder.lost()).toBe(1)
  expect(warnings).toEqual([expect.stringContaining('could not be recorded')])
  await recorder.close()
  await spool.close(0)
  await rm(folder, { recursive: true })
})

test('what the spool still had in memory when it was closed is counted in the store, and told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'))
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(text)
  const full = async () => {
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  }
  const spool = await openSpool(folder, { warn, open: full })
  const recorder = createRecorder(spool, { now: () => 0, warn, until: 'written', patienceMs: 10 })
  for (let i = 0; i < 3; i++) await recorder.record(factsOf(uuidv7(i)), outcomeOf('a'), '{}')
  await recorder.close()
  await spool.close(0)
  const store = await openStore('memory')
  await noteLastGap(recorder, store, warn)
  expect(await store.countGaps()).toBe(3)
  expect(warnings.at(-1)).toMatch(/^3 answers from 1970.* are not recorded .* noted in the store/)
  await noteLastGap(recorder, store, warn)
  expect(await store.countGaps()).toBe(3)
  await store.close()
  await rm(folder, { recursive: true })
})

const factsOf = (record: string) =>
  ({ record, project: 'default', created_at: '2026-01-01T00:00:00.000Z' }) as RequestFacts
const outcomeOf = (id: string) => ({ id, choices: [] as Choice[], guards: [] as GuardVerdict[] }) as Outcome

test('a gateway on a full disk answers, says that recording is degraded, and counts what has no room in memory', async () => {
  let isFull = true
  const harness = await startHarness({
    maxPendingBytes: 5_000,
    open: async (...args) => {
      if (isFull) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      return open(...args)
    },
  })
  onTestFinished(harness.close)
  const gateway = await harness.open()
  const ask = async (content: string) => {
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] })
    const response = await gateway.post('/v1/chat/completions', body)
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining(sentence)])
    return response.headers.get('x-request-id')
  }
  const readiness = async () => (await fetch(`${gateway.url}/readyz`)).json()
  const first = await ask('short')
  expect(await readiness()).toMatchObject({ status: 'ready', recording: 'degraded' })
  expect(await gateway.metric('plumbline_spool_failing')).toBe(1)
  // From memory.
  await harness.recordOf(({ record }) => record === first)
  await ask('long '.repeat(2_000))
  expect(await gateway.metric('plumbline_records_lost_total')).toBe(1)
  while ((await harness.store.countGaps()) !== 1) await sleep(20)
  expect(await readiness()).toMatchObject({ status: 'ready', recording: 'degraded' })
  isFull = false
  const last = await ask('short')
  await harness.recordOf(({ record }) => record === last)
  expect(await readiness()).toMatchObject({ status: 'ready', recording: 'ok' })
  expect(await harness.store.countGaps()).toBe(1)
})

test('a disk that hangs costs the first answer its patience, the next ones little, and is told twice', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'))
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(text)
  let letSync = () => {}
  const synced = new Promise<void>((resolve) => {
    letSync = resolve
  })
  const spool = await openSpool(folder, {
    warn,
    open: async (...args) => {
      const file = await open(...args)
      const datasync = file.datasync.bind(file)
      return Object.assign(file, { datasync: () => synced.then(datasync) })
    },
  })
  const recorder = createRecorder(spool, { now: Date.now, warn, until: 'synced', patienceMs: 1_500 })
  const timed = async () => {
    const begun = performance.now()
    await recorder.record(factsOf(uuidv7(Date.now())), outcomeOf('a'), '{"model":"m"}')
    return performance.now() - begun
  }
  const first = await timed()
  expect(first).toBeGreaterThanOrEqual(1_500)
  expect([recorder.late(), recorder.isBehind()]).toEqual([1, true])
  expect(await timed()).toBeLessThan(first)
  expect(recorder.late()).toBe(2)
  letSync()
  await timed()
  expect([recorder.late(), recorder.isBehind(), recorder.lost()]).toEqual([2, false, 0])
  expect(warnings).toEqual([
    expect.stringContaining('answers go out before theirs'),
    expect.stringContaining('2 answers went out before theirs'),
  ])
  await spool.close(0)
  await rm(folder, { recursive: true })
})

/**
 * A process whose one thread for files computes first, as a starved machine lets it. It says when an answer may go out;
 * kill -9 comes right then. Gives the records that are left.
 */
async function killAtAnswer(until: Safety, patienceMs: number, rounds: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'))
  const script = `
    import { pbkdf2 } from 'node:crypto'
    import { openSpool } from ${JSON.stringify(import.meta.resolve('@plumbline/store'))}
    import { createRecorder } from ${JSON.stringify(new URL('./recorder.ts', import.meta.url).href)}
    const spool = await openSpool(${JSON.stringify(folder)}, { warn() {} })
    const recorder = createRecorder(spool, { now: Date.now, warn() {}, until: '${until}', patienceMs: ${patienceMs} })
    pbkdf2('a', 'b', ${rounds}, 32, 'sha256', () => {})
    await recorder.record(${JSON.stringify(factsOf(uuidv7(1)))}, ${JSON.stringify(outcomeOf('a'))}, '{}')
    process.stdout.write('answered')`
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' }
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env, stdio: 'pipe' })
  child.stdout.once('data', () => child.kill('SIGKILL'))
  const signal = await new Promise((resolve) => child.on('close', (_, by) => resolve(by)))
  const spool = await openSpool(folder, { warn: () => {} })
  const { payloads } = await spool.read(1_000)
  await spool.close(0)
  await rm(folder, { recursive: true })
  expect(signal).toBe('SIGKILL')
  return payloads.length
}

test('kill -9 loses an answer whose wait ran out, and none that was held', { timeout: 60_000 }, async () => {
  for (const until of ['written', 'synced'] as const) {
    expect(await killAtAnswer(until, 250, 2 ** 31 - 1)).toBe(0)
    expect(await killAtAnswer(until, 60_000, 500_000)).toBe(1)
  }
})

test('UUIDv7 sorts by time and says its version', () => {
  const ids = [1, 2 ** 40, 2 ** 47].map(uuidv7)
  expect([...ids].sort()).toEqual(ids)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
