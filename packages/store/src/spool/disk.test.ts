/** Disks that fail, fill up, hang or cannot be written. */
import { execFileSync } from 'node:child_process'
import { writevSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { keepAside } from './aside.ts'
import { encodeFrame } from './frame.ts'
import { drain, numbers, until } from './spool.test-support.ts'
import { openSpool, type SpoolFile } from './spool.ts'

let folder: string
let warnings: string[]
const warn = (text: string) => void warnings.push(text)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-disk-'))
  warnings = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface FailingDisk {
  /** `short`: a write takes 5 bytes, and says so. */
  fault?: 'write' | 'half' | 'short' | 'sync'
  /** Syncs take until it resolves. */
  syncing?: Promise<void>
  syncs: number
  /** Memory that was written from, on this thread. */
  readonly frames: Buffer[]
  /** Writes that another thread made. */
  awaited: number
  /** What of a write reaches the file. */
  takes(pieces: readonly Buffer[]): readonly Buffer[]
  open(...args: Parameters<typeof open>): Promise<SpoolFile>
}

/** Opens files whose writes or syncs fail while `fault` says so, as a full or broken disk lets them. */
function failingDisk() {
  const disk: FailingDisk = {
    syncs: 0,
    frames: [],
    awaited: 0,
    takes: (pieces) => {
      const bytes = Buffer.concat(pieces)
      if (disk.fault === 'half') return [bytes.subarray(0, bytes.length >> 1)]
      return disk.fault === 'short' ? [bytes.subarray(0, 5)] : pieces
    },
    open: async (...args) => {
      const file = await open(...args)
      const writev = file.writev.bind(file)
      const datasync = file.datasync.bind(file)
      const full = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      return Object.assign(file, {
        writev: (async (pieces: readonly Buffer[], at: number) => {
          disk.awaited++
          if (disk.fault === 'write') throw full()
          const written = await writev(disk.takes(pieces), at)
          if (disk.fault === 'half') throw full()
          return written
        }) as never,
        writeNow: (pieces: readonly Buffer[], at: number) => {
          disk.frames.push(...pieces)
          if (disk.fault === 'write') throw full()
          const written = writevSync(file.fd, disk.takes(pieces), at)
          if (disk.fault === 'half') throw full()
          return written
        },
        datasync: async () => {
          disk.syncs++
          await disk.syncing
          if (disk.fault === 'sync') throw Object.assign(new Error('i/o error'), { code: 'EIO' })
          return datasync()
        },
      })
    },
  }
  return disk
}

/** Syncs hang until what this gives is called. */
function holdSyncs(disk: FailingDisk): () => void {
  const held = Promise.withResolvers<void>()
  disk.syncing = held.promise
  return held.resolve
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

test.each([0, 150])('a write that takes less than it was given goes on behind it (%i ms into a sync)', async (ms) => {
  const disk = failingDisk()
  const spool = await openSpool(folder, { warn, open: disk.open as never })
  await spool.append(Buffer.from('0'))
  const goOn = holdSyncs(disk)
  const first = spool.append(Buffer.from('1'))
  await sleep(ms)
  disk.fault = 'short'
  const later = numbers(20, 2).map((payload) => spool.append(payload, 'written'))
  await Promise.all(later)
  if (ms > 0) expect(disk.awaited).toBeGreaterThan(0)
  goOn()
  await first
  await until(() => spool.state().pendingRecords === 0)
  expect(await drain(spool)).toEqual(numbers(22).map(String))
  expect(spool.state()).toMatchObject({ fault: undefined, damaged: 0 })
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

test('what was read from memory stays whole when the disk comes back before it is in the store', async () => {
  const disk = failingDisk()
  disk.fault = 'write'
  const spool = await openSpool(folder, { warn, open: disk.open as never, retryMs: 5 })
  const waiting = numbers(3).map((payload) => spool.append(payload))
  await spool.readable(AbortSignal.timeout(60_000))
  const batch = await spool.read(100)
  disk.fault = undefined
  await Promise.all(waiting)
  expect(batch.payloads.map(String)).toEqual(['0', '1', '2'])
  await batch.commit()
  expect(await drain(spool)).toEqual(['0', '1', '2'])
  await spool.close(0)
})

test('a slow disk: what comes while a sync takes long shares the next one', async () => {
  const disk = failingDisk()
  const spool = await openSpool(folder, { warn, open: disk.open as never })
  await spool.append(Buffer.from('0'))
  const goOn = holdSyncs(disk)
  const before = disk.syncs
  const first = spool.append(Buffer.from('1'))
  await until(() => disk.syncs === before + 1)
  const later = numbers(98, 2).map((payload) => spool.append(payload))
  expect(spool.state()).toMatchObject({ pendingRecords: 99, fault: undefined })
  goOn()
  await Promise.all([first, ...later])
  expect(disk.syncs).toBe(before + 2)
  // Their memory is given back, which V8 would count until its next collection.
  expect(disk.frames.map(({ buffer }) => buffer.byteLength)).toEqual(numbers(100).map(() => 0))
  expect(await drain(spool)).toEqual(numbers(100).map(String))
  expect(warnings).toEqual([])
  await spool.close(0)
})

test('a slow disk: a record is written beside the sync of others, and a sync that fails then loses none', async () => {
  const disk = failingDisk()
  const spool = await openSpool(folder, { warn, open: disk.open as never, retryMs: 5 })
  await spool.append(Buffer.from('0'))
  const goOn = holdSyncs(disk)
  let isSynced = false
  const first = spool.append(Buffer.from('1')).then(() => {
    isSynced = true
  })
  for (const payload of numbers(4, 2)) await spool.append(payload, 'written')
  expect([isSynced, disk.awaited]).toEqual([false, 0])
  // A disk that may hang must not hold up this thread.
  await sleep(150)
  await spool.append(Buffer.from('6'), 'written')
  expect([isSynced, disk.awaited]).toEqual([false, 1])
  const segment = join(folder, '000000000001.spool')
  expect((await readFile(segment, 'latin1')).endsWith('6')).toBe(true)
  disk.fault = 'sync'
  goOn()
  await until(() => spool.state().fault !== undefined)
  expect(spool.state()).toMatchObject({ fault: 'EIO', pendingRecords: 6 })
  disk.fault = undefined
  await first
  await until(() => spool.state().pendingRecords === 0)
  expect(await drain(spool)).toEqual(numbers(7).map(String))
  await spool.close(0)
})

test.each(['write', 'sync'] as const)(
  'what was acknowledged as written stands in a file while the disk fails (%s)',
  async (fault) => {
    const disk = failingDisk()
    const spool = await openSpool(folder, { warn, open: disk.open as never, retryMs: 5 })
    await spool.append(Buffer.from('0'))
    const goOn = holdSyncs(disk)
    const first = spool.append(Buffer.from('1'))
    await spool.append(Buffer.from('2'), 'written')
    disk.fault = fault
    const late = spool.append(Buffer.from('3'))
    goOn()
    await until(() => spool.state().fault !== undefined)
    // Several tries later, as a kill would leave it.
    await sleep(50)
    const left = await openCopy()
    expect([...new Set(await drain(left))].filter((text) => text !== '3').sort()).toEqual(['0', '1', '2'])
    await left.close(0)
    expect((await readdir(folder)).filter((name) => name.endsWith('.spool')).length).toBeLessThan(4)
    disk.fault = undefined
    await Promise.all([first, late])
    expect([...new Set(await drain(spool))].sort()).toEqual(['0', '1', '2', '3'])
    expect(warnings.filter((text) => text.includes('can be written again'))).toHaveLength(1)
    await spool.close(0)
  },
)

test('damage that cannot be kept aside holds up no record, and stays until it can be, over a new start too', async () => {
  const damaged = encodeFrame(Buffer.from('damaged'))
  damaged[damaged.length - 1] ^= 1
  const [first, second] = numbers(2).map(encodeFrame)
  await writeFile(join(folder, '000000000001.spool'), Buffer.concat([first, damaged, second]))
  const aside = join(folder, 'aside')
  // No folder can be made there.
  await writeFile(aside, '')
  const spool = await openSpool(folder, { warn })
  expect(await drain(spool)).toEqual(['0', '1'])
  await spool.append(Buffer.from('2'))
  expect(await drain(spool)).toEqual(['2'])
  expect(spool.state().damaged).toBe(1)
  expect(warnings).toEqual([expect.stringContaining('not kept aside yet')])
  await spool.close(0)

  const again = await openSpool(folder, { warn })
  // The store drops what it gets twice.
  expect(await drain(again)).toEqual(['1', '2'])
  await rm(aside)
  await again.append(Buffer.from('3'))
  expect(await drain(again)).toEqual(['3'])
  const kept = await readdir(aside)
  expect(await Promise.all(kept.map((name) => readFile(join(aside, name))))).toEqual([damaged])
  expect((await readdir(folder)).filter((name) => name.endsWith('.spool'))).toHaveLength(1)
  await again.close(0)
})

test('damage for which neither the disk nor memory has room waits, with all that comes after it', async () => {
  const damaged = encodeFrame(Buffer.alloc(100))
  damaged[damaged.length - 1] ^= 1
  await writeFile(join(folder, '000000000001.spool'), Buffer.concat([damaged, encodeFrame(Buffer.from('0'))]))
  await writeFile(join(folder, 'aside'), '')
  const spool = await openSpool(folder, { warn, maxPendingBytes: 50 })
  await expect(spool.read(1000)).rejects.toMatchObject({ code: 'EEXIST' })
  await rm(join(folder, 'aside'))
  expect(await drain(spool)).toEqual(['0'])
  expect(await readdir(join(folder, 'aside'))).toHaveLength(1)
  await spool.close(0)
})

test('what only memory held of a refused record is told when it is lost', async () => {
  await writeFile(join(folder, 'aside'), '')
  const spool = await openSpool(folder, { warn })
  await spool.keepAside('a', Buffer.from('of memory'))
  await spool.keepAside('b', Buffer.from('of a segment'), { segment: 1, offset: 0 })
  await spool.close(0)
  expect(warnings).toEqual([expect.stringMatching(/^1 records .* are lost/)])
})

test('what an earlier try left half written aside is written anew', async () => {
  await mkdir(join(folder, 'aside'))
  await writeFile(join(folder, 'aside', 'a'), 'wh')
  expect(await keepAside(folder, 'a', Buffer.from('whole'))).toMatchObject({ isNew: true })
  expect(await readFile(join(folder, 'aside', 'a'), 'utf8')).toBe('whole')
  expect(await keepAside(folder, 'a', Buffer.from('whole'))).toMatchObject({ isNew: false })
})

test('records that are appended one by one, each when the one before is written, hold up nothing else', async () => {
  const spool = await openSpool(folder, { warn })
  let ticks = 0
  const clock = setInterval(() => ticks++, 1)
  const begun = performance.now()
  for (let i = 0; i < 3_000; i++) await spool.append(Buffer.alloc(300), 'written')
  const ms = performance.now() - begun
  clearInterval(clock)
  expect(ticks).toBeGreaterThan(Math.min(20, ms / 20))
  await spool.close(1_000)
})

async function openCopy() {
  const copy = await mkdtemp(join(tmpdir(), 'spool-copy-'))
  onTestFinished(() => rm(copy, { recursive: true, force: true }))
  // Files may go while they are copied.
  while (
    !(await cp(folder, copy, { recursive: true }).then(
      () => true,
      () => false,
    ))
  )
    await sleep(1)
  return openSpool(copy, { warn: () => {} })
}

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

test.skipIf(!canMount)('a really full disk leaves nothing half written aside (needs root and tmpfs)', async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder])
  try {
    await writeFile(join(folder, 'filler'), Buffer.alloc(40 * 1024))
    const bytes = Buffer.alloc(30 * 1024, 1)
    await expect(keepAside(folder, 'a', bytes)).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await readdir(join(folder, 'aside'))).toEqual([])
    await rm(join(folder, 'filler'))
    const { path } = await keepAside(folder, 'a', bytes)
    expect(await readFile(path)).toEqual(bytes)
  } finally {
    execFileSync('umount', ['-l', folder])
  }
})

