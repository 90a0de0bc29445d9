/**
 * Reading safetensors: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes.
 * Format: https://github.com/huggingface/safetensors#format. The file may be hostile: everything the header claims is
 * held against the file before memory is taken.
 */
import { PlumblineError } from '@plumbline/contracts'
import { elementCount, type Parameter } from '@plumbline/engine'
import { findDuplicateKey, isJsonObject, type JsonObject } from './json-file.ts'
import type { StoredWeight } from './read-share.ts'
import { readWeights } from './read-weights.ts'
import { type ByteRange, openTensorFile, type TensorFile } from './tensor-file.ts'

/** A tensor as a safetensors file holds it. */
export interface StoredTensor extends ByteRange {
  readonly name: string
  /** The file's word for the element type, such as `BF16`. */
  readonly dtype: string
  readonly shape: readonly number[]
}

/** An open safetensors file whose header has been checked. */
export interface SafetensorsFile {
  readonly path: string
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of the bytes. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Reads one tensor as float32. Throws TENSOR_MISSING and UNSUPPORTED_DTYPE. */
  readTensor(name: string): Promise<Parameter>
  close(): Promise<void>
}

// The reference implementation's own limit.
const MAX_HEADER_BYTES = 100_000_000

/** Bytes of one element of each type in the format. */
const DTYPE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
}

/** Opens a file and checks its header; no weights are read. Throws SAFETENSORS_CORRUPT and what `openTensorFile` throws. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openTensorFile(path)
  try {
    const { header, dataStart } = await readHeader(file)
    const { __metadata__, ...entries } = header
    const metadata = checkMetadata(path, __metadata__)
    const stored = Object.entries(entries).map(([name, entry]) => checkEntry(file, dataStart, name, entry))
    stored.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)
    checkOverlaps(path, stored)
    const tensors = new Map(stored.map((tensor) => [tensor.name, tensor]))
    const readTensor = async (name: string): Promise<Parameter> => {
      const tensor = tensors.get(name)
      if (!tensor) throw new PlumblineError('TENSOR_MISSING', `${path} holds no tensor ${name}.`)
      return (await readWeights([storedWeight(tensor)])).get(name)!
    }
    return { path, metadata, tensors, readTensor, close: () => file.close() }
  } catch (error) {
    await file.close()
    throw error
  }
}

function corrupt(path: string, what: string, cause?: unknown): PlumblineError {
  const hint = 'Download or copy the file again; if it stays like this, it was written wrongly.'
  return new PlumblineError('SAFETENSORS_CORRUPT', `${path} is not a sound safetensors file: ${what}.`, { hint, cause })
}

async function readHeader(file: TensorFile): Promise<{ header: JsonObject; dataStart: number }> {
  if (file.size < 8) throw corrupt(file.path, `it has ${file.size} bytes, and the header's length alone takes 8`)
  const prefix = new Uint8Array(8)
  await file.read(0, prefix)
  const length = new DataView(prefix.buffer).getBigUint64(0, true)
  if (length > BigInt(file.size - 8)) {
    throw corrupt(file.path, `its header claims ${length} bytes, but only ${file.size - 8} follow`)
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw corrupt(file.path, `its header claims ${length} bytes; at most ${MAX_HEADER_BYTES} are allowed`)
  }
  const bytes = new Uint8Array(Number(length))
  await file.read(8, bytes)
  let text: string
  let header: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    header = JSON.parse(text)
  } catch (cause) {
    throw corrupt(file.path, 'its header is not JSON', cause)
  }
  if (!isJsonObject(header)) throw corrupt(file.path, 'its header is not a JSON object')
  const duplicate = findDuplicateKey(text)
  if (duplicate !== undefined) throw corrupt(file.path, `its header names ${JSON.stringify(duplicate)} twice`)
  return { header, dataStart: 8 + bytes.length }
}

function checkMetadata(path: string, metadata: unknown = {}): Record<string, string> {
  if (!isJsonObject(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    throw corrupt(path, '__metadata__ is not an object of strings')
  }
  return metadata as Record<string, string>
}

function checkEntry(file: TensorFile, dataStart: number, name: string, entry: unknown): StoredTensor {
  const wrong = (what: string) => corrupt(file.path, `tensor ${JSON.stringify(name)} ${what}`)
  if (!isJsonObject(entry)) throw wrong('is not described by an object')
  const { dtype, shape, data_offsets: offsets } = entry
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw wrong(`has the unknown dtype ${JSON.stringify(dtype)}`)
  }
  if (!isSizes(shape)) throw wrong('has a shape that is not a list of sizes')
  if (!isSizes(offsets) || offsets.length !== 2) throw wrong('has data_offsets that are not two places')
  const [begin, end] = offsets
  const byteLength = elementCount(shape) * DTYPE_BYTES[dtype]
  if (end - begin !== byteLength) {
    throw wrong(`has shape [${shape}] of ${dtype}, which takes ${byteLength} bytes, but offsets ${begin} to ${end}`)
  }
  if (dataStart + end > file.size) {
    throw wrong(`ends at byte ${dataStart + end}, outside the file of ${file.size} bytes: the file is cut short`)
  }
  return { name, dtype, shape, file, offset: dataStart + begin, byteLength }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}

function checkOverlaps(path: string, byOffset: readonly StoredTensor[]): void {
  for (let i = 1; i < byOffset.length; i++) {
    const before = byOffset[i - 1]
    if (before.offset + before.byteLength > byOffset[i].offset) {
      throw corrupt(path, `tensors ${before.name} and ${byOffset[i].name} overlap`)
    }
  }
}

/** Ids by `enum ggml_type` of the types that weights are read from. */
const weightFormats: Readonly<Record<string, number>> = { F32: 0, F16: 1, BF16: 30 }

/** A tensor as a weight to be read. Throws UNSUPPORTED_DTYPE for anything but F32, F16 and BF16. */
export function storedWeight(tensor: StoredTensor, name = tensor.name): StoredWeight {
  const { dtype, file, shape, offset, byteLength } = tensor
  if (!Object.hasOwn(weightFormats, dtype)) {
    throw new PlumblineError('UNSUPPORTED_DTYPE', `${file.path}: tensor ${tensor.name} is ${dtype}.`, {
      hint: 'Weights are read from F32, F16 and BF16. Convert or dequantise the model first.',
    })
  }
  const format = weightFormats[dtype]
  return {
    name,
    shape,
    path: file.path,
    fileVersion: file.version,
    offset,
    byteLength,
    format,
    layout: { kind: 'same' },
  }
}
