import { randomUUID } from 'node:crypto'
import { openStore, recordFacts } from '@plumbline/store'
import { expect, test } from 'vitest'
import { createClockGuard } from './clock-guard.ts'
import { startGatewayWorker } from './worker.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** A guard with a clock that can be set, looked at after each hour. */
function open() {
  const warnings: string[] = []
  let [passed, set] = [0, 0]
  const guard = createClockGuard({ now: () => passed + set, clock: () => passed, warn: (text) => warnings.push(text) })
  const looks = (hours: number) =>
    Array.from({ length: hours }, () => {
      passed += hourMs
      return guard()
    })
  return {
    warnings,
    setBy: (ms: number) => {
      set += ms
    },
    looks,
  }
}

test('small corrections of a clock, and one that is set back, hold nothing up', () => {
  const { looks, setBy, warnings } = open()
  for (const ms of [0, 60_000, -60_000, hourMs, -400 * dayMs]) {
    setBy(ms)
    expect(looks(3)).toEqual([true, true, true])
  }
  expect(warnings).toEqual([])
})

test('a clock that is set forward is not believed for a day, and at once again when it is set right', () => {
  const { looks, setBy, warnings } = open()
  setBy(400 * dayMs)
  expect(looks(23)).toEqual(Array(23).fill(false))
  setBy(-400 * dayMs)
  expect(looks(2)).toEqual([true, true])
  setBy(2 * dayMs)
  expect(looks(26)).toEqual([...Array(24).fill(false), true, true])
  expect(warnings).toEqual([expect.stringContaining('9600 hours'), expect.stringContaining('48 hours')])
})

test('a second jump, in the day of the first, is not believed for a day of its own', () => {
  const { looks, setBy, warnings } = open()
  setBy(2 * hourMs)
  expect(looks(20)).toEqual(Array(20).fill(false))
  setBy(400 * dayMs)
  expect(looks(26)).toEqual([...Array(24).fill(false), true, true])
  expect(warnings).toEqual([expect.stringContaining('2 hours'), expect.stringContaining('9602 hours')])
  setBy(2 * hourMs)
  looks(20)
  setBy(20 * hourMs)
  expect(looks(6)).toEqual([...Array(4).fill(false), true, true])
})

test('the hourly retention deletes nothing while the clock is not believed', async () => {
  const store = await openStore('memory')
  const row = { record: randomUUID(), id: 'a', project: 'p', keyId: 'k', model: 'm', termination: 'completed' as const }
  const [json, createdAt] = [JSON.stringify({ id: 'a' }), '2026-01-01T00:00:00.000Z']
  const facts = recordFacts({ choices: [], guards: [] })
  await store.insertInteractions([{ ...row, ...facts, createdAt, subjects: [], json }])
  let looked = 0
  // The guard looks first.
  const now = () => Date.parse(createdAt) + (looked++ === 0 ? 0 : 400 * dayMs)
  const warned = Promise.withResolvers<string>()
  const policy = { contentDays: 30, metadataDays: 300 }
  const worker = await startGatewayWorker(store, { policy, now, clock: () => 0, warn: warned.resolve })
  expect(await warned.promise).toContain('set forward by 9600 hours')
  await worker.stop()
  expect(await store.findInteraction('p', 'a')).toEqual({ id: 'a' })
  await store.close()
})
