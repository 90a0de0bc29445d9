/**
 * Test cases of every op, with its definition in plain float64 loops. A new op without an entry does not compile.
 * Shapes are symbolic; the suite compiles a case once and runs it at each of its sizes.
 */
import type { OpDefinition } from '../graph.ts'
import type { Random } from '../random.ts'
import { type DataType, normalizeAxis, type Shape } from '../shape.ts'
import type { ops } from './table.ts'

interface NdArray {
  readonly data: readonly number[]
  readonly shape: readonly number[]
}

export type Sizes = Readonly<Record<string, number>>

export interface InputSpec {
  readonly shape: Shape
  readonly type?: DataType
  /** The numbers; uniform in [-1.5, 1.5] if absent. */
  readonly values?: (count: number, random: Random, sizes: Sizes) => number[]
}

export interface Case<A> {
  readonly name?: string
  readonly inputs: readonly InputSpec[]
  readonly attributes?: A
  /** Sizes to run at; `standardSizes` if absent. */
  readonly sizes?: readonly Sizes[]
  /** Largest error of the value and between lowerings, relative to the largest number; 2e-6 if absent. */
  readonly tolerance?: number
  /** The same for the gradient; 2e-4 if absent, which is above what finite differences in float32 cost. */
  readonly gradientTolerance?: number
  /** Why finite differences cannot check this case. */
  readonly gradientSkipped?: string
}

export interface OpCases<A> {
  /** The outputs in float64, saved ones too; NaN where any number will do. */
  readonly reference: (inputs: readonly NdArray[], attributes: A, outputShape: readonly number[]) => number[][]
  /** Inputs that gradients are for; none: gradients stop. */
  readonly differentiable: readonly number[]
  readonly cases: readonly Case<A>[]
}

type AttributesOf<Entry> = Entry extends { readonly definition: OpDefinition<infer A> } ? A : never

/** Batch and time: usual, single, more of one, and an empty batch. */
export const standardSizes: readonly Sizes[] = [
  { B: 2, T: 3 },
  { B: 1, T: 1 },
  { B: 3, T: 2 },
  { B: 0, T: 2 },
]

const uniform = (low: number, high: number) => (count: number, random: Random) =>
  Array.from({ length: count }, () => low + (high - low) * random.uniform())
/** Away from 0: for divisors and where two tensors meet at a kink. */
const awayFromZero = (count: number, random: Random) =>
  Array.from({ length: count }, () => (random.uniform() < 0.5 ? -1 : 1) * (0.5 + random.uniform()))
const ids = (below: number) => (count: number, random: Random) =>
  Array.from({ length: count }, () => random.integer(below))

/** N rows in the first N places of a batch, and padding behind them. */
const raggedSizes: readonly Sizes[] = [
  { B: 2, T: 3, N: 4 },
  { B: 1, T: 1, N: 1 },
  { B: 3, T: 2, N: 6 },
]
const raggedSlots: InputSpec = {
  shape: ['B', 'T'],
  type: 'int32',
  values: (count, _, { N }) => Array.from({ length: count }, (_, i) => (i < N ? i : -1)),
}
const raggedRows: InputSpec = {
  shape: ['N'],
  type: 'int32',
  values: (count) => Array.from({ length: count }, (_, i) => i),
}
/** The same with C copies of the first rows behind the N, among them two of one row. */
const sharedSizes: readonly Sizes[] = [
  { B: 2, T: 4, N: 2, C: 3, P: 2 },
  { B: 1, T: 2, N: 1, C: 1, P: 1 },
  { B: 2, T: 3, N: 4, C: 0, P: 0 },
]
const sharedSlots: InputSpec = {
  shape: ['B', 'T'],
  type: 'int32',
  values: (count, _, { N, C }) => Array.from({ length: count }, (_, i) => (i < N ? i : i < N + C ? (i - N) % N : -1)),
}
const copies: InputSpec = {
  shape: ['C'],
  type: 'int32',
  values: (count, _, { N }) => Array.from({ length: count }, (_, i) => N + i),
}
/** The rows that have copies: the first P. */
const copied: InputSpec = {
  shape: ['P'],
  type: 'int32',
  values: (count) => Array.from({ length: count }, (_, i) => i),
}
const copiedAt: InputSpec = {
  shape: [1, 'N'],
  type: 'int32',
  values: (count, _, { P }) => Array.from({ length: count }, (_, i) => (i < P ? i : -1)),
}
const isCopy: InputSpec = {
  shape: ['P', 'C'],
  values: (count, _, { N, C }) => Array.from({ length: count }, (_, i) => ((i % C) % N === Math.floor(i / C) ? 1 : 0)),
}

