import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runDetailSchema, runPageSchema } from '@plumbline/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { demoRuns } from '../demo/runs.ts'
import { startServer, type TestServer } from '../server.test-support.ts'
import { writeRun } from './runs.test-support.ts'
import { openRuns } from './runs.ts'

const folder = mkdtempSync(join(tmpdir(), 'runs-api-'))
let server: TestServer
beforeAll(async () => {
  writeRun(
    join(folder, 'a'),
    { started: '2026-11-01T10:00:00.000Z' },
    { 'metrics.jsonl': '{"global_step":1,"loss":2}\n' },
  )
  writeRun(join(folder, 'b'), { started: '2026-11-02T10:00:00.000Z', command: '<script>' })
  server = await startServer({ runs: openRuns({ folder }) })
}, 600_000)
afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 600_000)

const ask = (path: string, key = server.adminKey) => server.send('GET', path, undefined, key)

test('runs by page, and one of them', async () => {
  const first = runPageSchema.parse((await ask('/api/runs?limit=1')).body)
  expect(first.data).toMatchObject([{ name: 'b', command: '<script>' }])
  const second = runPageSchema.parse((await ask(`/api/runs?limit=1&after=${first.next}`)).body)
  expect(second).toMatchObject({ data: [{ name: 'a', step: 1 }], next: null, folder: 'read' })
  const { body } = await ask(`/api/runs/${second.data[0].id}`)
  expect(runDetailSchema.parse(body).curves).toMatchObject([{ metric: 'loss', points: [{ step: 1, value: 2 }] }])
})

test('an id is no path, and a cursor is one of ours', async () => {
  for (const id of ['..%2f..%2fetc', 'a', '%00', '../a', '0'.repeat(17)])
    expect([400, 404], id).toContain((await ask(`/api/runs/${id}`)).status)
  expect((await ask('/api/runs/0000000000000000')).status).toBe(404)
  for (const query of ['after=x', 'limit=0', 'limit=1000', 'folder=/etc'])
    expect((await ask(`/api/runs?${query}`)).status, query).toBe(400)
})

test('reviewers and admins of the machine’s project see them, and nobody else', async () => {
  const status = async (key: string) => (await ask('/api/runs', key)).status
  expect(await status(await server.addKey('reviewer'))).toBe(200)
  expect(await status(await server.addKey('client'))).toBe(403)
  const stranger = await server.addKey('admin', 'other')
  expect(await status(stranger)).toBe(403)
  const { data } = runPageSchema.parse((await ask('/api/runs')).body)
  expect((await ask(`/api/runs/${data[0].id}`, stranger)).status).toBe(403)
  expect((await server.send('GET', '/api/runs')).status).toBe(401)
})

test('the runs of the demo can be read, without a remark', async () => {
  const runs = demoRuns()
  const page = runPageSchema.parse(await runs.list({ limit: 50 }, Date.now()))
  expect(page.note).toMatch(/recorded/)
  expect(page.data.map(({ name, status }) => `${name} ${status}`)).toEqual([
    'align/ppo finished',
    'align/reward finished',
    'align/sft finished',
    'stopped-reward interrupted',
  ])
  for (const { id } of page.data) {
    const detail = runDetailSchema.parse(await runs.find(id, Date.now()))
    expect(detail.remarks, detail.name).toEqual([])
    expect(detail.curves.length, detail.name).toBeGreaterThan(4)
  }
})
