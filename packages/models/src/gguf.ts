/**
 * Reading GGUF v2 and v3: a header, key-value metadata, a table of tensors, then their bytes, aligned.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The file may be hostile: every count and length is
 * held against the bytes that are left before memory is taken.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { PlumblineError } from '@plumbline/contracts'
import { elementCount } from '@plumbline/engine'
import { type BlockFormat, blockFormats, formatName } from './dequantize.ts'
import { type ByteRange, openTensorFile, type TensorFile } from './tensor-file.ts'

/** A metadata value. 64-bit integers are bigints only where a number would lose digits. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[]

/** Metadata by key, such as `general.architecture`, in the file's order. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>

/** A tensor of a GGUF file. */
export interface GgufTensor extends ByteRange {
  readonly name: string
  /** By `enum ggml_type`. */
  readonly type: number
  readonly format: BlockFormat
  /** Slowest axis first, as Hugging Face counts; GGUF stores it the other way round. */
  readonly shape: readonly number[]
}

/** An open GGUF file whose metadata and tensor table have been checked. */
export interface GgufFile {
  readonly path: string
  readonly version: number
  readonly metadata: GgufMetadata
  /** In the order of the table. */
  readonly tensors: ReadonlyMap<string, GgufTensor>
  close(): Promise<void>
}

const WINDOW_BYTES = 1 << 20
// Real metadata stays below 30 MB: a vocabulary and its merges.
const MAX_METADATA_BYTES = 64 << 20
// Values in all arrays together, inner arrays counted as values too. A vocabulary of 260,000 tokens with types, scores
// and merges has about a million. One byte in the file costs up to 32 in memory, so bytes alone do not bound it.
const MAX_ARRAY_VALUES = 4e6
const MAX_ARRAY_DEPTH = 4

/** Opens a file and checks all but the weights. Throws GGUF_CORRUPT, UNSUPPORTED_QUANTISATION, and what `openTensorFile` throws. */
export async function openGguf(path: string): Promise<GgufFile> {
  const file = await openTensorFile(path)
  const descriptor = openSync(path, 'r')
  try {
    const cursor = new Cursor(descriptor, path, file.size)
    const { version, tensorCount, keyCount } = readPreamble(cursor)
    const metadata = readMetadata(cursor, keyCount)
    const tensors = readTensorTable(cursor, file, tensorCount, alignmentOf(cursor, metadata))
    return { path, version, metadata, tensors, close: () => file.close() }
  } catch (error) {
    await file.close()
    throw error
  } finally {
    closeSync(descriptor)
  }
}

/** GGUF_CORRUPT, with what is wrong in the file. */
export function corruptGguf(path: string, what: string): PlumblineError {
  return new PlumblineError('GGUF_CORRUPT', `${path} is not a sound GGUF file: ${what}.`, {
    hint: 'Download or copy the file again; if it stays like this, it was written wrongly.',
  })
}

/** Walks a file forward through a window of 1 MB and refuses to step past its end. */
class Cursor {
  readonly path: string
  position = 0
  #arrayValuesLeft = MAX_ARRAY_VALUES
  #descriptor: number
  #size: number
  #window = Buffer.alloc(0)
  #windowStart = 0

  constructor(descriptor: number, path: string, size: number) {
    this.#descriptor = descriptor
    this.path = path
    this.#size = size
  }

  get left(): number {
    return this.#size - this.position
  }

  corrupt(what: string): PlumblineError {
    return corruptGguf(this.path, what)
  }

  /** Steps over `length` bytes; returns where they start in the window. */
  #take(length: number): number {
    if (length > this.left) {
      throw this.corrupt(`it ends at byte ${this.#size}, where ${length} more bytes were due from ${this.position}`)
    }
    if (this.position + length > MAX_METADATA_BYTES) {
      throw this.corrupt(`its metadata takes more than ${MAX_METADATA_BYTES} bytes`)
    }
    if (this.position + length > this.#windowStart + this.#window.length) this.#fill(length)
    const start = this.position - this.#windowStart
    this.position += length
    return start
  }

  #fill(length: number): void {
    const window = Buffer.allocUnsafe(Math.min(Math.max(length, WINDOW_BYTES), this.left))
    for (let done = 0; done < window.length; ) {
      const count = readSync(this.#descriptor, window, done, window.length - done, this.position + done)
      if (count === 0) throw this.corrupt(`it ends at byte ${this.position + done}, inside its metadata`)
      done += count
    }
    this.#window = window
    this.#windowStart = this.position
  }

  // The bytes are taken first: that may move the window.
  #read<T>(bytes: number, read: (window: Buffer, at: number) => T): T {
    const at = this.#take(bytes)
    return read(this.#window, at)
  }