const float = (shape: Shape, values?: InputSpec['values']): InputSpec => ({ shape, ...(values && { values }) })
const int = (shape: Shape, values: InputSpec['values']): InputSpec => ({ shape, type: 'int32', values })

// ---- plain definitions

const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

/** All positions of a shape, in memory order. */
function positions(shape: readonly number[]): number[][] {
  return Array.from({ length: count(shape) }, (_, flat) => {
    const index = new Array<number>(shape.length)
    let rest = flat
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis]
      rest = Math.floor(rest / shape[axis])
    }
    return index
  })
}

/** The number at a position, with NumPy's broadcasting. */
function at({ data, shape }: NdArray, index: readonly number[]): number {
  const lead = index.length - shape.length
  return data[shape.reduce((flat, size, axis) => flat * size + (size === 1 ? 0 : index[axis + lead]), 0)]
}

const build = (shape: readonly number[], value: (index: number[]) => number) => [positions(shape).map(value)]

/** The rows of the last axis. */
function rowsOf({ data, shape }: NdArray): number[][] {
  const size = shape.at(-1)!
  return Array.from({ length: count(shape.slice(0, -1)) }, (_, i) => data.slice(i * size, (i + 1) * size))
}

const total = (row: readonly number[]) => row.reduce((sum, x) => sum + x, 0)
const sigmoidOf = (x: number) => 1 / (1 + Math.exp(-x))
const logSumExpOf = (row: readonly number[]) => {
  const top = Math.max(...row)
  return top + Math.log(total(row.map((value) => Math.exp(value - top))))
}
const softmaxOf = (row: readonly number[]) => {
  const top = Math.max(...row)
  const powers = row.map((x) => Math.exp(x - top))
  return powers.map((power) => power / total(powers))
}

/** Row slots[i] of x at place i, zeros where it is −1. */
function placedRows([x, slots]: readonly NdArray[]): number[][] {
  const zeros = new Array<number>(x.shape[1]).fill(0)
  return [slots.data.flatMap((slot) => (slot < 0 ? zeros : rowsOf(x)[slot]))]
}

/** x [..., D] turned by the angles of row `position` of the tables. */
function rotate(row: readonly number[], cos: NdArray, sin: NdArray, position: number): number[] {
  const half = row.length / 2
  return row.map((x, i) => {
    const index = [position, i % half]
    return i < half
      ? x * at(cos, index) - row[i + half] * at(sin, index)
      : x * at(cos, index) + row[i - half] * at(sin, index)
  })
}

/** murmur-like hash of the dropout op, in JavaScript's integers. */
function lowbias32(word: number, key = 0): number {
  let x = word
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d) ^ key
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

// ---- families of cases

const vector = float(['B', 'T', 4])
const broadcastPairs = (right: InputSpec['values'], left?: InputSpec['values']) =>
  (
    [
      [
        ['B', 'T', 4],
        ['B', 'T', 4],
      ],
      [['B', 'T', 4], [4]],
      [[4], ['B', 'T', 4]],
      [['B', 'T', 4], []],
      [
        ['B', 1, 4],
        ['T', 1],
      ],
      [
        ['B', 2, 'T', 'T'],
        ['B', 1, 1, 'T'],
      ],
      [
        ['T', 1],
        [1, 'T'],
      ],
    ] satisfies [Shape, Shape][]
  ).map(([a, b]) => ({ name: `[${a}] with [${b}]`, inputs: [float(a, left), float(b, right)] }))

function pairOf(
  f: (a: number, b: number) => number,
  differentiable = [0, 1],
  right?: InputSpec['values'],
  left = right,
) {
  return {
    reference: ([a, b]: readonly NdArray[], _: object, shape: readonly number[]) =>
      build(shape, (index) => f(at(a, index), at(b, index))),
    differentiable,
    cases: broadcastPairs(right, left),
  }
}

function singleOf(f: (x: number) => number, values?: InputSpec['values'], differentiable = [0]) {
  return {
    reference: ([{ data }]: readonly NdArray[]) => [data.map(f)],
    differentiable,
    cases: [
      { name: 'activations', inputs: [float(['B', 'T', 4], values)] },
      { name: 'scalar', inputs: [float([], values)] },
    ],
  }
}

