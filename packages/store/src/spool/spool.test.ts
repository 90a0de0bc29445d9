import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { recordRow } from '../record-row.test-support.ts'
import { openStore, type Store } from '../store.ts'
import { encodeFrame } from './frame.ts'
import { gapPayload, interactionPayload, startShipper } from './shipper.ts'
import { drain, numbers, until } from './spool.test-support.ts'
import { openSpool } from './spool.ts'

let folder: string
let warnings: string[]
const warn = (text: string) => void warnings.push(text)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'))
  warnings = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('records come back in their order over many segments, also after a new start, and shipped segments go', async () => {
  const spool = await openSpool(folder, { warn, segmentBytes: 200 })
  await Promise.all(numbers(50).map((payload) => spool.append(payload)))
  for (const payload of numbers(50, 50)) await spool.append(payload)
  const first = await spool.read(100)
  const before = first.payloads.map(String)
  for (let times = 0; times < 2; times++) await first.commit()
  // V8 would count it until its next collection.
  expect(first.payloads.every(({ buffer }) => buffer.byteLength === 0)).toBe(true)
  await spool.close(1000)
  const again = await openSpool(folder, { warn, segmentBytes: 200 })
  expect([...before, ...(await drain(again))]).toEqual(numbers(100).map(String))
  await again.append(Buffer.from('last'))
  expect(await drain(again)).toEqual(['last'])
  expect((await readdir(folder)).filter((name) => name.endsWith('.spool')).length).toBeLessThan(3)
  expect(again.state()).toMatchObject({ bytes: 0, pendingRecords: 0, fault: undefined })
  await again.close(0)
})

test('what was read and not committed is read again', async () => {
  const spool = await openSpool(folder, { warn })
  await spool.append(Buffer.from('a'))
  expect((await spool.read(10)).payloads.map(String)).toEqual(['a'])
  await spool.close(0)
  const again = await openSpool(folder, { warn })
  expect(await drain(again)).toEqual(['a'])
  await again.close(0)
})

test('batches read ahead, over segments and damage, hold each record once, until those before them are committed', async () => {
  const damaged = encodeFrame(Buffer.from('damaged'))
  damaged[damaged.length - 1] ^= 1
  await writeFile(join(folder, '000000000001.spool'), damaged)
  const spool = await openSpool(folder, { warn, segmentBytes: 100 })
  for (const payload of numbers(30)) await spool.append(payload)
  const ahead = [await spool.read(3)]
  while (ahead.at(-1)!.payloads.length > 0) ahead.push(await spool.read(3, ahead.at(-1)))
  expect(ahead.flatMap(({ payloads }) => payloads.map(String))).toEqual(numbers(30).map(String))
  const left = ahead.map(({ bytesAfter }) => bytesAfter)
  expect(left).toEqual(left.toSorted((a, b) => b - a))
  expect([left[0] > 0, left.at(-2), left.at(-1)]).toEqual([true, 0, 0])
  for (const batch of ahead.slice(0, 2)) await batch.commit()
  expect((await spool.read(3)).payloads).toEqual(ahead[2].payloads)
  await spool.close(0)
  const again = await openSpool(folder, { warn })
  expect(await drain(again)).toEqual(ahead.slice(2).flatMap(({ payloads }) => payloads.map(String)))
  await again.close(0)
})

test('a torn tail and damage in the middle are kept aside and told, the rest is read', async () => {
  const frames = numbers(4).map(encodeFrame)
  frames[1][frames[1].length - 1] ^= 1
  const torn = encodeFrame(Buffer.from('torn')).subarray(0, 14)
  await writeFile(join(folder, '000000000001.spool'), Buffer.concat([...frames, torn]))
  const spool = await openSpool(folder, { warn })
  await spool.append(Buffer.from('new'))
  expect(await drain(spool)).toEqual(['0', '2', '3', 'new'])
  expect(spool.state().damaged).toBe(2)
  expect(warnings.join()).toContain('kept aside')
  const aside = await readdir(join(folder, 'aside'))
  expect(await Promise.all(aside.sort().map((name) => readFile(join(folder, 'aside', name))))).toEqual([
    frames[1],
    torn,
  ])
  await spool.close(0)
})

