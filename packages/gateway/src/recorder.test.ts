import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Interaction } from '@plumbline/contracts'
import { openSpool } from '@plumbline/store'
import { expect, test } from 'vitest'
import { uuidv7 } from './ids.ts'
import { createRecorder } from './recorder.ts'

test('what has no room is counted, and the count is written as soon as there is room', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'))
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(text)
  const spool = await openSpool(folder, { warn, maxBytes: 600 })
  const recorder = createRecorder(spool, { now: () => 1_700_000_000_000, warn, patienceMs: 5_000 })
  const record = () => {
    const id = uuidv7(1_700_000_000_000)
    const fields = { id, record: id, project: 'default', created_at: '2026-01-01T00:00:00.000Z' }
    return recorder.record(fields as Omit<Interaction, 'request'>, '{"model":"m"}')
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

test('UUIDv7 sorts by time and says its version', () => {
  const ids = [1, 2 ** 40, 2 ** 47].map(uuidv7)
  expect([...ids].sort()).toEqual(ids)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
