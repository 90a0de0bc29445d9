/**
 * One thread's share of reading a model. A thread begins with this file: what it imports takes time before the first
 * weight is read, so the engine is not among it.
 */
import { PlumblineError } from '@plumbline/contracts'
import { type BlockFormat, blockFormats } from './dequantize.ts'
import { type ByteRange, openTensorFile, readChunks, type TensorFile } from './tensor-file.ts'

/** How the rows of a stored matrix become those of the parameter. */
export type Layout = { kind: 'same' } | { kind: 'transposed' } | { kind: 'halves interleaved'; heads: number }

/** A parameter and where its numbers lie. Plain data: other threads get it too. */
export interface StoredWeight {
  /** As it is to be called. */
  readonly name: string
  /** As it is stored; a transposed one is read as [columns, rows]. */
  readonly shape: readonly number[]
  readonly path: string
  /** Of the file whose header was checked. */
  readonly fileVersion: string
  readonly offset: number
  readonly byteLength: number
  /** By `enum ggml_type`, one of `blockFormats`. */
  readonly format: number
  readonly layout: Layout
}

/** A stored weight and the shared memory that its numbers go to. */
export interface ReadingTask {
  readonly weight: StoredWeight
  readonly data: Float32Array<SharedArrayBuffer>
}

export interface ReadingSetup {
  readonly tasks: readonly ReadingTask[]
  /** The next task that nobody has taken. */
  readonly next: Int32Array<SharedArrayBuffer>
}

/** Reads tasks that nobody else has taken until there are none. */
export async function readShare({ tasks, next }: ReadingSetup): Promise<void> {
  const files = new Map<string, TensorFile>()
  try {
    for (let i = Atomics.add(next, 0, 1); i < tasks.length; i = Atomics.add(next, 0, 1)) {
      const { weight, data } = tasks[i]
      const file = files.get(weight.path) ?? (await openTensorFile(weight.path))
      files.set(weight.path, file)
      if (file.version !== weight.fileVersion) throw changed(weight.path)
      await readWeight(file, weight, data)
    }
  } finally {
    await Promise.all([...files.values()].map((file) => file.close()))
  }
}

function changed(path: string): PlumblineError {
  return new PlumblineError('FILE_CHANGED', `${path} changed while it was read.`, {
    hint: 'Wait until nobody writes to it, and run the command again.',
  })
}

/** Reads one weight into `out`, in chunks of a few MB. */
async function readWeight(file: TensorFile, weight: StoredWeight, out: Float32Array<SharedArrayBuffer>): Promise<void> {
  const { offset, byteLength, shape, layout } = weight
  const format = blockFormats.get(weight.format)!
  const range: ByteRange = { file, offset, byteLength }
  // A bias is a matrix of one column here.
  const columns = shape[1] ?? 1
  if (layout.kind === 'transposed') return readTransposed(range, format, shape[0], columns, out)
  if (layout.kind === 'halves interleaved') return readInterleaved(range, format, shape[0] / layout.heads, columns, out)
  if (format.name === 'F32') return file.read(offset, new Uint8Array(out.buffer))
  let at = 0
  for await (const chunk of readChunks(range, format.blockBytes)) {
    format.decode(chunk, out, at)
    at += (chunk.length / format.blockBytes) * format.blockSize
  }
}

/** [rows, columns] → [columns, rows]. */
async function readTransposed(
  range: ByteRange,
  format: BlockFormat,
  rows: number,
  columns: number,
  out: Float32Array,
): Promise<void> {
  const rowBytes = (columns / format.blockSize) * format.blockBytes
  // 16 rows at a time, so that the writes fill whole cache lines.
  const tile = new Float32Array(16 * columns)
  let row = 0
  for await (const chunk of readChunks(range, rowBytes)) {
    for (let at = 0; at < chunk.length; at += 16 * rowBytes) {
      const bytes = chunk.subarray(at, Math.min(chunk.length, at + 16 * rowBytes))
      const tileRows = bytes.length / rowBytes
      format.decode(bytes, tile, 0)
      for (let column = 0; column < columns; column++) {
        const to = column * rows + row
        for (let r = 0; r < tileRows; r++) out[to + r] = tile[r * columns + column]
      }
      row += tileRows
    }
  }
}

/** In each head, stored row 2·i + t (i < half, t < 2) is row t·half + i of the parameter. */
async function readInterleaved(
  range: ByteRange,
  format: BlockFormat,
  headRows: number,
  columns: number,
  out: Float32Array,
): Promise<void> {
  const rowBytes = (columns / format.blockSize) * format.blockBytes
  let row = 0
  for await (const chunk of readChunks(range, rowBytes)) {
    for (let at = 0; at < chunk.length; at += rowBytes, row++) {
      const inHead = row % headRows
      const target = row - inHead + (inHead % 2) * (headRows / 2) + (inHead >> 1)
      format.decode(chunk.subarray(at, at + rowBytes), out, target * columns)
    }
  }
}
