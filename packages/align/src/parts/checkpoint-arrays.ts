import { createHash } from 'node:crypto'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { PlumblineError } from '@plumbline/contracts'
import { openSafetensors, type StoredTensor } from '@plumbline/models'

/** Size and hash that the file had when it was written. */
export interface ExpectedFile {
  readonly bytes: number
  readonly sha256: string
}

// As for writing: a chunk is hashed while the next is read.
const CHUNK_BYTES = 8 << 20

/**
 * Reads flat float32 arrays and hashes the file in the same pass. Returns undefined when it is not the file that was
 * written. Memory is taken only after the size is right.
 */
export async function readArrays(
  path: string,
  expected: ExpectedFile,
): Promise<Map<string, Float32Array<SharedArrayBuffer>> | undefined> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.size !== expected.bytes) return undefined
  const tensors = await tensorsOf(path)
  if (tensors === undefined) return undefined
  const handle = await open(path, 'r')
  try {
    const sha256 = createHash('sha256')
    const header = new Uint8Array(tensors[0]?.offset ?? stats.size)
    let position = 0
    const read = async (target: Uint8Array) => {
      for await (const chunk of chunksInto(handle, position, target)) sha256.update(chunk)
      position += target.length
    }
    await read(header)
    const arrays = new Map<string, Float32Array<SharedArrayBuffer>>()
    for (const { name, byteLength } of tensors) {
      const data = new Float32Array(new SharedArrayBuffer(byteLength))
      await read(new Uint8Array(data.buffer))
      arrays.set(name, data)
    }
    return position === stats.size && sha256.digest('hex') === expected.sha256 ? arrays : undefined
  } finally {
    await handle.close()
  }
}

/** The tensors in the order of their bytes, when they are float32 without gaps between them. */
async function tensorsOf(path: string): Promise<StoredTensor[] | undefined> {
  try {
    const file = await openSafetensors(path)
    await file.close()
    const tensors = [...file.tensors.values()]
    const isOurs = tensors.every(
      ({ dtype, offset }, i) =>
        dtype === 'F32' && (i === 0 || offset === tensors[i - 1].offset + tensors[i - 1].byteLength),
    )
    return isOurs ? tensors : undefined
  } catch (error) {
    if (error instanceof PlumblineError) return undefined
    throw error
  }
}

/** Fills `target` from `position` on; yields each chunk while the next is being read. */
async function* chunksInto(handle: FileHandle, position: number, target: Uint8Array): AsyncGenerator<Uint8Array> {
  const load = async (at: number): Promise<Uint8Array> => {
    const chunk = target.subarray(at, at + CHUNK_BYTES)
    for (let done = 0; done < chunk.length; ) {
      const { bytesRead } = await handle.read(chunk, done, chunk.length - done, position + at + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return chunk
  }
  let pending = load(0)
  for (let at = CHUNK_BYTES; at - CHUNK_BYTES < target.length; at += CHUNK_BYTES) {
    const chunk = await pending
    pending = load(at)
    yield chunk
  }
  await pending
}
