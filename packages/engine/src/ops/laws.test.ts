import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { gradients } from '../autodiff.ts'
import { Graph, type Tensor } from '../graph.ts'
import { elementCount } from '../parameter.ts'
import { compile, type Feeds, type Program } from '../program.ts'
import type { Shape } from '../shape.ts'
import { rope } from './attention.ts'
import { add, mul, stopGradient } from './elementwise.ts'
import { embedding, pick, placeLast, scatterAddRows } from './indexing.ts'
import { concat, expand, pad, reshape, slice, sum, sumTo, transpose } from './layout.ts'
import { matmul } from './matmul.ts'
import { layerNorm, logSumExp, rmsNorm, softmax } from './normalization.ts'

const programs: Program[] = []
afterAll(() => Promise.all(programs.map((program) => program.dispose())))

/** One program for all runs of a law. */
async function prepared<Key extends string>(graph: Graph, outputs: Record<Key, Tensor>) {
  const program = await compile(graph, outputs, { threads: 1 })
  programs.push(program)
  return async (feeds: Feeds) => {
    const results = await program.run(feeds)
    const list = (key: Key) => Array.from(results[key].data as Float32Array)
    return Object.fromEntries(Object.keys(outputs).map((key) => [key, list(key as Key)])) as Record<Key, number[]>
  }
}

const numbers = (shape: readonly number[], size = 8) =>
  fc
    .array(fc.float({ min: -size, max: size, noNaN: true }), {
      minLength: elementCount(shape),
      maxLength: elementCount(shape),
    })
    .map((list) => ({ data: Float32Array.from(list), shape }))
const sizes = fc.record({ B: fc.integer({ min: 1, max: 4 }), T: fc.integer({ min: 1, max: 5 }) })
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((total, x, i) => total + x * b[i], 0)
const norm = (a: readonly number[]) => Math.sqrt(dot(a, a))
const check = { numRuns: 50 }

test('softmax is positive and sums to one, however large the scores', async () => {
  const graph = new Graph()
  const run = await prepared(graph, { y: softmax(graph.input('x', 'float32', ['B', 5])) })
  await fc.assert(
    fc.asyncProperty(numbers([3, 5], 1e6), async (x) => {
      const { y } = await run({ x })
      for (const row of [y.slice(0, 5), y.slice(5, 10), y.slice(10)]) {
        expect(Math.min(...row)).toBeGreaterThanOrEqual(0)
        expect(row.reduce((total, p) => total + p)).toBeCloseTo(1, 5)
      }
    }),
    check,
  )
})

test('logSumExp is as exact over a vocabulary as over a few scores', async () => {
  const graph = new Graph()
  const size = 49152
  const run = await prepared(graph, { y: logSumExp(graph.input('x', 'float32', ['B', size])) })
  const data = Float32Array.from({ length: 2 * size }, (_, i) => 3 * Math.sin(i * i) + (i < size ? 0 : 25))
  const { y } = await run({ x: { data, shape: [2, size] } })
  for (const row of [0, 1]) {
    const scores = data.subarray(row * size, (row + 1) * size)
    const exact = Math.log(scores.reduce((total, x) => total + Math.exp(x - 28), 0)) + 28
    expect(Math.abs(y[row] - exact) / exact).toBeLessThan(5e-7)
  }
})

test('a row masked entirely stays finite, forward and backward', async () => {
  const graph = new Graph()
  const scores = graph.input('scores', 'float32', ['B', 'T', 'T'])
  const y = softmax(add(scores, graph.input('bias', 'float32', ['B', 1, 'T'])))
  const [gradient] = gradients(sum(mul(y, scores)), [scores]) as Tensor[]
  const run = await prepared(graph, { y, gradient })
  await fc.assert(
    fc.asyncProperty(numbers([2, 3, 3], 50), async (values) => {
      const bias = { data: Float32Array.of(-1e9, -1e9, -1e9, 0, -1e9, 0), shape: [2, 1, 3] }
      const found = await run({ scores: values, bias })
      expect([...found.y, ...found.gradient].every(Number.isFinite)).toBe(true)
      for (let row = 3; row < 6; row++) expect(found.y[row * 3 + 1]).toBe(0)
    }),
    check,
  )
})

test('two transpositions undo each other', async () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', ['B', 'T', 2])
  const there = transpose(x, { permutation: [2, 0, 1] })
  const run = await prepared(graph, { back: transpose(there, { permutation: [1, 2, 0] }) })
  const arbitrary = sizes.chain(({ B, T }) => numbers([B, T, 2]))
  await fc.assert(
    fc.asyncProperty(arbitrary, async (value) => {
      expect((await run({ x: value })).back).toEqual(Array.from(value.data))
    }),
    check,
  )
})