  u8 = () => this.#read(1, (window, at) => window.readUInt8(at))
  i8 = () => this.#read(1, (window, at) => window.readInt8(at))
  u16 = () => this.#read(2, (window, at) => window.readUInt16LE(at))
  i16 = () => this.#read(2, (window, at) => window.readInt16LE(at))
  u32 = () => this.#read(4, (window, at) => window.readUInt32LE(at))
  i32 = () => this.#read(4, (window, at) => window.readInt32LE(at))
  f32 = () => this.#read(4, (window, at) => window.readFloatLE(at))
  u64 = () => this.#read(8, (window, at) => narrow(window.readUInt32LE(at), window.readUInt32LE(at + 4)))
  i64 = () => this.#read(8, (window, at) => narrow(window.readUInt32LE(at), window.readInt32LE(at + 4)))
  f64 = () => this.#read(8, (window, at) => window.readDoubleLE(at))
  bool = () => this.u8() !== 0

  /** A 64-bit count of things that take at least `bytesEach` bytes each. */
  count(of: string, bytesEach: number): number {
    const count = this.u64()
    if (count > this.left / bytesEach) {
      throw this.corrupt(`it claims ${count} ${of}, more than the ${this.left} bytes left can hold`)
    }
    return Number(count)
  }

  /** Claims room for the values of an array before any of them is read. */
  claimArrayValues(count: number, key: string): void {
    this.#arrayValuesLeft -= count
    if (this.#arrayValuesLeft >= 0) return
    throw this.corrupt(`with ${JSON.stringify(key)} its arrays hold more than ${MAX_ARRAY_VALUES} values`)
  }

  string = (): string => {
    const length = this.count('bytes of text', 1)
    return this.#read(length, (window, at) => window.toString('utf8', at, at + length))
  }
}

/** low + 2³²·high, a bigint only where a number would lose digits: bigints are slow, and a vocabulary has 100,000 lengths. */
function narrow(low: number, high: number): number | bigint {
  const value = high * 2 ** 32 + low
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) + BigInt(low)
}

function readPreamble(cursor: Cursor): { version: number; tensorCount: number; keyCount: number } {
  if (cursor.left < 24) throw cursor.corrupt(`it has ${cursor.left} bytes, and the header alone takes 24`)
  // "GGUF"
  if (cursor.u32() !== 0x46554747) throw cursor.corrupt('it does not start with "GGUF"')
  const version = cursor.u32()
  if (version !== 2 && version !== 3) {
    const isBigEndian = version === 0x02000000 || version === 0x03000000
    throw new PlumblineError(
      'GGUF_VERSION',
      `${cursor.path} is ${isBigEndian ? 'a big-endian GGUF file' : `GGUF version ${version}`}.`,
      { hint: 'Versions 2 and 3, little-endian, are read. Convert the model again with a current llama.cpp.' },
    )
  }
  // A tensor's entry takes at least 8 + 4 + 8 + 4 + 8 bytes, a key with its value 8 + 4 + 1.
  const tensorCount = cursor.count('tensors', 32)
  const keyCount = cursor.count('metadata keys', 13)
  return { version, tensorCount, keyCount }
}

const ARRAY = 9

/** Metadata types by id: name, least bytes, reader. Arrays (9) are read by `readArray`. */
const scalars: Readonly<Record<number, { bytes: number; read: (cursor: Cursor) => GgufValue }>> = {
  0: { bytes: 1, read: (cursor) => cursor.u8() },
  1: { bytes: 1, read: (cursor) => cursor.i8() },
  2: { bytes: 2, read: (cursor) => cursor.u16() },
  3: { bytes: 2, read: (cursor) => cursor.i16() },
  4: { bytes: 4, read: (cursor) => cursor.u32() },
  5: { bytes: 4, read: (cursor) => cursor.i32() },
  6: { bytes: 4, read: (cursor) => cursor.f32() },
  7: { bytes: 1, read: (cursor) => cursor.bool() },
  8: { bytes: 8, read: (cursor) => cursor.string() },
  10: { bytes: 8, read: (cursor) => cursor.u64() },
  11: { bytes: 8, read: (cursor) => cursor.i64() },
  12: { bytes: 8, read: (cursor) => cursor.f64() },
}

function readMetadata(cursor: Cursor, keyCount: number): GgufMetadata {
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.string()
    if (metadata.has(key)) throw cursor.corrupt(`its metadata names ${JSON.stringify(key)} twice`)
    metadata.set(key, readValue(cursor, key, cursor.u32(), 0))
  }
  return metadata
}

function readValue(cursor: Cursor, key: string, type: number, depth: number): GgufValue {
  if (type === ARRAY) return readArray(cursor, key, depth + 1)
  const scalar = scalars[type]
  if (!scalar) throw cursor.corrupt(`${JSON.stringify(key)} has the unknown value type ${type}`)
  return scalar.read(cursor)
}

