/**
 * A little assembler for WebAssembly SIMD loops: enough to write an element-wise kernel as an expression, nothing
 * more. Node has no other way to 128-bit arithmetic, and a module made here needs no toolchain and no binary blob.
 * Opcodes: https://webassembly.github.io/spec/core/appendix/index-instructions.html
 */

/** Instructions as bytes. An expression leaves one value on the stack, a statement leaves none. */
export type Code = readonly number[]

const VALUE_TYPES = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const
const VECTOR_BYTES = 16

/** Unsigned LEB128, the format's variable-length integer. */
function unsigned(value: number): number[] {
  const bytes: number[] = []
  do {
    const rest = Math.floor(value / 128)
    bytes.push((value % 128) | (rest > 0 ? 0x80 : 0))
    value = rest
  } while (value > 0)
  return bytes
}

const vector = (opcode: number): Code => [0xfd, ...unsigned(opcode)]
const constantVector = (bytes: readonly number[]): Code => [...vector(0x0c), ...bytes]
const unary = (opcode: Code) => (x: Code) => [...x, ...opcode]
const binary = (opcode: Code) => (x: Code, y: Code) => [...x, ...y, ...opcode]

/** Four float32 at once. */
export const f32x4 = {
  splat: unary(vector(0x13)),
  sqrt: unary(vector(0xe3)),
  add: binary(vector(0xe4)),
  sub: binary(vector(0xe5)),
  mul: binary(vector(0xe6)),
  div: binary(vector(0xe7)),
  zero: constantVector(new Array<number>(VECTOR_BYTES).fill(0)),
  /** Lanes 2 and 3 moved to places 0 and 1. */
  upperHalf: (x: Code): Code => [
    ...x,
    ...x,
    ...vector(0x0d),
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
  ],
}

/** Two float64 at once. */
export const f64x2 = {
  add: binary(vector(0xf0)),
  mul: binary(vector(0xf2)),
  promoteLowF32x4: unary(vector(0x5f)),
  /** Lane 0 + lane 1, a scalar f64. */
  sum: (x: Code): Code => [...x, ...vector(0x21), 0, ...x, ...vector(0x21), 1, 0xa0],
}

/** Four 32-bit integers at once. */
export const i32x4 = {
  splat: (value: number): Code => {
    const bytes = [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff)
    return constantVector([...bytes, ...bytes, ...bytes, ...bytes])
  },
  and: binary(vector(0x4e)),
  xor: binary(vector(0x51)),
  add: binary(vector(0xae)),
  mul: binary(vector(0xb5)),
  /** Zeros come in; fewer than 32 bits. */
  shiftRight: (x: Code, bits: number): Code => [...x, 0x41, bits, ...vector(0xad)],
  /** −1 where it is, else 0; signed. */
  isLess: binary(vector(0x39)),
  /** Sixteen integers from −128 to 127 as bytes; others would become the nearest of these. */
  bytesOf: ([a, b, c, d]: readonly [Code, Code, Code, Code]): Code => {
    const halves = binary(vector(0x85))
    return binary(vector(0x65))(halves(a, b), halves(c, d))
  },
}

/** What a kernel's loop body may use. */
interface LoopScope {
  /** The kernel's scalar `index`, in all four lanes. */
  scalar(index: number): Code
  /** The four elements of operand `slot` at the loop's place. */
  load(slot: number): Code
  store(slot: number, value: Code): Code
  /** The vector at a place of operand `slot` that is the same in every round. */
  constant(slot: number, place: number): Code
  /** A v128 variable; it starts as zero and keeps its value from one round to the next. */
  get(variable: number): Code
  set(variable: number, value: Code): Code
}

/** A loop over operands that lie in memory one after another, `slotBytes` apart. */
export interface LoopKernel {
  readonly scalars: number
  readonly variables: number
  /** The statements of one round: four elements of each operand. */
  body(scope: LoopScope): Code
  /** The f64 that the function returns; without it the function returns 0. */
  result?(scope: LoopScope): Code
}