describe('⟨f(x), y⟩ = ⟨x, f*(y)⟩', () => {
  const adjoints: [string, Shape, (x: Tensor, like: Tensor) => Tensor, (y: Tensor, like: Tensor) => Tensor][] = [
    ['expand and sumTo', ['B', 1, 3], (x) => expand(x, { shape: ['T', 'B', 2, 3] }), (y) => sumTo(y, ['B', 1, 3])],
    [
      'slice and pad',
      ['B', 'T', 5],
      (x) => slice(x, { axis: 2, start: 1, end: 3 }),
      (y) => pad(y, { axis: 2, before: 1, after: 2 }),
    ],
    ['pick and placeLast', ['T', 4], pickEach, (y, like) => placeLast(like, idsOf(like), y)],
    [
      'embedding and scatterAddRows',
      ['T', 4],
      gather,
      (y, like) => scatterAddRows(idsOf(like), y, undefined, { rows: 'T' }),
    ],
    [
      'two reshapes',
      ['B', 'T', 6],
      (x) => reshape(x, { shape: ['B*T', 2, 3] }),
      (y) => reshape(y, { shape: ['B', 'T', 6] }),
    ],
  ]
  function idsOf(like: Tensor) {
    return like.graph.inputs.get('ids')!
  }
  function pickEach(x: Tensor) {
    return pick(x, idsOf(x))
  }
  function gather(x: Tensor) {
    return embedding(x, idsOf(x))
  }

  test.each(adjoints)('%s', async (_name, shape, forward, adjoint) => {
    const graph = new Graph()
    graph.input('ids', 'int32', ['T'])
    const x = graph.input('x', 'float32', shape)
    graph.input('batch', 'float32', ['B'])
    const image = forward(x, x)
    const y = graph.input('y', 'float32', image.shape)
    const run = await prepared(graph, { left: sum(mul(image, y)), right: sum(mul(x, adjoint(y, x))) })
    const arbitrary = sizes.chain(({ B, T }) => {
      const concrete = (symbolic: Shape) =>
        symbolic.map((dim) =>
          elementCount(
            String(dim)
              .split('*')
              .map((part) => ({ B, T })[part] ?? Number(part)),
          ),
        )
      return fc.record({
        x: numbers(concrete(shape)),
        y: numbers(concrete(image.shape)),
        batch: numbers([B]),
        ids: fc
          .array(fc.integer({ min: 0, max: Math.min(3, T - 1) }), { minLength: T, maxLength: T })
          .map((list) => ({ data: Int32Array.from(list), shape: [T] })),
      })
    })
    await fc.assert(
      fc.asyncProperty(arbitrary, async (feeds) => {
        const { left, right } = await run(feeds)
        const scale = 1 + norm(Array.from(feeds.x.data)) * norm(Array.from(feeds.y.data)) * 8
        expect(Math.abs(left[0] - right[0])).toBeLessThan(1e-5 * scale)
      }),
      check,
    )
  })
})

test('concat and slice undo each other', async () => {
  const graph = new Graph()
  const [a, b] = [graph.input('a', 'float32', ['T', 2]), graph.input('b', 'float32', ['T', 3])]
  const both = concat(a, b, { axis: 1 })
  const run = await prepared(graph, {
    left: slice(both, { axis: 1, start: 0, end: 2 }),
    right: slice(both, { axis: -1, start: -3, end: 5 }),
  })
  const arbitrary = sizes.chain(({ T }) => fc.record({ a: numbers([T, 2]), b: numbers([T, 3]) }))
  await fc.assert(
    fc.asyncProperty(arbitrary, async (feeds) => {
      const { left, right } = await run(feeds)
      expect([left, right]).toEqual([Array.from(feeds.a.data), Array.from(feeds.b.data)])
    }),
    check,
  )
})

test('rope keeps lengths, and ⟨rope(x, p), rope(y, q)⟩ depends on p − q alone', async () => {
  const graph = new Graph()
  const table = (name: string) => graph.input(name, 'float32', ['S', 3])
  const [cos, sin] = [table('cos'), table('sin')]
  const turned = (name: string) =>
    rope(graph.input(name, 'float32', ['B', 1, 'T', 6]), cos, sin, graph.input(`${name}Position`, 'int32', ['B', 'T']))
  const run = await prepared(graph, { x: turned('a'), y: turned('b') })
  const fill = (f: (angle: number) => number) => ({
    shape: [40, 3],
    data: Float32Array.from({ length: 120 }, (_, i) => f(Math.floor(i / 3) * 20 ** (-(i % 3) / 3))),
  })
  const tables = { cos: fill(Math.cos), sin: fill(Math.sin) }
  const at = (position: number) => ({ data: Int32Array.of(position), shape: [1, 1] })
  const position = fc.integer({ min: 0, max: 19 })
  await fc.assert(
    fc.asyncProperty(
      numbers([1, 1, 1, 6]),
      numbers([1, 1, 1, 6]),
      position,
      position,
      position,
      async (a, b, p, q, d) => {
        const here = await run({ ...tables, a, b, aPosition: at(p), bPosition: at(q) })
        const there = await run({ ...tables, a, b, aPosition: at(p + d), bPosition: at(q + d) })
        const scale = 1 + norm(Array.from(a.data)) * norm(Array.from(b.data))
        expect(Math.abs(norm(here.x) - norm(Array.from(a.data)))).toBeLessThan(1e-4)
        expect(Math.abs(dot(here.x, here.y) - dot(there.x, there.y))).toBeLessThan(1e-5 * scale)
      },
    ),
    check,
  )
})

