import { type FileHandle, open } from 'node:fs/promises'
import { PlumblineError } from '@plumbline/contracts'

/** A file of weights, open for reading at any place. */
export interface TensorFile {
  readonly path: string
  /** Bytes when the file was opened. */
  readonly size: number
  /** Another one when the file is opened again and is another, or was written to. */
  readonly version: string
  /** Fills `target` with the bytes that start at `position`. Throws FILE_TRUNCATED when the file ends before. */
  read(position: number, target: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** A stretch of bytes inside a file of weights. */
export interface ByteRange {
  readonly file: TensorFile
  readonly offset: number
  readonly byteLength: number
}

// Large enough that a read costs little beside its bytes, small enough that two of them do not show in memory.
const CHUNK_BYTES = 1 << 20

/** Opens a file of weights. Throws FILE_NOT_FOUND, FILE_EMPTY or FILE_UNREADABLE. */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const handle = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    const isMissing = cause.code === 'ENOENT' || cause.code === 'ENOTDIR'
    const code = isMissing ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE'
    const message = isMissing ? `There is no file ${path}.` : `${path} cannot be opened: ${cause.message}.`
    throw new PlumblineError(code, message, { hint: 'Check the path and your rights to it.', cause })
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) {
      throw new PlumblineError('FILE_UNREADABLE', `${path} is not a file.`, { hint: 'Give a file of weights.' })
    }
    if (stats.size === 0) {
      throw new PlumblineError('FILE_EMPTY', `${path} is empty.`, { hint: 'Download or copy the file again.' })
    }
    return {
      path,
      size: stats.size,
      version: `${stats.ino} ${stats.size} ${stats.mtimeMs}`,
      read: (at, to) => readExactly(handle, path, at, to),
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function readExactly(handle: FileHandle, path: string, position: number, target: Uint8Array): Promise<void> {
  let done = 0
  while (done < target.length) {
    // Linux moves at most 2 GiB in one read.
    const length = Math.min(target.length - done, 1 << 30)
    const { bytesRead } = await handle.read(target, done, length, position + done)
    if (bytesRead === 0) {
      throw new PlumblineError('FILE_TRUNCATED', `${path} ends at byte ${position + done}, before it should.`, {
        hint: 'The file changed while it was read. Download or copy it again.',
      })
    }
    done += bytesRead
  }
}

/**
 * The bytes of a range in order, in chunks of about 1 MB that hold whole units (`unitBytes` divides the range). The next
 * chunk is read while the caller works on this one; a chunk is valid until the next is asked for.
 */
export async function* readChunks({ file, offset, byteLength }: ByteRange, unitBytes: number) {
  const chunkBytes = Math.min(byteLength, Math.max(1, Math.floor(CHUNK_BYTES / unitBytes)) * unitBytes)
  const buffers = [new Uint8Array(chunkBytes), new Uint8Array(byteLength > chunkBytes ? chunkBytes : 0)]
  const load = async (at: number, turn: number): Promise<Uint8Array> => {
    const chunk = buffers[turn].subarray(0, Math.min(chunkBytes, byteLength - at))
    await file.read(offset + at, chunk)
    return chunk
  }
  let pending: Promise<Uint8Array> | undefined = byteLength > 0 ? load(0, 0) : undefined
  try {
    for (let at = 0, turn = 1; pending; turn = 1 - turn) {
      const chunk: Uint8Array = await pending
      at += chunk.length
      pending = at < byteLength ? load(at, turn) : undefined
      yield chunk
    }
  } finally {
    // A caller that stops early closes the file; the read under way must be over by then.
    await pending?.catch(() => {})
  }
}

/** Whether two ranges hold the same bytes. */
export async function sameBytes(a: ByteRange, b: ByteRange): Promise<boolean> {
  if (a.byteLength !== b.byteLength) return false
  const others = readChunks(b, 1)
  try {
    for await (const chunk of readChunks(a, 1)) {
      const { value: other } = await others.next()
      if (!other || Buffer.compare(chunk, other) !== 0) return false
    }
    return true
  } finally {
    await others.return(undefined)
  }
}
