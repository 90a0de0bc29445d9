import { parentPort, workerData } from 'node:worker_threads'
import { PlumblineError } from '@plumbline/contracts'
import { readShare } from './read-share.ts'
import type { ReadingFailure } from './read-weights.ts'

await readShare(workerData).catch((error: Error) => {
  const failure: ReadingFailure =
    error instanceof PlumblineError ? { code: error.code, message: error.message, hint: error.hint } : error
  parentPort!.postMessage({ code: failure.code, message: failure.message, hint: failure.hint } satisfies ReadingFailure)
})
