import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface GoldenArray {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

/** Path of a file beside the golden numbers. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

/** Golden arrays by name, from a safetensors file of F32 and I64. It trusts the file: it is ours. */
export function readGolden(name: string): Map<string, GoldenArray> {
  const bytes = readFileSync(goldenPath(name))
  const headerSize = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerSize)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  delete header.__metadata__
  const arrays = Object.entries(header).map(
    ([
      key,
      {
        dtype,
        shape,
        data_offsets: [start, end],
      },
    ]) => {
      const part = bytes.subarray(8 + headerSize + start, 8 + headerSize + end)
      const buffer = part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength)
      const data =
        dtype === 'I64' ? Array.from(new BigInt64Array(buffer), Number) : Array.from(new Float32Array(buffer))
      return [key, { shape, data }] as const
    },
  )
  return new Map(arrays)
}

/** The largest difference between two lists of numbers; infinite where they differ in length or one is no number. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i])
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference
  }
  return largest
}
