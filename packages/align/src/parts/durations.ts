/** How long the parts of a job took, in a file: a job that goes on later knows it. */
import { readFile } from 'node:fs/promises'
import { replaceDurably } from './run-files.ts'

export interface Duration {
  readonly name: string
  readonly seconds: number
}

export interface Durations {
  /**
   * Does a part of the job and notes its seconds, also when it fails. `work` says how it finds the part: time of a `new`
   * one is counted from 0, that of a `resumed` one is added, a `finished` one keeps what was noted.
   */
  time<Result>(name: string, work: (found: (state: PartState) => void) => Promise<Result>): Promise<Result>
  /** Of the parts that were done here, in this order. */
  all(): Duration[]
}

export type PartState = 'new' | 'resumed' | 'finished'

/** `clock` gives milliseconds and never goes back. A file that cannot be read counts as none. */
export async function openDurations(path: string, clock: () => number): Promise<Durations> {
  const seconds = new Map<string, number>(await readNoted(path))
  const done: string[] = []

  async function note(name: string, state: PartState | undefined, spent: number): Promise<void> {
    if (state === undefined || (state === 'finished' && seconds.has(name))) return
    seconds.set(name, state === 'resumed' ? (seconds.get(name) ?? 0) + spent : spent)
    await replaceDurably(path, `${JSON.stringify(Object.fromEntries(seconds), null, 2)}\n`)
  }

  return {
    async time(name, work) {
      let state: PartState | undefined
      const begun = clock()
      const spent = () => (clock() - begun) / 1000
      try {
        const result = await work((found) => {
          state = found
        })
        await note(name, state, spent())
        done.push(name)
        return result
      } catch (error) {
        await note(name, state, spent()).catch(() => {})
        throw error
      }
    },
    all: () => done.map((name) => ({ name, seconds: seconds.get(name) ?? 0 })),
  }
}

async function readNoted(path: string): Promise<[string, number][]> {
  try {
    const noted: unknown = JSON.parse(await readFile(path, 'utf8'))
    return Object.entries(noted ?? {}).filter(([, value]) => Number.isFinite(value) && value >= 0)
  } catch {
    return []
  }
}
