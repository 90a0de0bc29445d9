import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'

/** No link is followed, and nothing that waits for a writer, as a pipe, is waited for. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Opens a file of a folder that somebody else writes; undefined when there is none. Throws RUN_FILE. */
export async function withPlainFile<T>(path: string, work: (file: FileHandle, size: number) => Promise<T>) {
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw problem(path, error.code === 'ELOOP' ? 'is a link, which is not followed' : `cannot be read: ${error.code}`)
  })
  if (file === undefined) return undefined
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw problem(path, 'is no ordinary file')
    return await work(file, stats.size)
  } finally {
    await file.close()
  }
}

/** The whole text; undefined when there is no such file. Throws RUN_FILE, also when it is larger than `maxBytes`. */
export function readPlainText(path: string, maxBytes: number): Promise<string | undefined> {
  return withPlainFile(path, async (file, size) => {
    if (size > maxBytes) throw problem(path, `has ${size} bytes, more than the ${maxBytes} that are read`)
    return (await readAt(file, 0, size)).toString('utf8')
  })
}

/** The whole lines among the last bytes of a file, and whether there are others before them. */
export async function readLastLines(path: string, bytes: number): Promise<{ lines: string[]; isCut: boolean }> {
  const found = await withPlainFile(path, async (file, size) => {
    const from = Math.max(0, size - bytes)
    // What stands after the last line feed is being written.
    const lines = (await readAt(file, from, size - from))
      .toString('utf8')
      .split('\n')
      .slice(from > 0 ? 1 : 0, -1)
    return { lines, isCut: from > 0 }
  })
  return found ?? { lines: [], isCut: false }
}

/** What there is of so many bytes. */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

/** What a JSON object of somebody else's says; undefined when it is none. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

export function problem(path: string, what: string): PlumblineError {
  return new PlumblineError('RUN_FILE', `${basename(path)} ${what}.`)
}
