import { parentPort, workerData } from 'node:worker_threads'
import { PlumblineError } from '@plumbline/contracts'
import { readShare } from './read-share.ts'
import type { ReadingFailure } from './read-weights.ts'

await readShare(workerData).catch((error: Error) => {
  const told = error instanceof PlumblineError ? { code: error.code, hint: error.hint } : {}
  parentPort!.postMessage({ ...told, message: error.message } satisfies ReadingFailure)
})
