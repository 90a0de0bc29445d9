import { createHash } from 'node:crypto'
import { opendir, realpath } from 'node:fs/promises'
import { join } from 'node:path'

/** A folder with a run.json. */
export interface RunPlace {
  /** From its name: the same after a restart, and no path. */
  readonly id: string
  /** Folders from the one that is searched, with "/"; "." is that one. */
  readonly name: string
  readonly folder: string
}

/** `plumb align` in a folder of experiments: experiments/align/ppo. */
const deepest = 3
const mostFolders = 5_000
const mostEntries = 10_000
const mostRuns = 1_000

export interface FoundRuns {
  readonly places: readonly RunPlace[]
  /** Which limit left something out; undefined when all was searched. */
  readonly limit: string | undefined
}

/**
 * The runs below a folder, without its links: no run is outside of it. Not searched: hidden folders, what is in a run,
 * and more than a person would keep there. Throws where the folder itself cannot be read.
 */
export async function findRuns(root: string): Promise<FoundRuns> {
  const found: RunPlace[] = []
  let level = [{ name: '.', folder: await realpath(root) }]
  let searched = 0
  let limit: string | undefined
  for (let depth = 0; depth <= deepest; depth++) {
    const next: typeof level = []
    for (const { name, folder } of level) {
      if (++searched > mostFolders) return { places: found, limit: `${mostFolders} folders` }
      const { isRun, folders, isCut } = await look(folder, depth === 0)
      if (isCut) limit = `${mostEntries} entries of a folder`
      if (isRun && found.length === mostRuns) return { places: found, limit: `${mostRuns} runs` }
      if (isRun) found.push({ id: idOf(name), name, folder })
      if (isRun) continue
      for (const inner of folders)
        next.push({ name: depth === 0 ? inner : `${name}/${inner}`, folder: join(folder, inner) })
    }
    level = next
  }
  return { places: found, limit }
}

/** Whether a run is still where it was found: no part of its path became a link. */
export async function isInPlace({ folder }: RunPlace): Promise<boolean> {
  return (await realpath(folder).catch(() => undefined)) === folder
}

async function look(folder: string, isRoot: boolean) {
  const folders: string[] = []
  let isRun = false
  let isCut = false
  try {
    let entries = 0
    for await (const entry of await opendir(folder)) {
      isCut = ++entries > mostEntries
      if (isCut) break
      // Links count as neither.
      if (entry.name === 'run.json' && entry.isFile()) isRun = true
      else if (entry.isDirectory() && !entry.name.startsWith('.')) folders.push(entry.name)
    }
  } catch (error) {
    // One that has just gone, or is not ours to read, hides no other.
    if (isRoot) throw error
  }
  return { isRun, folders: folders.sort(), isCut }
}

const idOf = (name: string) => createHash('sha256').update(name).digest('hex').slice(0, 16)
