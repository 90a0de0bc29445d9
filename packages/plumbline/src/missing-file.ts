import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { nearest, PlumblineError } from '@plumbline/contracts'

/** The error for a file that is not there; the hint names the most similar file in the same folder. */
export async function missingFile(code: string, path: string, cwd: string): Promise<PlumblineError> {
  const file = resolve(cwd, path)
  const names = await readdir(dirname(file)).catch(() => undefined)
  if (names === undefined) {
    return new PlumblineError(code, `${path}: no such file, and no such folder ${dirname(file)}.`, {
      hint: `Paths are read from ${cwd}.`,
    })
  }
  const meant = nearest(basename(file), names)
  return new PlumblineError(code, `${path}: no such file in ${dirname(file)}.`, {
    hint: meant === undefined ? `Paths are read from ${cwd}.` : `Did you mean ${meant}?`,
  })
}

/** What is at a path, or undefined when nothing is. Other refusals (no permission) are thrown. */
export async function statIfPresent(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
