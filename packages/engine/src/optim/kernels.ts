import { assembleKernels, f32x4, f64x2, type LoopKernel } from './simd-assembler.ts'

/** float32 in shared memory: every thread sees the same values. */
export type SharedFloats = Float32Array<SharedArrayBuffer>

interface Kernel extends LoopKernel {
  /** Operands 0 … reads − 1 are copied in. */
  readonly reads: number
  /** Operands that are copied back. */
  readonly writes: readonly number[]
}

const { add, sub, mul, div, sqrt } = f32x4

/**
 * AdamW as torch.optim.AdamW computes it. Operands: parameter, gradient, first moment, second moment. Scalars:
 * 0 gradient scale, 1 decay factor 1 − lr·wd, 2 1 − b1, 3 b2, 4 1 − b2, 5 1/√(1 − b2ᵗ), 6 epsilon, 7 −lr/(1 − b1ᵗ).
 */
const adamw: Kernel = {
  reads: 4,
  writes: [0, 2, 3],
  scalars: 8,
  variables: 3,
  body: ({ load, store, scalar, get, set }) => [
    ...set(0, mul(load(1), scalar(0))), // g
    ...set(1, add(load(2), mul(sub(get(0), load(2)), scalar(2)))), // m += (1 − b1)(g − m)
    ...store(2, get(1)),
    ...set(2, add(mul(load(3), scalar(3)), mul(mul(get(0), get(0)), scalar(4)))), // v = b2·v + (1 − b2)·g²
    ...store(3, get(2)),
    // p = p·(1 − lr·wd) − lr/(1 − b1ᵗ) · m / (√v / √(1 − b2ᵗ) + ε)
    ...store(
      0,
      add(mul(load(0), scalar(1)), div(mul(get(1), scalar(7)), add(mul(sqrt(get(2)), scalar(5)), scalar(6)))),
    ),
  ],
}

/** into += scale · from. */
const addScaled: Kernel = {
  reads: 2,
  writes: [0],
  scalars: 1,
  variables: 0,
  body: ({ load, store, scalar }) => store(0, add(load(0), mul(load(1), scalar(0)))),
}

/** x *= scale. */
const scale: Kernel = {
  reads: 1,
  writes: [0],
  scalars: 1,
  variables: 0,
  body: ({ load, store, scalar }) => store(0, mul(load(0), scalar(0))),
}

/** x = 0, whatever it was: scaling by 0 would keep a NaN. */
const zero: Kernel = {
  reads: 0,
  writes: [0],
  scalars: 0,
  variables: 0,
  body: ({ store }) => store(0, f32x4.zero),
}

/** Σ x² in float64: no float32 square overflows there, and 135 M terms lose nothing that matters. */
const sumSquares: Kernel = {
  reads: 1,
  writes: [],
  scalars: 0,
  variables: 4,
  body: ({ load, get, set }) => [
    ...set(0, f64x2.promoteLowF32x4(load(0))),
    ...set(1, f64x2.promoteLowF32x4(f32x4.upperHalf(load(0)))),
    ...set(2, f64x2.add(get(2), f64x2.mul(get(0), get(0)))),
    ...set(3, f64x2.add(get(3), f64x2.mul(get(1), get(1)))),
  ],
  result: ({ get }) => f64x2.sum(f64x2.add(get(2), get(3))),
}

const kernelTable = { adamw, addScaled, scale, zero, sumSquares } satisfies Record<string, Kernel>

export type KernelName = keyof typeof kernelTable

/** Elements that a kernel works on at a time: four operands of 32 kB stay in the second-level cache. */
const TILE = 8192
const TILE_BYTES = TILE * 4
const SLOTS = 4
const PAGE_BYTES = 65536

/** The kernels of one thread. Not to be shared: they own a scratch memory. */
export interface Kernels {
  /**
   * Runs kernel `name` over elements `from` … `to − 1` of the operands and writes back those it changes. Returns the
   * kernel's sum, 0 for a kernel without one. The result depends on the elements alone, not on who runs it.
   */
  run(name: KernelName, operands: readonly Buffer[], scalars: readonly number[], from: number, to: number): number
}

/**
 * Weights live in many buffers, a WebAssembly function sees one memory. So each tile is copied into scratch memory,
 * worked on in cache and copied back. `Buffer.copy` because `TypedArray.set` is slower on shared memory: 193 ms a step
 * instead of 139 (docs/decisions/0003-optimizer-threads.md).
 */
export function createKernels(): Kernels {
  const pages = Math.ceil((SLOTS * TILE_BYTES) / PAGE_BYTES)
  const memory = new WebAssembly.Memory({ initial: pages })
  const module = new WebAssembly.Module(assembleKernels(kernelTable, TILE_BYTES, pages))
  const functions = new WebAssembly.Instance(module, { world: { memory } }).exports as Record<
    KernelName,
    (bytes: number, ...scalars: number[]) => number
  >
  const slots = Array.from({ length: SLOTS }, (_, slot) => Buffer.from(memory.buffer, slot * TILE_BYTES, TILE_BYTES))
  return {
    run(name, operands, scalars, from, to) {
      const { reads, writes } = kernelTable[name]
      let sum = 0
      for (let start = from; start < to; start += TILE) {
        const begin = start * 4
        const end = Math.min(start + TILE, to) * 4
        const bytes = end - begin
        for (let slot = 0; slot < reads; slot++) operands[slot].copy(slots[slot], 0, begin, end)
        // the last vector reads past the end: zeros there add nothing to a sum
        const vectorEnd = Math.ceil(bytes / 16) * 16
        if (vectorEnd > bytes) for (let slot = 0; slot < reads; slot++) slots[slot].fill(0, bytes, vectorEnd)
        sum += functions[name](bytes, ...scalars)
        for (const slot of writes) slots[slot].copy(operands[slot], begin, 0, bytes)
      }
      return sum
    },
  }
}
