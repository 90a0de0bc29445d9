import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { recordRow } from '../record-row.test-support.ts'
import { openStore, type Store } from '../store.ts'
import { encodeFrame } from './frame.ts'
import { gapPayload, interactionPayload, startShipper } from './shipper.ts'
import { openSpool, type Spool } from './spool.ts'

let folder: string
let warnings: string[]
const warn = (text: string) => void warnings.push(text)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'))
  warnings = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => Buffer.from(String(from + i)))

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(5)
}

/** Reads and commits until nothing is left. */
async function drain(spool: Spool, maxBytes = 1000): Promise<string[]> {
  const found: string[] = []
  for (;;) {
    const batch = await spool.read(maxBytes)
    if (batch.payloads.length === 0) return found
    found.push(...batch.payloads.map((payload) => Buffer.from(payload).toString()))
    await batch.commit()
  }
}

test('records come back in their order over many segments, also after a new start, and shipped segments go', async () => {
  const spool = await openSpool(folder, { warn, segmentBytes: 200 })
  await Promise.all(numbers(50).map((payload) => spool.append(payload)))
  for (const payload of numbers(50, 50)) await spool.append(payload)
  const first = await spool.read(100)
  await first.commit()
  await spool.close(1000)
  const again = await openSpool(folder, { warn, segmentBytes: 200 })
  expect([...first.payloads.map(String), ...(await drain(again))]).toEqual(numbers(100).map(String))
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
  const left = ahead.map((batch) => spool.bytesAfter(batch))
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

/** Opens files whose writes or syncs fail while `fault` says so, as a full or broken disk lets them. */
function failingDisk() {
  const disk: { fault?: 'write' | 'half' | 'sync'; open: (...args: Parameters<typeof open>) => Promise<FileHandle> } = {
    open: async (...args) => {
      const file = await open(...args)
      const write = file.write.bind(file) as (...args: unknown[]) => Promise<{ bytesWritten: number }>
      const datasync = file.datasync.bind(file)
      const full = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      return Object.assign(file, {
        write: async (bytes: Buffer, from: number, length: number, at: number) => {
          if (disk.fault === 'write') throw full()
          if (disk.fault !== 'half') return write(bytes, from, length, at)
          await write(bytes, from, length >> 1, at)
          throw full()
        },
        datasync: async () => {
          if (disk.fault === 'sync') throw Object.assign(new Error('i/o error'), { code: 'EIO' })
          return datasync()
        },
      })
    },
  }
  return disk
}

test.each(['write', 'half', 'sync'] as const)('a disk that fails (%s) and comes back loses nothing', async (fault) => {
  const disk = failingDisk()
  const spool = await openSpool(folder, { warn, open: disk.open as never, retryMs: 5 })
  await spool.append(Buffer.from('0'))
  disk.fault = fault
  const waiting = numbers(3, 1).map((payload) => spool.append(payload))
  await until(() => spool.state().fault !== undefined)
  expect(spool.state()).toMatchObject({ fault: fault === 'sync' ? 'EIO' : 'ENOSPC', pendingRecords: 3 })
  disk.fault = undefined
  await Promise.all(waiting)
  expect(spool.state().fault).toBeUndefined()
  expect([...new Set(await drain(spool))].sort()).toEqual(['0', '1', '2', '3'])
  expect(warnings.join('\n')).toMatch(/cannot be written[\s\S]*can be written again/)
  await spool.close(0)
})

test('while the disk fails, records go from memory to the reader, and what has no room is refused', async () => {
  const disk = failingDisk()
  disk.fault = 'write'
  const spool = await openSpool(folder, { warn, open: disk.open as never, retryMs: 5, maxPendingBytes: 3 })
  const waiting = numbers(3).map((payload) => spool.append(payload))
  await expect(spool.append(Buffer.from('3'))).rejects.toMatchObject({ name: 'SpoolFull' })
  await spool.readable(AbortSignal.timeout(60_000))
  expect(await drain(spool)).toEqual(['0', '1', '2'])
  await Promise.all(waiting)
  await spool.close(0)
})

test('the size limit of the spool refuses records until some are shipped', async () => {
  const spool = await openSpool(folder, { warn, maxBytes: 60 })
  for (const payload of numbers(4)) await spool.append(payload)
  await expect(spool.append(Buffer.alloc(20))).rejects.toThrow('size limit')
  await drain(spool)
  await spool.append(Buffer.alloc(20))
  await spool.close(0)
})

const canMount = process.platform === 'linux' && process.getuid?.() === 0 && mounts()
function mounts(): boolean {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test.skipIf(!canMount)(
  'a really full disk (needs root and tmpfs): records wait, and are written once there is room',
  async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder])
    try {
      const spool = await openSpool(folder, { warn, retryMs: 5 })
      await writeFile(join(folder, 'filler'), Buffer.alloc(200 * 1024))
      const waiting = Array.from({ length: 40 }, (_, i) => spool.append(Buffer.alloc(4096, i)))
      await until(() => spool.state().fault !== undefined)
      expect(spool.state().fault).toBe('ENOSPC')
      await rm(join(folder, 'filler'))
      await Promise.all(waiting)
      expect(new Set((await drain(spool, 1e6)).map((text) => text.charCodeAt(0))).size).toBe(40)
      await spool.close(0)
    } finally {
      execFileSync('umount', ['-l', folder])
    }
  },
)

