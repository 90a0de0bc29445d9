import { randomUUID } from 'node:crypto'
import { link, open, readFile, readlink, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PlumblineError } from '@plumbline/contracts'
import { makeCacheFolder } from './disk.ts'
import { throwIfAborted } from './pull-events.ts'

export interface LockOptions {
  signal?: AbortSignal | undefined
  /** Called once when somebody else holds the lock; `holder` is e.g. "process 4711" or "process 4711 on another-host". */
  onWait?: (holder: string) => void
  /** The holder touches the file this often. */
  heartbeatMs?: number
  /** A lock that was not touched for so long is taken over. */
  staleMs?: number
  /** Does not wait for a living holder: throws what this returns. */
  refuse?: (holder: LockOwner) => Error
}

/** A lock that this process holds. */
export interface Lock {
  /** Fires with LOCK_LOST when another process took the lock over. */
  readonly signal: AbortSignal
  /**
   * When this process dies, the lock is not free before that one has ended too; of several the last one counts. Where the
   * system does not tell processes of one number apart (elsewhere than on Linux), it is free after the stale time.
   */
  shareWith(pid: number): Promise<void>
  /** Gives the lock back; a second call does nothing. */
  release(): Promise<void>
}

/** Who holds a lock. */
export interface LockOwner {
  id: string
  pid: number
  host: string
  /** What tells this process from another of the same number, where the system says so. */
  process?: string | undefined
  /** A process that ends soon after this one. */
  helper?: { pid: number; process: string | undefined } | undefined
}

/**
 * Runs `work` while holding the lock file at `path`, across processes. The lock of a process that is dead, or that
 * stopped touching it, is taken over; whoever lost a lock that way sees `signal` fire. Staleness is watched on a
 * monotonic clock instead of computed from file times, so clocks that jump or differ between hosts do no harm.
 */
export async function withLock<T>(
  path: string,
  work: (signal: AbortSignal) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const lock = await acquireLock(path, options)
  try {
    return await work(options.signal ? AbortSignal.any([options.signal, lock.signal]) : lock.signal)
  } finally {
    await lock.release()
  }
}

/** Takes the lock as `withLock` does, for work that does not fit into one function. */
export async function acquireLock(path: string, options: LockOptions = {}): Promise<Lock> {
  const { heartbeatMs = 2000 } = options
  await makeCacheFolder(dirname(path))
  const owner: LockOwner = {
    id: randomUUID(),
    pid: process.pid,
    host: hostname(),
    process: await processIdentity(process.pid),
  }
  await acquire(path, owner, options)
  const lost = new AbortController()
  const timer = setInterval(() => void beat(path, owner, lost), heartbeatMs)
  timer.unref()
  const release = async () => {
    clearInterval(timer)
    if ((await readOwner(path))?.id === owner.id) await rm(path, { force: true })
  }
  const shareWith = async (pid: number) => {
    if ((await readOwner(path))?.id !== owner.id) throw lostLock(path)
    const own = `${path}.${owner.id}`
    try {
      await writeFile(own, JSON.stringify({ ...owner, helper: { pid, process: await processIdentity(pid) } }))
      await rename(own, path)
    } finally {
      await rm(own, { force: true })
    }
  }
  return { signal: lost.signal, shareWith, release }
}

async function beat(path: string, owner: LockOwner, lost: AbortController): Promise<void> {
  const seen = await readOwner(path)
  if (seen?.id === owner.id) {
    const at = new Date()
    await utimes(path, at, at).catch(() => undefined)
    return
  }
  lost.abort(lostLock(path))
}

function lostLock(path: string): PlumblineError {
  return new PlumblineError('LOCK_LOST', `${path}: another process took this lock over, so this one stopped.`, {
    hint: 'Run the command again.',
  })
}

async function acquire(
  path: string,
  owner: LockOwner,
  { signal, onWait, staleMs = 15_000, refuse }: LockOptions,
): Promise<void> {
  let watched = ''
  let changes = -1
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
      changes++
      since = performance.now()
    }
    const life = await lifeOf(holder)
    // A holder whose life cannot be seen from here shows it by touching its lock.
    if (refuse && holder && (life === 'alive' || changes > 0)) throw refuse(holder)
    const isStale = performance.now() - since > staleMs
    if (refuse && holder && life === 'ending' && isStale) throw refuse({ ...holder, pid: holder.helper!.pid })
    if (life === 'dead' || (life !== 'ending' && isStale)) {
      await breakLock(path, holder?.id, staleMs)
      continue
    }
    if (waits === 0) onWait?.(nameOf(holder, life))
    await sleep(100)
  }
}

function nameOf(holder: LockOwner | undefined, life: Life | 'ending'): string {
  if (!holder) return 'another process'
  const name = `process ${holder.pid}${holder.host === hostname() ? '' : ` on ${holder.host}`}`
  return life === 'ending' ? `${name}, whose process ${holder.helper!.pid} still runs` : name
}

/** A hard link appears whole or not at all: no reader ever sees a lock without its owner. */
async function tryCreate(path: string, owner: LockOwner): Promise<boolean> {
  const own = `${path}.${owner.id}`
  try {
    await writeFile(own, JSON.stringify(owner))
    await link(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(own, { force: true })
  }
}

async function readOwner(path: string): Promise<LockOwner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as LockOwner
  } catch {
    return undefined
  }
}

type Life = 'alive' | 'dead' | 'unknown'

/** Whether the holder's process runs, or (`ending`) only its helper; unknown when that cannot be seen from here. */
async function lifeOf(owner: LockOwner | undefined): Promise<Life | 'ending'> {
  if (!owner || owner.host !== hostname()) return 'unknown'
  const life = await lifeOfProcess(owner)
  if (life !== 'dead' || !owner.helper) return life
  const helper = await lifeOfProcess(owner.helper)
  return helper === 'alive' ? 'ending' : helper
}

/** Of one on this host; unknown when its number may have gone to another process. */
async function lifeOfProcess({ pid, process: identity }: Pick<LockOwner, 'pid' | 'process'>): Promise<Life> {
  if (!Number.isInteger(pid) || pid <= 0) return 'unknown'
  const own = await processIdentity(process.pid)
  // Containers may share a host name, but not their process numbers.
  if (identity !== undefined && namespaceOf(identity) !== namespaceOf(own)) return 'unknown'
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'dead'
  }
  if (identity === undefined) return 'unknown'
  return (await processIdentity(pid)) === identity ? 'alive' : 'dead'
}

/** Linux: "boot id/process namespace/start time" of a process; elsewhere undefined. A number alone is used again. */
async function processIdentity(pid: number): Promise<string | undefined> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses, which may hold anything; the start time is the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended; only its parent has not noticed.
    if (fields[0] === 'Z') return undefined
    const start = fields[19]
    return `${boot.trim()}/${await readlink('/proc/self/ns/pid')}/${start}`
  } catch {
    return undefined
  }
}

/** A process identity without its start time. */
function namespaceOf(identity: string | undefined): string | undefined {
  return identity?.slice(0, identity.lastIndexOf('/'))
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
