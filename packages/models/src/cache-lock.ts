import { randomUUID } from 'node:crypto'
import { link, open, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PlumblineError } from '@plumbline/contracts'
import { makeFolder } from './disk.ts'
import { throwIfAborted } from './pull-events.ts'

export interface LockOptions {
  signal?: AbortSignal | undefined
  /** Called once when somebody else holds the lock; `holder` is e.g. "process 4711". */
  onWait?: (holder: string) => void
  /** The holder touches the file this often. */
  heartbeatMs?: number
  /** A lock that was not touched for so long is taken over. */
  staleMs?: number
}

interface Owner {
  id: string
  pid: number
  host: string
}

/**
 * Runs `work` while holding the lock file at `path`, across processes. The lock of a process that is dead, or that
 * stopped touching it, is taken over; whoever lost a lock that way sees `signal` fire. Staleness is watched on a
 * monotonic clock instead of computed from file times, so clocks that jump or differ between hosts do no harm.
 */
export async function withLock<T>(
  path: string,
  work: (signal: AbortSignal) => Promise<T>,
  { signal, onWait, heartbeatMs = 2000, staleMs = 15_000 }: LockOptions = {},
): Promise<T> {
  await makeFolder(dirname(path))
  const owner: Owner = { id: randomUUID(), pid: process.pid, host: hostname() }
  await acquire(path, owner, staleMs, signal, onWait)
  const lost = new AbortController()
  const timer = setInterval(() => void beat(path, owner, lost), heartbeatMs)
  timer.unref()
  try {
    return await work(signal ? AbortSignal.any([signal, lost.signal]) : lost.signal)
  } finally {
    clearInterval(timer)
    if ((await readOwner(path))?.id === owner.id) await rm(path, { force: true })
  }
}

async function beat(path: string, owner: Owner, lost: AbortController): Promise<void> {
  const seen = await readOwner(path)
  if (seen?.id === owner.id) {
    const at = new Date()
    await utimes(path, at, at).catch(() => undefined)
    return
  }
  lost.abort(
    new PlumblineError('LOCK_LOST', `${path}: another process took this lock over, so this one stopped.`, {
      hint: 'Run the command again.',
    }),
  )
}

async function acquire(
  path: string,
  owner: Owner,
  staleMs: number,
  signal: AbortSignal | undefined,
  onWait: ((holder: string) => void) | undefined,
): Promise<void> {
  let watched = ''
  let since = performance.now()
  for (let waits = 0; ; waits++) {
    throwIfAborted(signal, 'a model that another process is pulling')
    if (await tryCreate(path, owner)) return
    const holder = await readOwner(path)
    const touched = await stat(path).catch(() => undefined)
    if (!touched) continue
    const state = `${holder?.id}:${touched.mtimeMs}`
    if (state !== watched) {
      watched = state
      since = performance.now()
    }
    if (isDead(holder) || performance.now() - since > staleMs) {
      await breakLock(path, holder?.id, staleMs)
      continue
    }
    if (waits === 0) onWait?.(holder ? `process ${holder.pid}` : 'another process')
    await sleep(100)
  }
}

/** A hard link appears whole or not at all: no reader ever sees a lock without its owner. */
async function tryCreate(path: string, owner: Owner): Promise<boolean> {
  const own = `${path}.${owner.id}`
  await writeFile(own, JSON.stringify(owner))
  try {
    await link(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(own, { force: true })
  }
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Owner
  } catch {
    return undefined
  }
}

/** True when the owner ran on this host and its process is gone. */
function isDead(owner: Owner | undefined): boolean {
  if (!owner || owner.host !== hostname() || !Number.isInteger(owner.pid) || owner.pid <= 0) return false
  try {
    process.kill(owner.pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** Removes a stale lock. Only one waiter may do so at a time, or the second would remove the first one's new lock. */
async function breakLock(path: string, staleId: string | undefined, staleMs: number): Promise<void> {
  const breaker = `${path}.breaker`
  try {
    await (await open(breaker, 'wx')).close()
  } catch {
    // Its owner needs a millisecond. If it died in that one, the file stays: drop it after the stale time.
    await sleep(50)
    const left = await stat(breaker).catch(() => undefined)
    if (left && Date.now() - left.mtimeMs > staleMs) await rm(breaker, { force: true })
    return
  }
  try {
    if ((await readOwner(path))?.id === staleId) await rm(path, { force: true })
  } finally {
    await rm(breaker, { force: true })
  }
}