const localGet = (index: number): Code => [0x20, ...unsigned(index)]
const localSet = (index: number, value: Code): Code => [...value, 0x21, ...unsigned(index)]

/**
 * One kernel as a function `(bytes: i32, …scalars: f32) → f64` that runs over `bytes` bytes of every operand, 16 at a
 * time. Locals: bytes, scalars, offset, the scalars splatted, the kernel's variables.
 */
function assembleFunction(kernel: LoopKernel, slotBytes: number): { type: Code; code: Code } {
  const bytes = 0
  const offset = 1 + kernel.scalars
  const splats = offset + 1
  const variables = splats + kernel.scalars
  const address = (slot: number): Code => [4, ...unsigned(slot * slotBytes)] // alignment 2^4, static offset
  const scope: LoopScope = {
    scalar: (index) => localGet(splats + index),
    load: (slot) => [...localGet(offset), ...vector(0x00), ...address(slot)],
    store: (slot, value) => [...localGet(offset), ...value, ...vector(0x0b), ...address(slot)],
    constant: (slot, place) => [
      ...[0x41, 0], // address 0
      ...vector(0x00),
      ...[4, ...unsigned(slot * slotBytes + place * VECTOR_BYTES)],
    ],
    get: (variable) => localGet(variables + variable),
    set: (variable, value) => localSet(variables + variable, value),
  }
  const splatScalars = Array.from({ length: kernel.scalars }, (_, index) =>
    localSet(splats + index, f32x4.splat(localGet(1 + index))),
  ).flat()
  const loop: Code = [
    ...[0x02, 0x40], // block
    ...[0x03, 0x40], // loop
    ...[...localGet(offset), ...localGet(bytes), 0x4f, 0x0d, 1], // leave the block when offset >= bytes
    ...kernel.body(scope),
    ...localSet(offset, [...localGet(offset), 0x41, VECTOR_BYTES, 0x6a]), // offset += 16
    ...[0x0c, 0, 0x0b, 0x0b], // again; end of loop, end of block
  ]
  const zero: Code = [0x44, 0, 0, 0, 0, 0, 0, 0, 0]
  const locals: Code = [2, 1, VALUE_TYPES.i32, ...unsigned(kernel.scalars + kernel.variables), VALUE_TYPES.v128]
  const body = [...locals, ...splatScalars, ...loop, ...(kernel.result?.(scope) ?? zero), 0x0b]
  const parameters = [VALUE_TYPES.i32, ...new Array<number>(kernel.scalars).fill(VALUE_TYPES.f32)]
  return {
    type: [0x60, ...unsigned(parameters.length), ...parameters, 1, VALUE_TYPES.f64],
    code: [...unsigned(body.length), ...body],
  }
}

const list = (entries: readonly Code[]): Code => [...unsigned(entries.length), ...entries.flat()]
const section = (id: number, content: Code): Code => [id, ...unsigned(content.length), ...content]
const text = (value: string): Code => {
  const bytes = [...new TextEncoder().encode(value)]
  return [...unsigned(bytes.length), ...bytes]
}

/** A module that exports each kernel under its name and works on an imported memory, `world.memory`. */
export function assembleKernels(
  kernels: Readonly<Record<string, LoopKernel>>,
  slotBytes: number,
  pages: number,
): Uint8Array<ArrayBuffer> {
  const names = Object.keys(kernels)
  const functions = names.map((name) => assembleFunction(kernels[name], slotBytes))
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    ...section(1, list(functions.map(({ type }) => type))),
    ...section(2, list([[...text('world'), ...text('memory'), 0x02, 0x00, ...unsigned(pages)]])),
    ...section(3, list(names.map((_, index) => unsigned(index)))),
    ...section(7, list(names.map((name, index) => [...text(name), 0x00, ...unsigned(index)]))),
    ...section(10, list(functions.map(({ code }) => code))),
  ])
}
