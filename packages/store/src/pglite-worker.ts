import { chmodSync, mkdirSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import type { Parameter, Row } from './database.ts'
import { createQueryWithBytes } from './pglite-bytes.ts'

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
const database = new PGlite({ dataDir: folder })
const queryWithBytes = createQueryWithBytes(database)
/** PGlite leaves its files to whoever may enter the folder. One that somebody else owns stays as they have set it. */
function makePrivate(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  try {
    chmodSync(path, 0o700)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
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
    post({ id: request.id, rows: await run(request) })
  } catch (error) {
    const { message, code } = error as Error & { code?: string }
    post({ id: request.id, failure: { message, code } })
  }
})

async function run({ sql, parameters }: { sql: string; parameters: readonly Parameter[] }): Promise<Row[]> {
  if (parameters.some((value) => value instanceof Uint8Array)) return queryWithBytes(sql, parameters)
  return (await database.query<Row>(sql, [...parameters])).rows
}

function post(reply: WorkerReply): void {
  port.postMessage(reply)
}