test('the shipper: a store that is away loses and doubles nothing; what it refuses for good is kept aside', {
  timeout: 120_000,
}, async () => {
  const store = await openStore('memory')
  let isAway = true
  let underWay = 0
  let mostUnderWay = 0
  const flaky: Store = {
    ...store,
    insertInteractions: async (rows) => {
      if (isAway) throw new Error('connection refused')
      mostUnderWay = Math.max(mostUnderWay, ++underWay)
      const written = await store.insertInteractions(rows).finally(() => underWay--)
      // The answer gets lost every third time: the batch is sent again.
      if (Math.random() < 0.3) throw new Error('connection reset')
      return written
    },
  }
  const spool = await openSpool(folder, { warn })
  const shipper = startShipper(spool, flaky, { warn, folder, retryMs: 5, batchBytes: 2000 })
  const rows = Array.from({ length: 100 }, (_, i) =>
    recordRow(i < 50 ? {} : { config: 'c', hasAnswer: true, isGuarded: true }),
  )
  for (const one of rows) await spool.append(interactionPayload(one))
  await spool.append(Buffer.from('none of ours'))
  await spool.append(interactionPayload({ ...recordRow(), createdAt: '0000-01-01T00:00:00.000Z' }))
  await spool.append(
    gapPayload({ record: randomUUID(), from: rows[0].createdAt, to: rows[0].createdAt, count: 3, reason: 'disk' }),
  )
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
  await Promise.all(Array.from({ length: 40 }, () => spool.append(interactionPayload(recordRow()))))
  await until(() => shipper.state().shipped === 40)
  for (let i = 0; i < 5; i++) await spool.append(interactionPayload(recordRow()))
  await shipper.stop(600_000)
  expect([batches, shipper.state().shipped]).toEqual([[40, 5], 45])
  await spool.close(0)
  await store.close()
})

/** CI takes 20 rounds; PLUMBLINE_KILL_ROUNDS asks for more. */
const rounds = Number(process.env.PLUMBLINE_KILL_ROUNDS ?? 20)

test(`kill -9 at random times, ${rounds} rounds: what was acknowledged is there, once`, {
  timeout: 60_000 + rounds * 20_000,
}, async () => {
  const script = `
    import { openSpool } from ${JSON.stringify(new URL('./spool.ts', import.meta.url).href)}
    const spool = await openSpool(${JSON.stringify(folder)}, { warn() {}, segmentBytes: 20000 })
    const round = process.argv.at(-1)
    for (let i = 0; ; i++) {
      // Eight at a time, so that they share syncs.
      await Promise.all(Array.from({ length: 8 }, async (_, j) => {
        const name = round + '-' + i + '-' + j
        await spool.append(Buffer.from(name + ' '.repeat(Math.random() * 500)))
        process.stdout.write(name + '\\n')
      }))
    }`
  const acknowledged = new Set<string>()
  const read: string[] = []
  for (let round = 0; round < rounds; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, String(round)], { stdio: 'pipe' })
    let out = ''
    child.stdout.on('data', (chunk) => {
      if (out === '') setTimeout(() => child.kill('SIGKILL'), Math.random() * 60)
      out += chunk
    })
    await new Promise((resolve) => child.on('close', resolve))
    // A name that was cut by the kill was not acknowledged.
    for (const name of out.split('\n').slice(0, -1)) acknowledged.add(name)
    if (round % 3 === 2 || round === rounds - 1) {
      const spool = await openSpool(folder, { warn })
      read.push(...(await drain(spool, 5000)).map((text) => text.trim()))
      await spool.close(0)
    }
  }
  expect(acknowledged.size).toBeGreaterThan(rounds * 8)
  expect(new Set(read).size).toBe(read.length)
  expect([...acknowledged].filter((name) => !read.includes(name))).toEqual([])
})
