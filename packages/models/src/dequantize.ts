/**
 * The block formats of GGUF, to float32. Layouts: ggml-quants.h and ggml-common.h of llama.cpp; the values equal
 * gguf-py's `gguf.quants.dequantize` bit for bit.
 *
 * The arithmetic runs in double precision and rounds once, when a value is stored. That equals float32 arithmetic here:
 * a scale has 11 significant bits (float16), block scales at most 8, quants at most 8, so every product but Q6_K's last
 * is exact in float32 (and that one rounds once in both), and a sum of two exact products rounds once in both.
 */
import { decodeBF16, decodeF16, decodeF32, float16Values } from './float-formats.ts'

/** How `blockSize` weights are packed into `blockBytes` bytes. */
export interface BlockFormat {
  readonly name: string
  readonly blockSize: number
  readonly blockBytes: number
  /** Decodes all blocks of `bytes` (starting at an even place of its buffer) into `out` from element `at`. */
  decode(bytes: Uint8Array, out: Float32Array, at: number): void
}

const half = (bytes: Uint8Array, at: number): number => float16Values[bytes[at] | (bytes[at + 1] << 8)]

/** d, 16 bytes of two 4-bit quants (low nibbles first): w = d·(q − 8). */
function decodeQ4_0(bytes: Uint8Array, out: Float32Array, at: number): void {
  for (let block = 0; block < bytes.length; block += 18, at += 32) {
    const d = half(bytes, block)
    for (let i = 0; i < 16; i++) {
      const byte = bytes[block + 2 + i]
      out[at + i] = d * ((byte & 15) - 8)
      out[at + 16 + i] = d * ((byte >> 4) - 8)
    }
  }
}

/** d, m, 16 bytes of two 4-bit quants: w = d·q + m. */
function decodeQ4_1(bytes: Uint8Array, out: Float32Array, at: number): void {
  for (let block = 0; block < bytes.length; block += 20, at += 32) {
    const d = half(bytes, block)
    const m = half(bytes, block + 2)
    for (let i = 0; i < 16; i++) {
      const byte = bytes[block + 4 + i]
      out[at + i] = d * (byte & 15) + m
      out[at + 16 + i] = d * (byte >> 4) + m
    }
  }
}

/** d, 32 fifth bits, 16 bytes of two 4-bit quants: w = d·(q − 16). */
function decodeQ5_0(bytes: Uint8Array, out: Float32Array, at: number): void {
  for (let block = 0; block < bytes.length; block += 22, at += 32) {
    const d = half(bytes, block)
    const low = bytes[block + 2] | (bytes[block + 3] << 8)
    const high = bytes[block + 4] | (bytes[block + 5] << 8)
    for (let i = 0; i < 16; i++) {
      const byte = bytes[block + 6 + i]
      out[at + i] = d * (((byte & 15) | (((low >> i) & 1) << 4)) - 16)
      out[at + 16 + i] = d * (((byte >> 4) | (((high >> i) & 1) << 4)) - 16)
    }
  }
}

/** d, m, 32 fifth bits, 16 bytes of two 4-bit quants: w = d·q + m. */
function decodeQ5_1(bytes: Uint8Array, out: Float32Array, at: number): void {
  for (let block = 0; block < bytes.length; block += 24, at += 32) {
    const d = half(bytes, block)
    const m = half(bytes, block + 2)
    const low = bytes[block + 4] | (bytes[block + 5] << 8)
    const high = bytes[block + 6] | (bytes[block + 7] << 8)
    for (let i = 0; i < 16; i++) {
      const byte = bytes[block + 8 + i]
      out[at + i] = d * ((byte & 15) | (((low >> i) & 1) << 4)) + m
      out[at + 16 + i] = d * ((byte >> 4) | (((high >> i) & 1) << 4)) + m
    }
  }
}

/** d, 32 signed bytes: w = d·q. */
function decodeQ8_0(bytes: Uint8Array, out: Float32Array, at: number): void {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let block = 0; block < bytes.length; block += 34, at += 32) {
    const d = half(bytes, block)
    for (let i = 0; i < 32; i++) out[at + i] = d * signed[block + 2 + i]
  }
}

/** The 6-bit scale of sub-block `j` of 8, packed in 12 bytes that start at `p`. */
function kScale(bytes: Uint8Array, p: number, j: number): number {
  return j < 4 ? bytes[p + j] & 63 : (bytes[p + 4 + j] & 15) | ((bytes[p + j - 4] >> 6) << 4)
}

