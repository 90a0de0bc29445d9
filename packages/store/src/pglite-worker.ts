import { chmodSync, mkdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import type { Parameter, Row } from './database.ts'

/** PGlite computes on the thread that calls it: here it holds up nobody. */

export type WorkerRequest =
  | { readonly id: number; readonly sql: string; readonly parameters: readonly Parameter[] }
  | { readonly id: number; readonly close: true }

export type WorkerReply =
  | { readonly id: number; readonly rows: Row[] }
  | { readonly id: number; readonly failure: { readonly message: string; readonly code: string | undefined } }

const port = parentPort!
const { folder } = workerData as { folder: string | undefined }
if (folder !== undefined) makePrivate(folder)
const textType = 25
const database = new PGlite({
  dataDir: folder,
  // It takes bytes as they are, whatever its types say.
  serializers: { [textType]: (value) => (value instanceof Uint8Array ? value : String(value)) as string },
})
// Everybody waits for the start of the database.
void database.waitReady.then(giveWay, () => {})

/** PGlite leaves its files to whoever may enter the folder. One that somebody else owns stays as they have set it. */
function makePrivate(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  try {
    chmodSync(path, 0o700)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  }
}

/**
 * Of this thread alone, which Linux allows: answers come before the records of earlier ones, which are safe in the spool.
 */
function giveWay(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(Math.min(19, getPriority() + 10))
  } catch {
    // Where a sandbox forbids it, all threads are equals.
  }
}

port.on('message', async (request: WorkerRequest) => {
  try {
    if ('close' in request) {
      await database.close()
      post({ id: request.id, rows: [] })
      port.close()
      return
    }
    const { rows } = await database.query<Row>(request.sql, [...request.parameters])
    post({ id: request.id, rows })
  } catch (error) {
    const { message, code } = error as Error & { code?: string }
    post({ id: request.id, failure: { message, code } })
  }
})

function post(reply: WorkerReply): void {
  port.postMessage(reply)
}
