import { open } from 'node:fs/promises'
import type { Parameter } from '@plumbline/engine'

/** Writes float32 parameters as one safetensors file, in their order. */
export async function writeSafetensors(path: string, parameters: Iterable<Parameter>): Promise<void> {
  const all = [...parameters]
  const header = safetensorsHeader(all)
  const handle = await open(path, 'w')
  try {
    let position = await writeFully(handle, header, 0)
    for (const { data } of all) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      position = await writeFully(handle, bytes, position)
    }
  } finally {
    await handle.close()
  }
}

/** 8 bytes of length, then JSON padded with spaces so that the tensors start at a multiple of 8. */
function safetensorsHeader(parameters: readonly Parameter[]): Uint8Array {
  let end = 0
  const entries = parameters.map(({ name, shape, data }) => {
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

type Handle = Awaited<ReturnType<typeof open>>

/** Writes all bytes at `position`; returns where they end. */
async function writeFully(handle: Handle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    // Linux moves at most 2 GiB in one write.
    const length = Math.min(bytes.length - done, 1 << 30)
    const { bytesWritten } = await handle.write(bytes, done, length, position + done)
    done += bytesWritten
  }
  return position + bytes.length
}