/** The 6-bit minimum of sub-block `j` of 8, packed in the same 12 bytes. */
function kMin(bytes: Uint8Array, p: number, j: number): number {
  return j < 4 ? bytes[p + 4 + j] & 63 : (bytes[p + 4 + j] >> 4) | ((bytes[p + j] >> 6) << 4)
}

/**
 * d, dmin, 12 bytes of scales and minima, for Q5_K 32 bytes of fifth bits (bit j for sub-block j), 128 bytes of quants;
 * 8 sub-blocks of 32: w = d·scale·q − dmin·min.
 */
function decodeQ4OrQ5_K(bytes: Uint8Array, out: Float32Array, at: number, hasFifthBits: boolean): void {
  const fifthBytes = hasFifthBits ? 32 : 0
  for (let block = 0; block < bytes.length; block += 144 + fifthBytes, at += 256) {
    const d = half(bytes, block)
    const dmin = half(bytes, block + 2)
    for (let pair = 0; pair < 4; pair++) {
      const d1 = d * kScale(bytes, block + 4, 2 * pair)
      const m1 = dmin * kMin(bytes, block + 4, 2 * pair)
      const d2 = d * kScale(bytes, block + 4, 2 * pair + 1)
      const m2 = dmin * kMin(bytes, block + 4, 2 * pair + 1)
      const quants = block + 16 + fifthBytes + pair * 32
      const to = at + pair * 64
      for (let i = 0; i < 32; i++) {
        const byte = bytes[quants + i]
        const fifth = hasFifthBits ? bytes[block + 16 + i] >> (2 * pair) : 0
        out[to + i] = d1 * ((byte & 15) | ((fifth & 1) << 4)) - m1
        out[to + 32 + i] = d2 * ((byte >> 4) | ((fifth & 2) << 3)) - m2
      }
    }
  }
}

/** 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, d; 16 sub-blocks of 16: w = d·scale·(q − 32). */
function decodeQ6_K(bytes: Uint8Array, out: Float32Array, at: number): void {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let block = 0; block < bytes.length; block += 210, at += 256) {
    const d = half(bytes, block + 208)
    for (let part = 0; part < 16; part++) {
      const scale = d * signed[block + 192 + part]
      const row = part >> 1 // 32 weights share a shift of both streams
      const column = (part & 1) * 16
      const low = block + (row >> 2) * 64 + (row & 1) * 32 + column
      const high = block + 128 + (row >> 2) * 32 + column
      const lowShift = row & 2 ? 4 : 0
      const highShift = (row & 3) * 2
      const to = at + part * 16
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[low + i] >> lowShift) & 15) | (((bytes[high + i] >> highShift) & 3) << 4)
        out[to + i] = scale * (q - 32)
      }
    }
  }
}

/** Every format that we read, by the id of `enum ggml_type`. */
export const blockFormats: ReadonlyMap<number, BlockFormat> = new Map([
  [0, { name: 'F32', blockSize: 1, blockBytes: 4, decode: decodeF32 }],
  [1, { name: 'F16', blockSize: 1, blockBytes: 2, decode: decodeF16 }],
  [2, { name: 'Q4_0', blockSize: 32, blockBytes: 18, decode: decodeQ4_0 }],
  [3, { name: 'Q4_1', blockSize: 32, blockBytes: 20, decode: decodeQ4_1 }],
  // llama.cpp falls back to Q5_0 and Q5_1 in K-quantised files whose rows are no multiple of 256 (SmolLM2, Qwen2-0.5B).
  [6, { name: 'Q5_0', blockSize: 32, blockBytes: 22, decode: decodeQ5_0 }],
  [7, { name: 'Q5_1', blockSize: 32, blockBytes: 24, decode: decodeQ5_1 }],
  [8, { name: 'Q8_0', blockSize: 32, blockBytes: 34, decode: decodeQ8_0 }],
  [
    12,
    {
      name: 'Q4_K',
      blockSize: 256,
      blockBytes: 144,
      decode: (bytes, out, at) => decodeQ4OrQ5_K(bytes, out, at, false),
    },
  ],
  [
    13,
    { name: 'Q5_K', blockSize: 256, blockBytes: 176, decode: (bytes, out, at) => decodeQ4OrQ5_K(bytes, out, at, true) },
  ],
  [14, { name: 'Q6_K', blockSize: 256, blockBytes: 210, decode: decodeQ6_K }],
  [30, { name: 'BF16', blockSize: 1, blockBytes: 2, decode: decodeBF16 }],
])

// Only for messages: names of formats that we do not read.
const otherFormats: Readonly<Record<number, string>> = {
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
}

/** What to call a ggml type in a message. */
export function formatName(type: number): string {
  return blockFormats.get(type)?.name ?? otherFormats[type] ?? `ggml type ${type}`
}