const isRoot = process.getuid?.() === 0

/** As another mount of the disk, for root, whom permissions do not bind. */
const setWritable = (isWritable: boolean) =>
  isRoot
    ? void execFileSync('mount', ['-o', `remount,${isWritable ? 'rw' : 'ro'}`, folder])
    : chmod(folder, isWritable ? 0o700 : 0o500)

test.skipIf(process.platform === 'win32' || (isRoot && !canMount))(
  'a read-only disk (needs tmpfs where root runs it): what is there and what comes is shipped, and it is used again',
  async () => {
    if (isRoot) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder])
    try {
      const before = await openSpool(folder, { warn, segmentBytes: 30 })
      for (const payload of numbers(4)) await before.append(payload)
      await before.close(1000)
      const spool = await openSpool(folder, { warn, retryMs: 5 })
      await setWritable(false)
      const waiting = numbers(3, 4).map((payload) => spool.append(payload))
      await until(() => spool.state().fault !== undefined)
      expect(spool.state().fault).toBe(isRoot ? 'EROFS' : 'EACCES')
      expect(await drain(spool)).toEqual(numbers(7).map(String))
      await Promise.all(waiting)
      // What was shipped cannot be removed yet, and does not count as waiting.
      const segments = async () => (await readdir(folder)).filter((name) => name.endsWith('.spool'))
      expect((await segments()).length).toBeGreaterThan(1)
      expect(spool.state()).toMatchObject({ bytes: 0, pendingRecords: 0 })
      await setWritable(true)
      await spool.append(Buffer.from('7'))
      expect(await drain(spool)).toEqual(['7'])
      expect(await segments()).toHaveLength(1)
      await spool.close(0)
      const again = await openSpool(folder, { warn })
      expect(await drain(again)).toEqual([])
      await again.close(0)
    } finally {
      if (isRoot) execFileSync('umount', ['-l', folder])
    }
  },
)
