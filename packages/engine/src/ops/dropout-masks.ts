import { assembleKernels, type Code, i32x4, type LoopKernel } from '../optim/simd-assembler.ts'

/**
 * Masks of dropout: a byte for each position, 1 where the hash lowbias32 (C. Wellons,
 * nullprogram.com/blog/2018/07/31) of the position lies below rate · 2^32. It is keyed before its first and its second
 * product by hashes of seed and salt: with the first key alone, masks of two keys would be one another's permutations.
 */
export function fillMask(mask: Uint8Array, seed: number, salt: number, rate: number): void {
  const key = lowbias32(lowbias32(seed) ^ salt)
  const secondKey = lowbias32(key ^ 0x9e3779b9)
  // With the top bit turned, the order of signed integers is that of unsigned ones.
  const limit = Math.round(rate * 2 ** 32) ^ TOP_BIT
  kernel ??= createKernel()
  const { fill, constants, tile } = kernel
  constants.set(
    [key, secondKey, limit].flatMap((value) => [value, value, value, value]),
    LANES,
  )
  for (let start = 0; start < mask.length; start += TILE) {
    constants.set([start, start + 1, start + 2, start + 3])
    const count = Math.min(TILE, mask.length - start)
    fill(count)
    mask.set(tile.subarray(0, count), start)
  }
}

const TOP_BIT = 0x80000000
const FACTORS = [0x7feb352d, 0x846ca68b] as const
const LANES = 4
/** Positions at a time: they stay in the first cache. */
const TILE = 16_384
const PAGE_BYTES = 65_536

/** The same in numbers of JavaScript, for the keys. */
function lowbias32(word: number): number {
  const first = Math.imul(word ^ (word >>> 16), FACTORS[0])
  const second = Math.imul(first ^ (first >>> 15), FACTORS[1])
  return second ^ (second >>> 16)
}

let kernel: ReturnType<typeof createKernel> | undefined

function createKernel() {
  const pages = Math.ceil((2 * TILE) / PAGE_BYTES)
  const memory = new WebAssembly.Memory({ initial: pages })
  const module = new WebAssembly.Module(assembleKernels({ fill: maskKernel }, TILE, pages))
  const { fill } = new WebAssembly.Instance(module, { world: { memory } }).exports as {
    fill: (bytes: number) => number
  }
  // Slot 0 is the mask, slot 1 what is the same in all rounds: see `constant`.
  return { fill, tile: new Uint8Array(memory.buffer, 0, TILE), constants: new Int32Array(memory.buffer, TILE) }
}

/** A round writes 16 bytes: the masks of four vectors of positions. */
const maskKernel: LoopKernel = {
  scalars: 0,
  variables: 2,
  body: ({ store, constant, get, set }) => {
    const [POSITION, WORD] = [0, 1]
    const fold = (bits: number) => set(WORD, i32x4.xor(get(WORD), i32x4.shiftRight(get(WORD), bits)))
    const times = (factor: number) => set(WORD, i32x4.mul(get(WORD), i32x4.splat(factor)))
    const [first, key, secondKey, limit] = [0, 1, 2, 3].map((place) => constant(1, place))
    /** −1 where the position is dropped, in four lanes. */
    const isDropped = (vector: number): Code => [
      ...set(WORD, i32x4.xor(i32x4.add(i32x4.add(get(POSITION), i32x4.splat(LANES * vector)), first), key)),
      ...fold(16),
      ...times(FACTORS[0]),
      ...set(WORD, i32x4.xor(get(WORD), secondKey)),
      ...fold(15),
      ...times(FACTORS[1]),
      ...fold(16),
      ...i32x4.isLess(i32x4.xor(get(WORD), i32x4.splat(TOP_BIT)), limit),
    ]
    const bytes = i32x4.bytesOf([isDropped(0), isDropped(1), isDropped(2), isDropped(3)])
    return [
      ...store(0, i32x4.and(bytes, i32x4.splat(0x01010101))),
      ...set(POSITION, i32x4.add(get(POSITION), i32x4.splat(4 * LANES))),
    ]
  },
}