/** Multiples of 1 on the left, of 1 plus a half on the right: never nearer than a half, so no step crosses the kink. */
const apart = (offset: number) => (amount: number, random: Random) =>
  Array.from({ length: amount }, () => random.integer(4) + offset)

const permutationsOf = (axes: number[]): number[][] =>
  axes.length === 0
    ? [[]]
    : axes.flatMap((axis) => permutationsOf(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]))

const rowsWithExtremes = (amount: number, random: Random) =>
  Array.from({ length: amount }, (_, i) => (i % 5 === 0 ? 30 : 0) + random.uniform())

/** A causal and padding bias as models add it; the first row of the batch is masked entirely. */
const maskedRows = (amount: number, random: Random, { T }: Sizes) =>
  Array.from({ length: amount }, (_, i) => (i < T ? -1e9 : i % T > Math.floor(i / T) % T ? -1e9 : random.uniform()))

const equalRows = (amount: number) => Array.from({ length: amount }, (_, i) => 1 + Math.floor(i / 6))
const farFromZero = (amount: number, random: Random) => Array.from({ length: amount }, () => 100 + random.uniform())

const tableAngles = (f: (angle: number) => number) => (amount: number) =>
  Array.from({ length: amount }, (_, i) => f(Math.floor(i / 4) * 10 ** (-(i % 4) / 2)))
const cosTable = float([6, 4], tableAngles(Math.cos))
const sinTable = float([6, 4], tableAngles(Math.sin))

const matmulShapes: [string, Shape, Shape][] = [
  ['vectors', [1, 'T'], ['T', 1]],
  ['matrices', ['B', 3], [3, 5]],
  ['activations by a weight', ['B', 'T', 3], [3, 5]],
  ['heads by a shared matrix', ['B', 2, 'T', 3], [3, 5]],
  ['stacks', ['B', 'T', 3], ['B', 3, 2]],
  ['attention', ['B', 2, 'T', 3], ['B', 2, 3, 'T']],
]
const swapped = (shape: Shape): Shape => [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!]

const matmulCases = matmulShapes.flatMap(([name, a, b]) =>
  [false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      transposeA && b.length === 2 && a.length > 2
        ? []
        : [1, 0.25].map((alpha) => ({
            name: `${name}, ${transposeA ? 'Aᵀ' : 'A'}·${transposeB ? 'Bᵀ' : 'B'} × ${alpha}`,
            inputs: [float(transposeA ? swapped(a) : a), float(transposeB ? swapped(b) : b)],
            attributes: { transposeA, transposeB, alpha },
          })),
    ),
  ),
)

const CAPACITY = 8
const cachedInputs = (isPacked: boolean, isRotary: boolean): InputSpec[] => [
  ...(isPacked ? [(2 + 2) * 16] : [2 * 16, 16, 16]).map((width) => float(['B', 'T', width])),
  float(['B', 1, CAPACITY, 16]),
  float(['B', 1, CAPACITY, 16]),
  // A prompt starts from an empty cache; single tokens follow as many as their sequence has.
  int(['B'], (amount, _, { T }) => Array.from({ length: amount }, (_, i) => (T > 1 ? T - 1 : CAPACITY - 3 - 2 * i))),
  int([1], (_count, _random, { T }) => [T > 1 ? T : CAPACITY - 2]),
  ...(isRotary
    ? [Math.cos, Math.sin].map((f) => float([CAPACITY, 8], (n) => Array.from({ length: n }, (_, i) => f(i / 5))))
    : []),
]