test('a note of what was shipped that cannot be read means that all is shipped again', async () => {
  const spool = await openSpool(folder, { warn })
  for (const payload of numbers(3)) await spool.append(payload)
  await (await spool.read(1)).commit()
  await spool.close(0)
  await writeFile(join(folder, 'shipped.json'), '{"segm')
  const again = await openSpool(folder, { warn })
  expect(await drain(again)).toEqual(['0', '1', '2'])
  await again.close(0)
})

test('the size limit of the spool refuses records until some are shipped', async () => {
  const spool = await openSpool(folder, { warn, maxBytes: 60 })
  for (const payload of numbers(4)) await spool.append(payload)
  await expect(spool.append(Buffer.alloc(20))).rejects.toThrow('size limit')
  await drain(spool)
  await spool.append(Buffer.alloc(20))
  await spool.close(0)
})

test('the shipper: a store that is away loses and doubles nothing; what it refuses for good is kept aside', {
  timeout: 120_000,
}, async () => {
  const store = await openStore('memory')
  let isAway = true
  const second = Promise.withResolvers<void>()
  let underWay = 0
  let mostUnderWay = 0
  const flaky: Store = {
    ...store,
    insertInteractions: async (rows) => {
      if (isAway) throw new Error('connection refused')
      mostUnderWay = Math.max(mostUnderWay, ++underWay)
      if (underWay === 2) second.resolve()
      await second.promise
      const written = await store.insertInteractions(rows).finally(() => underWay--)
      // The answer gets lost every third time: the batch is sent again.
      if (Math.random() < 0.3) throw new Error('connection reset')
      return written
    },
  }
  const spool = await openSpool(folder, { warn })
  const rows = Array.from({ length: 100 }, (_, i) =>
    recordRow(i < 50 ? {} : { config: 'c', hasAnswer: true, isGuarded: true }),
  )
  for (const one of rows) await spool.append(interactionPayload(one))
  await spool.append(Buffer.from('none of ours'))
  await spool.append(interactionPayload({ ...recordRow(), createdAt: '0000-01-01T00:00:00.000Z' }))
  await spool.append(
    gapPayload({ record: randomUUID(), from: rows[0].createdAt, to: rows[0].createdAt, count: 3, reason: 'disk' }),
  )
  const shipper = startShipper(spool, flaky, { warn, folder, retryMs: 5, batchBytes: 2000 })
  await until(() => shipper.state().isStoreAway)
  expect(shipper.state().shipped).toBe(0)
  isAway = false
  await shipper.stop(600_000)
  const { data } = await store.listInteractions('default', { limit: 1000 })
  expect(data.map(({ record }) => record).sort()).toEqual(rows.map(({ record }) => record).sort())
  const { heads } = (await store.monitoring.take('all', 1000))!
  const known = rows.slice(50).map(({ record }) => record)
  expect(heads.filter(({ config, hasAnswer, isGuarded }) => config === 'c' && hasAnswer && isGuarded)).toHaveLength(50)
  expect(
    heads
      .filter(({ hasAnswer }) => hasAnswer)
      .map(({ record }) => record)
      .sort(),
  ).toEqual(known.sort())
  expect(await store.countGaps()).toBe(3)
  expect(shipper.state()).toMatchObject({ refused: 2, isStoreAway: false })
  expect(await readdir(join(folder, 'aside'))).toHaveLength(2)
  // The next batch is on its way while the store is busy with one.
  expect(mostUnderWay).toBe(2)
  expect(spool.state().bytes).toBe(0)
  await spool.close(0)
  await store.close()
})

test('under heavy traffic records are gathered, and a stop waits for none', async () => {
  const store = await openStore('memory')
  const batches: number[] = []
  const counted: Store = {
    ...store,
    insertInteractions: (rows) => {
      batches.push(rows.length)
      return store.insertInteractions(rows)
    },
  }
  const spool = await openSpool(folder, { warn })
  const shipper = startShipper(spool, counted, { warn, folder, gatherMs: 600_000 })
  await Promise.all(Array.from({ length: 8 }, () => spool.append(interactionPayload(recordRow()))))
  await until(() => shipper.state().shipped === 8)
  for (let i = 0; i < 5; i++) await spool.append(interactionPayload(recordRow()))
  await shipper.stop(600_000)
  expect([batches, shipper.state().shipped]).toEqual([[8, 5], 13])
  await spool.close(0)
  await store.close()
})
