/** Builds GGUF files by hand, for tests: sound ones and ones that no writer would make. */

/** Little-endian bytes of numbers and texts, as GGUF stores them. */
export const u8 = (value: number) => Buffer.from([value])
export const u16 = (value: number) => Buffer.from(new Uint16Array([value]).buffer)
export const u32 = (value: number) => Buffer.from(new Uint32Array([value]).buffer)
export const u64 = (value: number | bigint) => Buffer.from(new BigUint64Array([BigInt(value)]).buffer)
export const f32 = (value: number) => Buffer.from(new Float32Array([value]).buffer)
export const f64 = (value: number) => Buffer.from(new Float64Array([value]).buffer)
export const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)])
export const key = (name: string, type: number, ...value: Buffer[]) => Buffer.concat([text(name), u32(type), ...value])
export const array = (type: number, ...values: Buffer[]) => Buffer.concat([u32(type), u64(values.length), ...values])
export const tensor = (name: string, dims: (number | bigint)[], type: number, offset: number) =>
  Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)])

export interface GgufParts {
  keys?: Buffer[]
  tensors?: Buffer[]
  data?: Buffer
  version?: number
  /** What the header claims, where that differs from what follows. */
  keyCount?: number | bigint
  tensorCount?: number | bigint
}

/** The bytes of a file of these parts, its weights aligned to 32. */
export function ggufBytes({
  keys = [],
  tensors = [],
  data = Buffer.alloc(0),
  version = 3,
  keyCount = keys.length,
  tensorCount = tensors.length,
}: GgufParts): Buffer {
  const head = Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensorCount), u64(keyCount), ...keys, ...tensors])
  return Buffer.concat([head, Buffer.alloc((32 - (head.length % 32)) % 32), data])
}
