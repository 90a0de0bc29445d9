import { expect, test } from 'vitest'
import { createRecordHold } from './record-hold.ts'

test('while the disk takes nothing it is told once, however many records reach the store from memory', async () => {
  const warnings: string[] = []
  const state = { fault: 'ENOSPC' as string | undefined, pendingRecords: 0, pendingBytes: 0, bytes: 0, damaged: 0 }
  const hold = createRecordHold({ state: () => state }, { warn: (text) => void warnings.push(text), patienceMs: 1 })
  const late = () => hold.wait(new Promise(() => {}))
  const safe = () => hold.wait(Promise.resolve(true))
  for (let i = 0; i < 3; i++) {
    await late()
    await safe()
  }
  expect([hold.late(), hold.isBehind()]).toEqual([3, true])
  state.fault = undefined
  await safe()
  expect([hold.late(), hold.isBehind()]).toEqual([3, false])
  expect(warnings).toEqual([
    expect.stringContaining('Records reach the disk too slowly'),
    expect.stringContaining('3 answers went out before theirs'),
  ])
})
