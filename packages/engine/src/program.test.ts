import { expect, test } from 'vitest'
import { compileGradients } from './gradient-program.ts'
import { Graph } from './graph.ts'
import { mul, scale } from './ops/elementwise.ts'
import { expand, reshape, sum } from './ops/layout.ts'
import { matmul } from './ops/matmul.ts'
import { createComputePool } from './optim/compute-pool.ts'
import type { GradientMap } from './optim/gradients.ts'
import { createParameter } from './parameter.ts'
import { compile } from './program.ts'

test('an output is written where it is to be, and ONNX Runtime’s binding makes no copy of it', async () => {
  const graph = new Graph()
  const program = await compile(graph, { doubled: scale(graph.input('x', 'float32', ['N']), 2) })
  const numbers = Float32Array.from({ length: 2 ** 20 }, (_, i) => i)
  const x = { data: numbers, shape: [numbers.length] }
  const doubled = { data: new Float32Array(numbers.length), shape: [numbers.length] }
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 10; i++) {
    numbers[1000] = i
    await program.run({ x }, { into: { doubled }, frees: i % 2 === 0 })
    expect(doubled.data[1000]).toBe(2 * i)
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(numbers.byteLength)
  await program.dispose()
})

test('gradients of a program that is gone are written again where name and size are the same', async () => {
  const pool = createComputePool()
  const programOf = (size: number, reuse?: GradientMap) => {
    const graph = new Graph()
    const weight = createParameter('w', [size])
    const w = graph.parameter('w', [size])
    return compileGradients(scale(sum(mul(w, w)), 0.25), new Map([['w', weight]]), { pool, reuse })
  }
  const first = await programOf(4)
  await first.run({ w: { data: Float32Array.of(1, 2, 3, 4), shape: [4] } })
  const second = await programOf(4, first.gradients)
  expect(second.gradients.get('w')).toBe(first.gradients.get('w'))
  await second.run({ w: { data: Float32Array.of(2, 2, 2, 2), shape: [4] } })
  expect([...second.gradients.get('w')!]).toEqual([1, 1, 1, 1])
  const larger = await programOf(5, first.gradients)
  expect(larger.gradients.get('w')).toHaveLength(5)
  for (const program of [first, second, larger]) await program.dispose()
})

test('an output has the sizes of what is fed, also of an input that it does not need', async () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', ['N', 2])
  graph.input('y', 'float32', ['M'])
  const flat = reshape(x, { shape: ['2*N'] })
  const products = graph.input('products', 'float32', [1, 'A*B'])
  const twice = reshape(matmul(graph.constant(Float32Array.of(1, 1), [2, 1]), products), { shape: ['2*A*B'] })
  const program = await compile(graph, {
    flat,
    twice,
    ones: expand(graph.constant(1), { shape: ['M'] }),
    total: sum(flat),
  })
  const feed = (count: number) => ({ data: Float32Array.from({ length: count }, (_, i) => i), shape: [count] })
  for (const size of [3, 1, 0]) {
    const feeds = { x: { ...feed(size * 2), shape: [size, 2] }, y: feed(2), products: { ...feed(6), shape: [1, 6] } }
    const { flat, twice, ones, total } = await program.run(feeds)
    expect(twice.shape).toEqual([12])
    expect(flat).toEqual(feed(size * 2))
    expect(ones).toEqual({ data: Float32Array.of(1, 1), shape: [2] })
    expect(total).toEqual({ data: Float32Array.of(size && size * (2 * size - 1)), shape: [] })
  }
  await program.dispose()
})

test('no number is taken for an array among the constants', () => {
  const graph = new Graph()
  for (const count of [0, 1, 2]) {
    graph.constant(Float32Array.of(7, 7), [2])
    expect(graph.constant(count).shape).toEqual([])
  }
})
