import { PlumblineError } from '@plumbline/contracts'

/** Reading of a disk, one at a time. */
export type DiskTurns = <T>(read: () => Promise<T>) => Promise<T>

/**
 * A disk that hangs holds one of the process's four threads for files, and not those that the records need: nothing is
 * read before the last reading is back. Throws RUNS_SLOW where that, or the reading itself, takes longer than `patienceMs`.
 */
export function createDiskTurns(patienceMs: number): DiskTurns {
  let last: Promise<unknown> = Promise.resolve()
  let isSlow = false
  return <T>(read: () => Promise<T>) => {
    if (isSlow) return Promise.reject(slow(patienceMs))
    return new Promise<T>((resolve, reject) => {
      let isGivenUp = false
      const timer = setTimeout(() => {
        isSlow = isGivenUp = true
        reject(slow(patienceMs))
      }, patienceMs)
      last = last
        .then(() => (isGivenUp ? undefined : read().then(resolve)))
        .catch(reject)
        .then(() => {
          isSlow = false
          clearTimeout(timer)
        })
    })
  }
}

function slow(patienceMs: number): PlumblineError {
  return new PlumblineError('RUNS_SLOW', `The folder of runs has not answered within ${patienceMs} ms.`, {
    hint: 'Look at the disk it lies on; it is read again once it has answered.',
  })
}
