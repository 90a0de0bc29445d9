import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDiskTurns } from './disk-turns.ts'
import { writeRun } from './runs.test-support.ts'
import { openRuns } from './runs.ts'

test('while a reading hangs no other is begun, and what is asked says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'turns-'))
  writeRun(join(folder, 'run'))
  const turns = createDiskTurns(50)
  let begun = 0
  let letGo = () => {}
  const hanging = turns(() => {
    begun++
    return new Promise<void>((resolve) => {
      letGo = resolve
    })
  })
  const next = turns(async () => void begun++)
  await expect(hanging).rejects.toMatchObject({ code: 'RUNS_SLOW' })
  await expect(next).rejects.toMatchObject({ code: 'RUNS_SLOW' })
  const runs = openRuns({ folder, turns })
  const reason = 'The folder of runs has not answered within 50 ms.'
  expect(await runs.list({ limit: 5 }, 0)).toMatchObject({ data: [], folder: 'unreadable', reason })
  await expect(runs.find('0', 0)).rejects.toMatchObject({ code: 'RUNS_SLOW' })
  expect(begun).toBe(1)
  letGo()
  await expect.poll(async () => (await runs.list({ limit: 5 }, 0)).folder).toBe('read')
  expect(begun).toBe(1)
  rmSync(folder, { recursive: true })
})

test('however many look, one file is read at a time', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'turns-'))
  for (let i = 0; i < 20; i++) writeRun(join(folder, `run${i}`), {}, { 'metrics.jsonl': '{"global_step":1}\n' })
  const runs = openRuns({ folder })
  let most = 0
  let isOver = false
  const watch = () => {
    const open = process.getActiveResourcesInfo().filter((name) => name.startsWith('FSReq'))
    most = Math.max(most, open.length)
    if (!isOver) setImmediate(watch)
  }
  watch()
  await Promise.all(Array.from({ length: 8 }, () => runs.list({ limit: 20 }, 0)))
  isOver = true
  expect(most).toBe(1)
  rmSync(folder, { recursive: true })
})
