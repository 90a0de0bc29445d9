import { chmodSync, mkdirSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { openCluster } from './cluster.ts'
import type { Parameter, Row } from './database.ts'
import { createPeer } from './peer.ts'
import { createQueryWithBytes } from './pglite-bytes.ts'

/** PGlite computes on the thread that calls it: here it holds up nobody. */

export type PgliteMethods = {
  query(sql: string, parameters: readonly Parameter[]): Promise<Row[]>
  close(): Promise<void>
}

const port = parentPort!
const { folder } = workerData as { folder: string | undefined }
if (folder !== undefined) makePrivate(folder)
const opening = open()
opening.catch(() => {}) // every query tells it
const methods: PgliteMethods = {
  query: async (sql, parameters) => {
    const { database, queryWithBytes } = await opening
    try {
      if (parameters.some((value) => value instanceof Uint8Array)) return await queryWithBytes(sql, parameters)
      return (await database.query<Row>(sql, [...parameters])).rows
    } catch (error) {
      if ((error as { severity?: string }).severity === 'PANIC') endWith(error)
      throw error
    }
  },
  close: async () => {
    await opening.then(
      ({ database }) => database.close(),
      () => {},
    )
    // After the answer.
    setImmediate(() => port.close())
  },
}
createPeer({ send: (message) => port.postMessage(message), on: (event, listener) => port.on(event, listener) }, methods)

async function open() {
  const database = await openCluster(folder)
  return { database, queryWithBytes: createQueryWithBytes(database) }
}

/** A PostgreSQL that has given up may compute for ever at its next statement: it gets none. The other thread is told why. */
function endWith(error: unknown): void {
  // After the answer, and before the next call.
  process.nextTick(() => {
    throw error
  })
}

/** PGlite leaves its files to whoever may enter the folder. One that somebody else owns stays as they have set it. */
function makePrivate(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  try {
    chmodSync(path, 0o700)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  }
}
