import { type FileHandle, open } from 'node:fs/promises'

/** A float32 tensor on its way to a file; a `Parameter` is one. */
export interface TensorToWrite {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array
}

export interface WriteSafetensorsOptions {
  /** Sees all bytes of the file in order, while they are written. */
  onBytes?: (bytes: Uint8Array) => void
  /** Returns only after the bytes are on the disk. */
  sync?: boolean
}

// Small enough that hashing a chunk and writing it run side by side, large enough that a call costs nothing beside it.
const CHUNK_BYTES = 8 << 20

/** Writes float32 tensors as one safetensors file, in their order. Nothing is copied. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  { onBytes, sync = false }: WriteSafetensorsOptions = {},
): Promise<void> {
  const all = [...tensors]
  const handle = await open(path, 'w')
  try {
    let position = await writeFully(handle, safetensorsHeader(all), 0, onBytes)
    for (const { data } of all) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      position = await writeFully(handle, bytes, position, onBytes)
    }
    if (sync) await handle.sync()
  } finally {
    await handle.close()
  }
}

/** 8 bytes of length, then JSON padded with spaces so that the tensors start at a multiple of 8. */
function safetensorsHeader(tensors: readonly TensorToWrite[]): Uint8Array {
  let end = 0
  const entries = tensors.map(({ name, shape, data }) => {
    const begin = end
    end += data.byteLength
    return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }] as const
  })
  // transformers refuses files that do not say which framework's layout they have.
  const json = JSON.stringify(Object.fromEntries([['__metadata__', { format: 'pt' }], ...entries]))
  const text = Buffer.from(json)
  const length = Math.ceil(text.length / 8) * 8
  const header = Buffer.alloc(8 + length, ' ')
  header.writeBigUInt64LE(BigInt(length), 0)
  text.copy(header, 8)
  return header
}

/** Writes all bytes at `position`; returns where they end. */
async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
  onBytes: ((bytes: Uint8Array) => void) | undefined,
): Promise<number> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const chunk = bytes.subarray(at, at + CHUNK_BYTES)
    const writing = writeChunk(handle, chunk, position + at)
    onBytes?.(chunk)
    await writing
  }
  return position + bytes.length
}

/** A file system may take fewer bytes than it was given. */
async function writeChunk(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done)
    done += bytesWritten
  }
}
