import { mkdir, open, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'

/** Bytes that a process of this user may still write below `folder`. */
async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** "93 MB", "1.4 GB": decimal units, as disks and download pages count. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']
  const unit = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1000 ** unit
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

const fullDiskHint = 'Free some space, or set PLUMBLINE_HOME to a folder on a larger disk. The same command continues.'

/** Throws DISK_FULL before anything is fetched when `needed` bytes do not fit below `folder`. */
export async function ensureSpace(folder: string, needed: number): Promise<void> {
  const free = await freeBytes(folder)
  if (needed <= free) return
  throw new PlumblineError(
    'DISK_FULL',
    `${folder}: ${formatBytes(needed)} are needed, ${formatBytes(free)} are free (${needed} of ${free} bytes).`,
    { hint: fullDiskHint },
  )
}

/** Turns a failed write into an error for the user; anything that is not about the disk comes back unchanged. */
export async function diskError(error: unknown, folder: string, needed: number): Promise<unknown> {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? ''
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) {
    const free = await freeBytes(folder).catch(() => 0)
    const why = code === 'EFBIG' ? 'the limit on the size of a file is reached' : 'the disk or quota is full'
    const message = `${folder}: ${why}. ${formatBytes(needed)} are still needed, ${formatBytes(free)} are free (${needed} of ${free} bytes).`
    return new PlumblineError('DISK_FULL', message, { hint: fullDiskHint, cause: error })
  }
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code)) {
    return notWritable(folder, code, error)
  }
  return error
}

/**
 * Makes a folder and those above it. Node's recursive mkdir loops for ever where a file system refuses entries with
 * ENOENT, as /proc does, so this goes step by step. Throws the file system's error.
 */
export async function makeFolder(folder: string): Promise<void> {
  const missing: string[] = []
  for (let at = folder; !(await stat(at).catch(() => undefined))?.isDirectory() && at !== dirname(at); at = dirname(at))
    missing.unshift(at)
  for (const path of missing) {
    try {
      await mkdir(path)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      const isThere = code === 'EEXIST' && (await stat(path).catch(() => undefined))?.isDirectory()
      // Somebody else may have made it meanwhile.
      if (!isThere) throw cause
    }
  }
}

/** As `makeFolder`. Throws CACHE_NOT_WRITABLE and DISK_FULL. */
export async function makeCacheFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder)
  } catch (cause) {
    const { code, path = folder } = cause as NodeJS.ErrnoException
    const known = await diskError(cause, path, 0)
    throw known instanceof PlumblineError ? known : notWritable(path, code ?? String(cause), cause)
  }
}

function notWritable(folder: string, code: string, cause: unknown): PlumblineError {
  return new PlumblineError('CACHE_NOT_WRITABLE', `${folder} cannot be written (${code}).`, {
    hint: 'Set PLUMBLINE_HOME to a folder that you own.',
    cause,
  })
}

/** Makes a folder's entries durable. Windows cannot open a folder, and needs no such call. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Moves a complete folder to its place in one step. A broken folder that stands there goes first. */
export async function publishFolder(staged: string, target: string): Promise<void> {
  await syncFolder(staged)
  await mkdir(dirname(target), { recursive: true })
  await rm(target, { recursive: true, force: true })
  await rename(staged, target)
  await syncFolder(dirname(target))
}
