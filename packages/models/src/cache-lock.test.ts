import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { acquireLock, type LockOwner, withLock } from './cache-lock.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plumbline-lock-'))
  path = join(folder, 'lock')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('only one at a time is inside, and all get their turn', async () => {
  let inside = 0
  let most = 0
  let turns = 0
  const work = async () => {
    most = Math.max(most, ++inside)
    await sleep(5)
    inside--
    turns++
  }
  await Promise.all(Array.from({ length: 6 }, () => withLock(path, work)))
  expect([most, turns]).toEqual([1, 6])
  expect(existsSync(path)).toBe(false)
})

test('a failure inside frees the lock', async () => {
  await expect(withLock(path, () => Promise.reject(new Error('inside')))).rejects.toThrow('inside')
  expect(await withLock(path, async () => 7)).toBe(7)
})

test('the lock of a dead process is taken over at once, by one of those who wait', async () => {
  const dead = spawnSync(process.execPath, ['-e', '']).pid
  await writeFile(path, JSON.stringify({ id: 'dead', pid: dead, host: hostname() }))
  let inside = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++inside)
    await sleep(20)
    inside--
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: 4 }, () => withLock(path, work)))
  expect(most).toBe(1)
  expect(performance.now() - began).toBeLessThan(5000)
})

test('a lock that nobody touches is taken over after the stale time, whatever its clock says', async () => {
  await writeFile(path, JSON.stringify({ id: 'far', pid: 1, host: 'another-host' }))
  const began = performance.now()
  await withLock(path, async () => undefined, { staleMs: 400 })
  expect(performance.now() - began).toBeGreaterThan(350)
})

test('a lock that is touched is never stale', async () => {
  let order = ''
  const slow = withLock(
    path,
    async () => {
      await sleep(700)
      order += 'a'
    },
    { heartbeatMs: 50 },
  )
  await sleep(20)
  const quick = async () => {
    order += 'b'
  }
  await withLock(path, quick, { staleMs: 300 })
  await slow
  expect(order).toBe('ab')
})

test('who lost the lock is told to stop', async () => {
  const lost = withLock(
    path,
    async (signal) => {
      await writeFile(path, JSON.stringify({ id: 'other', pid: process.pid, host: hostname() }))
      await sleep(5000, undefined, { signal })
    },
    { heartbeatMs: 20 },
  )
  await expect(lost).rejects.toMatchObject({ cause: { code: 'LOCK_LOST' } })
  expect(existsSync(path)).toBe(true)
})

test('waiting ends with an abort', async () => {
  const stop = new AbortController()
  await withLock(path, async () => {
    const waiting = withLock(path, async () => undefined, { signal: stop.signal, onWait: () => stop.abort() })
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

test('who does not wait is told who holds the lock, at once', async () => {
  const refuse = ({ pid, host }: { pid: number; host: string }) => new Error(`held by ${pid} on ${host}`)
  const lock = await acquireLock(path)
  await expect(acquireLock(path, { refuse })).rejects.toThrow(`held by ${process.pid} on ${hostname()}`)
  await lock.release()
  await (await acquireLock(path, { refuse })).release()
})

test('a holder on another host is refused once it touches its lock, and taken over when it does not', async () => {
  const far = JSON.stringify({ id: 'far', pid: 1, host: 'another-host' })
  const refuse = () => new Error('held')
  await writeFile(path, far)
  const beat = setInterval(() => void utimes(path, new Date(), new Date()), 50)
  await expect(acquireLock(path, { refuse, staleMs: 5000 })).rejects.toThrow('held')
  clearInterval(beat)
  await (await acquireLock(path, { refuse, staleMs: 300 })).release()
})

test('a lock that a dead process shared with one that still runs is waited for, and refused only after the stale time', async () => {
  const orphan = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)'])
  const holder = `
    const { acquireLock } = await import(${JSON.stringify(new URL('./cache-lock.ts', import.meta.url).href)})
    const lock = await acquireLock(${JSON.stringify(path)})
    await lock.shareWith(${orphan.pid})
    process.kill(process.pid, 'SIGKILL')`
  expect(spawnSync(process.execPath, ['--input-type=module', '-e', holder]).signal).toBe('SIGKILL')
  const refuse = ({ pid }: LockOwner) => new Error(`in use by ${pid}`)
  await expect(acquireLock(path, { refuse, staleMs: 300 })).rejects.toThrow(`in use by ${orphan.pid}`)
  let isHeld = false
  const waiting = acquireLock(path, { refuse }).then((lock) => {
    isHeld = true
    return lock
  })
  await sleep(300)
  expect(isHeld).toBe(false)
  orphan.kill('SIGKILL')
  await (await waiting).release()
  expect(existsSync(path)).toBe(false)
})
