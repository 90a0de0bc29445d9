import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { makeFolder } from './disk.ts'

/** Options of every function that writes a folder. */
export interface OverwriteOptions {
  /** Replace a folder that is not empty. */
  overwrite?: boolean
}

/**
 * Fills a folder that appears all at once: `write` works in a sibling, which is flushed to disk and then renamed. When
 * it fails, nothing is left behind and an older folder stays. Throws FOLDER_NOT_EMPTY and FILE_WRITE_FAILED.
 */
export async function writeFolder(
  path: string,
  { overwrite = false }: OverwriteOptions,
  write: (folder: string) => Promise<void>,
): Promise<void> {
  const target = resolve(path)
  await checkReplaceable(target, overwrite)
  let draft: string | undefined
  try {
    await makeFolder(dirname(target))
    // Not mkdtemp, whose folders only their owner may read.
    draft = join(dirname(target), `.${basename(target)}.draft-${randomUUID()}`)
    await mkdir(draft)
    await write(draft)
    for (const name of await readdir(draft)) await flush(join(draft, name))
    await flush(draft)
    await replace(target, draft)
    await flush(dirname(target))
  } catch (error) {
    if (draft) await rm(draft, { recursive: true, force: true })
    throw writeFailed(path, error)
  }
}

async function checkReplaceable(target: string, overwrite: boolean): Promise<void> {
  const stats = await stat(target).catch(() => undefined)
  if (!stats) return
  if (!stats.isDirectory()) {
    throw new PlumblineError('FOLDER_NOT_EMPTY', `${target} is a file, not a folder.`, { hint: 'Give another path.' })
  }
  if (!overwrite && (await readdir(target)).length > 0) {
    throw new PlumblineError('FOLDER_NOT_EMPTY', `The folder ${target} is not empty; nothing was written.`, {
      hint: 'Give another path, or allow to overwrite it.',
    })
  }
}

/** An old folder steps aside first: a folder cannot be renamed over one that is not empty. */
async function replace(target: string, draft: string): Promise<void> {
  const aside = `${draft}.old`
  const hadOld = await rename(target, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
  try {
    await rename(draft, target)
  } catch (error) {
    if (hadOld) await rename(aside, target)
    throw error
  }
  if (hadOld) await rm(aside, { recursive: true, force: true })
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } catch (error) {
    // Windows cannot flush a folder.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  } finally {
    await handle.close()
  }
}

function writeFailed(path: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof PlumblineError || code === undefined) return error
  const why = code === 'ENOSPC' ? 'the disk is full' : message
  return new PlumblineError('FILE_WRITE_FAILED', `${path} could not be written: ${why}. Nothing was left behind.`, {
    hint:
      code === 'ENOSPC' ? 'Free some space or give a path on another disk.' : 'Check the path and your rights to it.',
    cause: error,
  })
}
