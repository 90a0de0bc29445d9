import { resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { Runs } from '@plumbline/server'
import { missingFile, statIfPresent } from './missing-file.ts'
import type { World } from './world.ts'

/** The training runs below a folder of the user's; undefined without one. Throws USAGE_RUNS_MISSING, USAGE_RUNS_FOLDER. */
export async function openRunsFolder(path: string | undefined, { cwd }: World): Promise<Runs | undefined> {
  if (path === undefined) return undefined
  const folder = resolve(cwd, path)
  const found = await statIfPresent(folder)
  if (found === undefined) throw await missingFile('USAGE_RUNS_MISSING', path, cwd)
  if (!found.isDirectory()) {
    throw new PlumblineError('USAGE_RUNS_FOLDER', `${path}: is a file; --runs is the folder in which runs lie.`, {
      hint: 'Give the folder above the --output of plumb sft, reward, ppo or align.',
    })
  }
  const { openRuns } = await import('@plumbline/server')
  return openRuns({ folder })
}