function readArray(cursor: Cursor, key: string, depth: number): readonly GgufValue[] {
  if (depth > MAX_ARRAY_DEPTH) throw cursor.corrupt(`${JSON.stringify(key)} nests more than ${MAX_ARRAY_DEPTH} arrays`)
  const type = cursor.u32()
  // An array inside an array takes at least its type and its count.
  const length = cursor.count(`values in ${JSON.stringify(key)}`, type === ARRAY ? 12 : (scalars[type]?.bytes ?? 1))
  cursor.claimArrayValues(length, key)
  const values: GgufValue[] = []
  for (let i = 0; i < length; i++) values.push(readValue(cursor, key, type, depth))
  return values
}

function alignmentOf(cursor: Cursor, metadata: GgufMetadata): number {
  const alignment = metadata.get('general.alignment') ?? 32
  const isPowerOfTwo = typeof alignment === 'number' && alignment >= 1 && Number.isInteger(Math.log2(alignment))
  if (!isPowerOfTwo || alignment > 1 << 20) {
    throw cursor.corrupt(`general.alignment is ${alignment}, not a power of two up to 1048576`)
  }
  return alignment
}

interface TableEntry {
  name: string
  shape: number[]
  type: number
  offset: number
}

function readTensorTable(cursor: Cursor, file: TensorFile, count: number, alignment: number): Map<string, GgufTensor> {
  const entries: TableEntry[] = []
  for (let i = 0; i < count; i++) entries.push(readTableEntry(cursor, alignment))
  checkFormats(cursor.path, entries)
  const dataStart = Math.ceil(cursor.position / alignment) * alignment
  const tensors = new Map<string, GgufTensor>()
  for (const entry of entries) {
    if (tensors.has(entry.name)) throw cursor.corrupt(`it names tensor ${entry.name} twice`)
    tensors.set(entry.name, placeTensor(cursor, file, dataStart, entry))
  }
  const byOffset = [...tensors.values()].sort((a, b) => a.offset - b.offset)
  for (let i = 1; i < byOffset.length; i++) {
    const before = byOffset[i - 1]
    if (before.offset + before.byteLength > byOffset[i].offset) {
      throw cursor.corrupt(`tensors ${before.name} and ${byOffset[i].name} overlap`)
    }
  }
  return tensors
}

function readTableEntry(cursor: Cursor, alignment: number): TableEntry {
  const name = cursor.string()
  const wrong = (what: string) => cursor.corrupt(`tensor ${JSON.stringify(name)} ${what}`)
  const rank = cursor.u32()
  if (rank < 1 || rank > 4) throw wrong(`has ${rank} axes; 1 to 4 are allowed`)
  const shape: number[] = []
  for (let axis = 0; axis < rank; axis++) shape.unshift(Number(cursor.u64()))
  if (shape.some((size) => size < 1) || !Number.isSafeInteger(elementCount(shape))) {
    throw wrong(`has the impossible shape [${shape}]`)
  }
  const type = cursor.u32()
  const offset = Number(cursor.u64())
  if (offset % alignment !== 0) throw wrong(`starts at ${offset}, not a multiple of the alignment ${alignment}`)
  return { name, shape, type, offset }
}

function checkFormats(path: string, entries: readonly TableEntry[]): void {
  const unreadable = entries.filter(({ type }) => !blockFormats.has(type))
  if (unreadable.length === 0) return
  const names = [...new Set(unreadable.map(({ type }) => formatName(type)))].join(', ')
  const supported = [...blockFormats.values()].map(({ name }) => name).join(', ')
  throw new PlumblineError(
    'UNSUPPORTED_QUANTISATION',
    `${path}: ${unreadable.length} of ${entries.length} tensors are ${names}, first ${unreadable[0].name}.`,
    { hint: `Supported: ${supported}. Take another file of the model, or quantise it again.` },
  )
}

function placeTensor(cursor: Cursor, file: TensorFile, dataStart: number, entry: TableEntry): GgufTensor {
  const { name, shape } = entry
  const format = blockFormats.get(entry.type)!
  const rowLength = shape[shape.length - 1]
  if (rowLength % format.blockSize !== 0) {
    throw cursor.corrupt(`tensor ${name} has rows of ${rowLength}, no multiple of ${format.name}'s ${format.blockSize}`)
  }
  const byteLength = (elementCount(shape) / format.blockSize) * format.blockBytes
  const offset = dataStart + entry.offset
  if (offset + byteLength > file.size) {
    throw cursor.corrupt(`tensor ${name} ends at byte ${offset + byteLength}, outside the file of ${file.size} bytes`)
  }
  return { name, type: entry.type, format, shape, file, offset, byteLength }
}