export const cases = {
  add: pairOf((a, b) => a + b),
  sub: pairOf((a, b) => a - b),
  mul: pairOf((a, b) => a * b),
  div: pairOf((a, b) => a / b, [0, 1], awayFromZero),
  maximum: pairOf(Math.max, [0, 1], apart(0.5), apart(0)),
  minimum: pairOf(Math.min, [0, 1], apart(0.5), apart(0)),
  greater: pairOf((a, b) => (a > b ? 1 : 0), [], apart(0)),
  stopGradient: singleOf((x) => x, undefined, []),
  neg: singleOf((x) => -x),
  exp: singleOf(Math.exp),
  log: singleOf(Math.log, uniform(0.5, 3)),
  sqrt: singleOf(Math.sqrt, uniform(0.5, 3)),
  tanh: singleOf(Math.tanh),
  sigmoid: singleOf(sigmoidOf),
  softplus: singleOf((x) => Math.log1p(Math.exp(x)), uniform(-8, 8)),
  silu: singleOf((x) => x * sigmoidOf(x), uniform(-6, 6)),
  geluTanh: singleOf(
    (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    uniform(-4, 4),
  ),

  reshape: {
    reference: ([{ data }]) => [[...data]],
    differentiable: [0],
    cases: [
      { name: 'split heads', inputs: [float(['B', 'T', 6])], attributes: { shape: ['B', 'T', 2, 3] } },
      { name: 'join rows', inputs: [float(['B', 'T', 4])], attributes: { shape: ['B*T', 4] } },
      { name: 'join rows, any order of names', inputs: [vector], attributes: { shape: ['T*B', 4] } },
      { name: 'flatten', inputs: [float(['B', 2, 'T', 3])], attributes: { shape: ['6*B*T'] } },
      { name: 'join inner axes', inputs: [float(['B', 'T', 'T', 2])], attributes: { shape: ['B', 'T*T', 2] } },
      { name: 'new axes of 1', inputs: [float(['B', 'T'])], attributes: { shape: ['B', 1, 1, 'T'] } },
      { name: 'no numbers', inputs: [float([0, 4])], attributes: { shape: [2, 0] }, sizes: [{}] },
    ],
  },
  transpose: {
    reference: ([x], { permutation }, shape) =>
      build(shape, (index) =>
        at(
          x,
          permutation.map((_, axis) => index[permutation.indexOf(axis)]),
        ),
      ),
    differentiable: [0],
    cases: [
      ...permutationsOf([0, 1]).map((permutation) => ({ inputs: [float(['T', 3])], attributes: { permutation } })),
      ...permutationsOf([0, 1, 2]).map((permutation) => ({ inputs: [vector], attributes: { permutation } })),
      ...permutationsOf([0, 1, 2, 3]).map((permutation) => ({
        inputs: [float(['B', 'T', 2, 3])],
        attributes: { permutation },
        sizes: standardSizes.slice(0, 2),
      })),
    ],
  },
  expand: {
    reference: ([x], _, shape) => build(shape, (index) => at(x, index)),
    differentiable: [0],
    cases: [
      { name: 'scalar', inputs: [float([])], attributes: { shape: ['B', 'T'] }, sizes: standardSizes },
      { name: 'new axes', inputs: [float([4])], attributes: { shape: ['B', 'T', 4] } },
      { name: 'grouped keys', inputs: [float(['B', 2, 1, 'T', 3])], attributes: { shape: ['B', 2, 2, 'T', 3] } },
      { name: 'nothing to do', inputs: [vector], attributes: { shape: ['B', 'T', 4] } },
    ],
  },
  sum: {
    reference: ([x], { axes }, shape) => {
      const rank = x.shape.length
      const reduced = axes ? axes.map((axis) => normalizeAxis(axis, rank)) : x.shape.map((_, axis) => axis)
      const kept = x.shape.map((size, axis) => (reduced.includes(axis) ? 1 : size))
      const sums = new Array<number>(count(shape)).fill(0)
      positions(x.shape).forEach((index, i) => {
        sums[kept.reduce((flat, size, axis) => flat * size + (size === 1 ? 0 : index[axis]), 0)] += x.data[i]
      })
      return [sums]
    },
    differentiable: [0],
    cases: [
      { name: 'all', inputs: [vector] },
      { name: 'last', inputs: [vector], attributes: { axes: [-1], keepDims: true } },
      { name: 'time', inputs: [vector], attributes: { axes: [1] } },
      { name: 'batch and time', inputs: [vector], attributes: { axes: [0, 1] } },
      { name: 'inner of attention', inputs: [float(['B', 2, 'T', 'T'])], attributes: { axes: [1, -1] } },
      { name: 'no axis', inputs: [vector], attributes: { axes: [] } },
      { name: 'scalar', inputs: [float([])] },
    ],
  },
  slice: {
    reference: ([x], { axis, start }, shape) => {
      const from = start < 0 ? start + x.shape[normalizeAxis(axis, x.shape.length)] : start
      return build(shape, (index) => {
        const source = [...index]
        source[normalizeAxis(axis, index.length)] += from
        // A sliced axis of size 1 must not be read as broadcast.
        return x.data[source.reduce((flat, position, i) => flat * x.shape[i] + position, 0)]
      })
    },
    differentiable: [0],
    cases: [
      { name: 'half a head', inputs: [vector], attributes: { axis: 2, start: 2, end: 4 } },
      { name: 'from the end', inputs: [vector], attributes: { axis: -1, start: -3, end: -1 } },
      { name: 'all', inputs: [vector], attributes: { axis: 2, start: 0, end: 4 } },
      { name: 'first axis', inputs: [float([3, 'T'])], attributes: { axis: 0, start: 1, end: 2 } },
      { name: 'nothing', inputs: [vector], attributes: { axis: 2, start: 2, end: 2 } },
    ],
  },
  pad: {
    reference: ([x], { axis: anyAxis, before }, shape) => {
      const axis = normalizeAxis(anyAxis, shape.length)
      return build(shape, (index) => {
        const source = index.with(axis, index[axis] - before)
        const isInside = source[axis] >= 0 && source[axis] < x.shape[axis]
        return isInside ? x.data[source.reduce((flat, position, i) => flat * x.shape[i] + position, 0)] : 0
      })
    },
    differentiable: [0],
    cases: [
      { name: 'both sides', inputs: [vector], attributes: { axis: 2, before: 1, after: 2 } },
      { name: 'first axis', inputs: [float([3, 'T'])], attributes: { axis: 0, before: 0, after: 1 } },
      { name: 'from the end', inputs: [vector], attributes: { axis: -1, before: 2, after: 0 } },
      { name: 'nothing', inputs: [vector], attributes: { axis: 2, before: 0, after: 0 } },
    ],
  },
  concat: {
    reference: ([a, b], { axis: anyAxis }, shape) => {
      const axis = normalizeAxis(anyAxis, shape.length)
      const size = a.shape[axis]
      return build(shape, (index) => (index[axis] < size ? at(a, index) : at(b, index.with(axis, index[axis] - size))))
    },
    differentiable: [0, 1],
    cases: [
      { name: 'last', inputs: [vector, float(['B', 'T', 2])], attributes: { axis: -1 } },
      { name: 'middle', inputs: [float(['B', 2, 'T']), float(['B', 1, 'T'])], attributes: { axis: 1 } },
      { name: 'first', inputs: [float([2, 'T']), float([3, 'T'])], attributes: { axis: 0 } },
    ],
  },

  matmul: {
    reference: ([a, b], { transposeA, transposeB, alpha = 1 }, shape) => {
      const inner = a.shape.at(transposeA ? -2 : -1)!
      return build(shape, (index) => {
        const [lead, row, column] = [index.slice(0, -2), index.at(-2)!, index.at(-1)!]
        const leadB = b.shape.length === 2 ? [] : lead
        const products = Array.from({ length: inner }, (_, k) => {
          const x = at(a, [...lead, ...(transposeA ? [k, row] : [row, k])])
          return x * at(b, [...leadB, ...(transposeB ? [column, k] : [k, column])])
        })
        return alpha * total(products)
      })
    },
    differentiable: [0, 1],
    cases: matmulCases,
  },
  matmulAdd: {
    reference: ([a, b, c], { transposeA, transposeB, alpha = 1 }, shape) => {
      const inner = a.shape[transposeA ? 0 : 1]
      const product = build(shape, ([row, column]) => {
        const products = Array.from({ length: inner }, (_, k) => {
          const x = at(a, transposeA ? [k, row] : [row, k])
          return x * at(b, transposeB ? [column, k] : [k, column])
        })
        return alpha * total(products)
      })
      return [product[0].map((value, i) => value + c.data[i])]
    },
    differentiable: [],
    cases: [
      { name: 'a weight', inputs: [float(['T', 3]), float(['T', 4]), float([3, 4])], attributes: { transposeA: true } },
      { name: 'as it is', inputs: [float(['T', 3]), float([3, 4]), float(['T', 4])] },
      {
        name: 'transposed and scaled',
        inputs: [float(['T', 3]), float([4, 3]), float(['T', 4])],
        attributes: { transposeB: true, alpha: 0.5 },
      },
    ],
  },

  softmax: {
    reference: ([x]) => [rowsOf(x).flatMap(softmaxOf)],
    differentiable: [0],
    cases: [
      { name: 'scores', inputs: [float(['B', 2, 'T', 'T'])] },
      { name: 'one choice', inputs: [float(['B', 'T', 1])] },
      { name: 'one row', inputs: [float([5])] },
      {
        name: 'a row masked entirely',
        inputs: [float(['B', 2, 'T', 'T'], maskedRows)],
        gradientSkipped: 'a float32 near -1e9 does not notice a step',
      },
      { name: 'large scores', inputs: [float(['B', 'T', 5], rowsWithExtremes)] },
    ],
  },
  logSoftmax: {
    reference: ([x]) => [rowsOf(x).flatMap((row) => row.map((value) => value - logSumExpOf(row)))],
    differentiable: [0],
    cases: [
      { name: 'logits', inputs: [float(['B', 'T', 7])] },
      { name: 'one choice', inputs: [float(['B', 'T', 1])] },
      { name: 'large logits', inputs: [float(['B', 'T', 5], rowsWithExtremes)] },
    ],
  },
  logSumExp: {
    reference: ([x]) => [rowsOf(x).map(logSumExpOf)],
    differentiable: [0],
    cases: [
      { name: 'logits', inputs: [float(['B', 'T', 7])] },
      { name: 'one choice', inputs: [float(['B', 'T', 1])] },
      { name: 'one row', inputs: [float([5])] },
      { name: 'large logits', inputs: [float(['B', 'T', 5], rowsWithExtremes)] },
    ],
  },
  rmsNorm: {
    reference: ([x, weight], { epsilon }) => {
      const inverse = rowsOf(x).map((row) => 1 / Math.sqrt(total(row.map((v) => v * v)) / row.length + epsilon))
      return [rowsOf(x).flatMap((row, i) => row.map((v, j) => v * inverse[i] * weight.data[j])), inverse]
    },
    differentiable: [0, 1],
    cases: [
      { name: 'activations', inputs: [float(['B', 'T', 6]), float([6])], attributes: { epsilon: 1e-5 } },
      { name: 'per head', inputs: [float(['B', 2, 'T', 4]), float([4])], attributes: { epsilon: 1e-6 } },
      { name: 'equal rows', inputs: [float(['B', 'T', 6], equalRows), float([6])], attributes: { epsilon: 1e-5 } },
      { name: 'one row', inputs: [float([6]), float([6])], attributes: { epsilon: 1e-5 } },
      { name: 'zeros', inputs: [float(['T', 6], (n) => new Array(n).fill(0)), float([6])], attributes: { epsilon: 1 } },
    ],
  },
  layerNorm: {
    reference: ([x, weight, bias], { epsilon }) => {
      const rows = rowsOf(x)
      const means = rows.map((row) => total(row) / row.length)
      const inverses = rows.map(
        (row, i) => 1 / Math.sqrt(total(row.map((v) => (v - means[i]) ** 2)) / row.length + epsilon),
      )
      const value = (v: number, i: number, j: number) => (v - means[i]) * inverses[i] * weight.data[j] + bias.data[j]
      return [rows.flatMap((row, i) => row.map((v, j) => value(v, i, j))), means, inverses]
    },
    differentiable: [0, 1, 2],
    cases: [
      { name: 'activations', inputs: [float(['B', 'T', 6]), float([6]), float([6])], attributes: { epsilon: 1e-5 } },
      { name: 'one row', inputs: [float([6]), float([6]), float([6])], attributes: { epsilon: 1e-5 } },
      {
        // ε = 1 keeps the slope at zero variance, 1/√ε, within reach of a finite step.
        name: 'rows of equal values',
        inputs: [float(['B', 'T', 6], equalRows), float([6]), float([6])],
        attributes: { epsilon: 1 },
      },
      {
        // A float32 near 100 is known to 4e-6, and the norm subtracts the 100.
        name: 'far from zero',
        inputs: [float(['B', 'T', 6], farFromZero), float([6]), float([6])],
        attributes: { epsilon: 1e-5 },
        tolerance: 1e-4,
        gradientTolerance: 5e-3,
      },
    ],
  },

  embedding: {
    reference: ([table, rows]) => [rows.data.flatMap((id) => rowsOf(table)[id])],
    differentiable: [0],
    cases: [
      { name: 'tokens', inputs: [float([7, 3]), int(['B', 'T'], ids(7))] },
      { name: 'one id repeated', inputs: [float([7, 3]), int(['B', 'T'], (n) => new Array(n).fill(4))] },
      { name: 'one token', inputs: [float([7, 3]), int([], ids(7))] },
      { name: 'rows of activations', inputs: [float(['T', 3]), int(['B'], (n) => new Array(n).fill(0))] },
    ],
  },
  scatterAddRows: {
    reference: ([rows, updates, base], _, shape) => {
      const result = base ? [...base.data] : new Array<number>(count(shape)).fill(0)
      rows.data.forEach((id, i) => {
        for (let j = 0; j < shape[1]; j++) result[id * shape[1] + j] += at(updates, [i, j])
      })
      return [result]
    },
    differentiable: [1, 2],
    cases: [
      { name: 'into zeros', inputs: [int(['B'], ids(5)), float(['B', 3])], attributes: { rows: 5 } },
      { name: 'into a base', inputs: [int(['B'], ids(5)), float(['B', 3]), float([5, 3])], attributes: { rows: 5 } },
      {
        name: 'one id repeated',
        inputs: [int(['B*T'], (n) => new Array(n).fill(1)), float(['B*T', 3]), float(['T', 3])],
        attributes: { rows: 'T' },
        sizes: [
          { B: 2, T: 3 },
          { B: 1, T: 2 },
        ],
      },
    ],
  },
  pick: {
    reference: ([x, chosen]) => [rowsOf(x).map((row, i) => row[chosen.data[i]])],
    differentiable: [0],
    cases: [
      { name: 'log-probabilities', inputs: [float(['B', 'T', 5]), int(['B', 'T'], ids(5))] },
      { name: 'one choice', inputs: [float(['B', 1]), int(['B'], ids(1))] },
      { name: 'one row', inputs: [float([5]), int([], ids(5))] },
    ],
  },
  argmax: {
    reference: ([x]) => [rowsOf(x).map((row) => row.indexOf(Math.max(...row)))],
    differentiable: [],
    cases: [
      { name: 'logits', inputs: [float(['B', 'T', 7])] },
      { name: 'one choice', inputs: [float(['B', 'T', 1])] },
      { name: 'one row', inputs: [float([5])] },
      {
        name: 'ties',
        inputs: [float(['B', 'T', 6], (n, random) => Array.from({ length: n }, () => random.integer(2)))],
      },
    ],
  },
  placeLast: {
    reference: ([, chosen, values], _, shape) => {
      const size = shape.at(-1)!
      const result = new Array<number>(count(shape)).fill(0)
      chosen.data.forEach((id, i) => {
        result[i * size + id] = values.data[i]
      })
      return [result]
    },
    differentiable: [2],
    cases: [
      { name: 'logits', inputs: [float(['B', 'T', 5]), int(['B', 'T'], ids(5)), float(['B', 'T'])] },
      { name: 'one row', inputs: [float([5]), int([], ids(5)), float([])] },
    ],
  },

  rope: {
    reference: ([x, cos, sin, at_]) => {
      const [, heads, time] = x.shape
      const position = (row: number) => at_.data[Math.floor(row / (heads * time)) * time + (row % time)]
      return [rowsOf(x).flatMap((row, i) => rotate(row, cos, sin, position(i)))]
    },
    differentiable: [0],
    cases: [
      {
        name: 'positions in order',
        inputs: [float(['B', 2, 'T', 8]), cosTable, sinTable, int(['B', 'T'], (n, _, { T }) => countTo(n, T))],
      },
      {
        name: 'any positions',
        inputs: [float(['B', 1, 'T', 8]), cosTable, sinTable, int(['B', 'T'], ids(6))],
      },
    ],
  },
  cachedAttention: {
    reference: cachedAttentionReference,
    differentiable: [],
    cases: [false, true].flatMap((isRotary) =>
      [false, true].map((isPacked) => ({
        name: `${isRotary ? 'rotary' : 'no positions'}, q, k and v ${isPacked ? 'side by side' : 'apart'}`,
        inputs: cachedInputs(isPacked, isRotary),
        attributes: { heads: 2, keyValueHeads: 1, scale: 0.25, isPacked, isRotary },
        sizes: standardSizes.slice(0, 2).concat({ B: 3, T: 1 }),
      })),
    ),
  },
  addLast: {
    reference: ([base, chosen, values]) => {
      const rows = rowsOf(base)
      chosen.data.forEach((id, i) => {
        rows[i][id] += values.data[i]
      })
      return [rows.flat()]
    },
    differentiable: [0, 2],
    cases: [{ name: 'logits', inputs: [float(['B', 'T', 5]), int(['B', 'T'], ids(5)), float(['B', 'T'])] }],
  },
  tokenLogprobs: {
    reference: ([logits, chosen]) => {
      const all = rowsOf(logits).map((row) => softmaxOf(row).map(Math.log))
      return [all.map((row, i) => row[chosen.data[i]]), all.flat()]
    },
    differentiable: [0],
    cases: [
      { name: 'a batch', inputs: [float(['B', 'T', 5]), int(['B', 'T'], ids(5))] },
      { name: 'one token known', inputs: [float(['B', 1]), int(['B'], ids(1))] },
    ],
  },
  padRows: {
    reference: placedRows,
    differentiable: [0],
    cases: [{ inputs: [float(['N', 3]), raggedSlots, raggedRows], sizes: raggedSizes }],
  },
  spreadRows: {
    reference: placedRows,
    differentiable: [0],
    cases: [
      { inputs: [float(['N', 3]), sharedSlots, raggedRows, copies, copied, copiedAt, isCopy], sizes: sharedSizes },
    ],
  },
  unpadRows: {
    reference: ([x, rows]) => [rows.data.flatMap((row) => rowsOf(x)[row])],
    differentiable: [0],
    cases: [{ inputs: [float(['B', 'T', 3]), raggedRows, raggedSlots], sizes: raggedSizes }],
  },
  dropout: {
    reference: ([x, seed], { rate, salt }) => {
      const key = lowbias32(lowbias32(seed.data[0]) ^ salt)
      const secondKey = lowbias32(key ^ 0x9e3779b9)
      const isKept = (i: number) => lowbias32(i ^ key, secondKey) >= rate * 2 ** 32
      return [x.data.map((value, i) => (isKept(i) ? value / (1 - rate) : 0))]
    },
    differentiable: [0],
    cases: [0.1, 0.5, 0.9].map((rate) => ({
      name: `rate ${rate}`,
      inputs: [vector, { shape: [], type: 'uint32' as const, values: () => [3_000_000_000 + rate * 10] }],
      attributes: { rate, salt: 4_000_000_001 },
    })),
  },
} satisfies { readonly [Name in keyof typeof ops]: OpCases<AttributesOf<(typeof ops)[Name]>> }

function countTo(amount: number, size: number): number[] {
  return Array.from({ length: amount }, (_, i) => i % size)
}

/**
 * Softmax of scaled scores over the keys up to each query's position, of queries that follow the cached ones.
 * What the cache holds past the last position is of no use and left open.
 */
function cachedAttentionReference(
  inputs: readonly NdArray[],
  { heads, scale, isPacked, isRotary }: { heads: number; scale: number; isPacked: boolean; isRotary: boolean },
): number[][] {
  const [pastKeys, pastValues, lastPositions, , cos, sin] = inputs.slice(isPacked ? 1 : 3)
  const projections = inputs.slice(0, isPacked ? 1 : 3).map(rowsOf)
  const [batch, time] = inputs[0].shape
  const [capacity, size] = pastKeys.shape.slice(2)
  const keys = rowsOf(pastKeys)
  const values = rowsOf(pastValues)
  const isUsed = (i: number) => i % capacity <= lastPositions.data[Math.floor(i / capacity)]
  const present = (rows: number[][]) => rows.flatMap((row, i) => (isUsed(i) ? row : row.map(() => Number.NaN)))
  const turn = (row: number[], position: number) => (isRotary ? rotate(row, cos, sin, position) : row)
  const output = Array.from({ length: batch * time }, (_, i) => {
    const [b, t] = [Math.floor(i / time), i % time]
    const position = lastPositions.data[b] + 1 - time + t
    const row = projections.flatMap((rows) => rows[i]) // q, k, v
    const part = (index: number) => row.slice(index * size, (index + 1) * size)
    keys[b * capacity + position] = turn(part(heads), position)
    values[b * capacity + position] = part(heads + 1)
    const known = Array.from({ length: position + 1 }, (_, p) => b * capacity + p)
    return Array.from({ length: heads }, (_, head) => {
      const query = turn(part(head), position)
      const weights = softmaxOf(known.map((p) => scale * total(query.map((x, d) => x * keys[p][d]))))
      return query.map((_, d) => total(known.map((p, k) => weights[k] * values[p][d])))
    }).flat()
  })
  return [output.flat(), present(keys), present(values)]
}