describe('shapes that do not go together are refused with both named', () => {
  const graph = new Graph()
  const make = (type: 'float32' | 'int32', ...shape: (number | string)[]) => graph.input(`${type}${shape}`, type, shape)
  const [bt4, bt5, five, five4] = [
    make('float32', 'B', 'T', 4),
    make('float32', 'B', 'T', 5),
    make('float32', 5),
    make('float32', 5, 4),
  ]
  const [ids, batch4] = [make('int32', 'T', 'B'), make('float32', 'B', 4)]
  const [heads, times] = [make('float32', 'B', 2, 'T', 4), make('float32', 'T', 1, 4)]
  const [table, tableTooWide] = [make('float32', 9, 2), make('float32', 9, 3)]
  const wrong: [string, () => Tensor, string, string][] = [
    ['add', () => add(bt4, five), '[B, T, 4]', '[5]'],
    ['add of other names', () => add(times, heads), '[T, 1, 4]', '[B, 2, T, 4]'],
    ['reshape', () => reshape(bt4, { shape: ['B', 5] }), '[B, T, 4]', '[B, 5]'],
    ['expand', () => expand(bt4, { shape: ['B', 'T', 5] }), '[B, T, 4]', '[B, T, 5]'],
    ['concat', () => concat(bt4, batch4, { axis: 2 }), '[B, T, 4]', '[B, 4]'],
    ['matmul inside', () => matmul(bt4, five4), '[B, T, 4]', '[5, 4]'],
    ['matmul outside', () => matmul(bt4, heads, { transposeB: true }), '[B, T, 4]', '[B, 2, T, 4]'],
    ['matmul of a vector', () => matmul(bt4, five), '[B, T, 4]', '[5]'],
    ['matmul of a transposed stack', () => matmul(bt4, five4, { transposeA: true }), '[B, T, 4]', '[5, 4]'],
    ['rmsNorm', () => rmsNorm(bt4, five, { epsilon: 1e-5 }), '[B, T, 4]', '[5]'],
    ['layerNorm', () => layerNorm(bt5, five, five4, { epsilon: 1e-5 }), '[B, T, 5]', '[5, 4]'],
    ['embedding', () => embedding(bt4, ids), '[B, T, 4]', '[T, B]'],
    ['pick', () => pick(bt4, ids), '[B, T, 4]', '[T, B]'],
    ['placeLast', () => placeLast(bt4, ids, batch4), '[B, T, 4]', '[T, B]'],
    ['scatterAddRows', () => scatterAddRows(ids, batch4, undefined, { rows: 3 }), '[T, B]', '[B, 4]'],
    ['rope positions', () => rope(heads, table, table, ids), '[B, 2, T, 4]', '[T, B]'],
    ['rope tables', () => rope(heads, table, tableTooWide, ids), '[9, 2]', '[9, 3]'],
  ]
  test.each(wrong)('%s', (_name, apply, one, other) => {
    expect(apply).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }))
    expect(apply).toThrow(one)
    expect(apply).toThrow(other)
  })

  test('an axis that does not exist', () => {
    for (const apply of [
      () => sum(bt4, { axes: [3] }),
      () => slice(bt4, { axis: -4, start: 0, end: 1 }),
      () => slice(bt4, { axis: 2, start: 1, end: 9 }),
      () => pad(bt4, { axis: 1, before: 1, after: 0 }),
      () => transpose(bt4, { permutation: [0, 0, 1] }),
    ])
      expect(apply).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }))
  })

  test('a constant of another shape than its numbers', () => {
    const mismatch = expect.objectContaining({ code: 'SHAPE_MISMATCH' })
    expect(() => graph.constant(Float32Array.of(1, 2))).toThrow(mismatch)
    expect(() => graph.constant(Float32Array.of(1, 2), [3])).toThrow(mismatch)
    expect(() => graph.constant(1, [2])).toThrow(mismatch)
    expect(graph.constant(Float32Array.of(1, 2), [2]).shape).toEqual([2])
  })

  test('tensors of two graphs', () => {
    const stranger = stopGradient(new Graph().input('x', 'float32', [5]))
    expect(() => add(five, stranger)).toThrow(expect.objectContaining({ code: 'GRAPH_MISMATCH' }))
  })
})
