import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { acquireLock, type Lock, makeFolder } from '@plumbline/models'
import { runWriteError } from './run-files.ts'

const lockName = '.lock'

interface WaitOptions {
  /** Ends the wait for a folder whose last user may still be at work. */
  readonly signal?: AbortSignal | undefined
  /** Hears of that wait. */
  readonly warn?: (text: string) => void
}

/**
 * Takes the folder for this process, makes it when it is missing. The lock of a dead process is taken over. Throws
 * RUN_FOLDER_NOT_EMPTY, RUN_IN_USE, RUN_NOT_WRITABLE, and the reason of `signal`.
 */
export async function lockRunFolder(folder: string, options?: WaitOptions): Promise<Lock> {
  await checkIsRun(folder)
  try {
    return await lockFolder(folder, options)
  } catch (error) {
    throw runWriteError(folder, error)
  }
}

/** The same for a folder of several runs; what the system refuses is thrown as it is. */
export async function lockFolder(folder: string, { signal, warn }: WaitOptions = {}): Promise<Lock> {
  await makeFolder(folder)
  return acquireLock(join(folder, lockName), {
    signal,
    onWait: (holder) => warn?.(`${folder} was last used by ${holder}. Waiting up to 15 s to see whether it still is.`),
    refuse: ({ pid, host }) =>
      new PlumblineError('RUN_IN_USE', `${folder} is in use by process ${pid} on ${host}.`, {
        hint: 'Wait until that run has ended, stop it, or give another --output.',
      }),
  })
}

/** Whether a file of this name is a lock's, or a draft of one that a killed process left. */
export const isLockFile = (name: string): boolean => name.startsWith(lockName)

/** Whether the folder may be written to at all: missing, empty, or a run. */
async function checkIsRun(folder: string): Promise<void> {
  const stats = await stat(folder).catch(() => undefined)
  if (stats === undefined) return
  if (!stats.isDirectory()) {
    throw new PlumblineError('RUN_FOLDER_NOT_EMPTY', `${folder} is a file, not a folder.`, {
      hint: 'Give another --output.',
    })
  }
  const others = strangersIn(await readdir(folder))
  if (others.length === 0) return
  throw new PlumblineError(
    'RUN_FOLDER_NOT_EMPTY',
    `${folder} is not empty and holds no run (there is ${others.sort().slice(0, 3).join(', ')}); nothing was written.`,
    { hint: 'Give a new or an empty folder as --output.' },
  )
}

/** Of the names in a folder, those that keep it from being a run's; none when it is empty, or a run. */
export function strangersIn(names: readonly string[]): string[] {
  if (names.includes('run.json')) return []
  // A process that was killed in its first milliseconds leaves its lock and no run.json.
  return names.filter((name) => !isLockFile(name) && name !== 'run.json.draft')
}
