import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { acquireLock, type Lock, makeFolder } from '@plumbline/models'
import { runWriteError } from './run-files.ts'

const lockName = '.lock'

/**
 * Takes the folder for this process, makes it when it is missing. The lock of a dead process is taken over. Throws
 * RUN_FOLDER_NOT_EMPTY, RUN_IN_USE, RUN_NOT_WRITABLE, and the reason of `signal`.
 */
export async function lockRunFolder(
  folder: string,
  { signal, warn }: { readonly signal?: AbortSignal | undefined; readonly warn?: (text: string) => void } = {},
): Promise<Lock> {
  await checkIsRun(folder)
  try {
    await makeFolder(folder)
    return await acquireLock(join(folder, lockName), {
      signal,
      onWait: (holder) =>
        warn?.(`${folder} was last used by ${holder}. Waiting up to 15 s to see whether it still is.`),
      refuse: ({ pid, host }) =>
        new PlumblineError('RUN_IN_USE', `${folder} is in use by process ${pid} on ${host}.`, {
          hint: 'Wait until that run has ended, stop it, or give another --output.',
        }),
    })
  } catch (error) {
    throw runWriteError(folder, error)
  }
}

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
  return names.filter((name) => !name.startsWith(lockName) && name !== 'run.json.draft')
}
