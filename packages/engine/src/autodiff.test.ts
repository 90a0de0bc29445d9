import { expect, test } from 'vitest'
import { gradients } from './autodiff.ts'
import { Graph, type Tensor } from './graph.ts'
import { add, exp, log, mul, scale, silu, stopGradient, sub, tanh } from './ops/elementwise.ts'
import { embedding, scatterAddRows } from './ops/indexing.ts'
import { sum } from './ops/layout.ts'
import { matmul } from './ops/matmul.ts'
import { logSoftmax, rmsNorm, softmax } from './ops/normalization.ts'
import { compile, type Feeds } from './program.ts'
import { createRandom } from './random.ts'

const random = createRandom(0)
const randomValue = (...shape: number[]) => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((count, size) => count * size, 1) }, () => 2 * random.uniform() - 1),
})
const numbers = (...data: number[]) => ({ shape: [data.length], data: Float32Array.from(data) })

/** The numbers of each output for the feeds. */
async function evaluate<Key extends string>(graph: Graph, outputs: Record<Key, Tensor>, feeds: Feeds) {
  const program = await compile(graph, outputs, { threads: 1 })
  const results = await program.run(feeds)
  await program.dispose()
  return Object.fromEntries(
    Object.entries(results).map(([key, value]) => [key, Array.from((value as Feeds[string]).data as Float32Array)]),
  ) as Record<Key, number[]>
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-5) {
  expect(actual.length).toBe(expected.length)
  actual.forEach((x, i) => {
    expect(Math.abs(x - expected[i])).toBeLessThanOrEqual(tolerance)
  })
}

test('a tensor that is used several times has the sum of its gradients', async () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', [3])
  // x·x + 3x: 2x + 3
  const [dx] = gradients(sum(add(mul(x, x), scale(x, 3))), [x])
  expectClose((await evaluate(graph, { dx: dx! }, { x: numbers(-1, 0, 2) })).dx, [1, 3, 7])
})

test('a gradient by something in the middle', async () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', [2])
  const y = exp(x)
  const [dy, dx] = gradients(sum(mul(y, y)), [y, x]) as Tensor[]
  const found = await evaluate(graph, { dy, dx }, { x: numbers(0, 1) })
  expectClose(found.dy, [2, 2 * Math.E])
  expectClose(found.dx, [2, 2 * Math.E ** 2])
})

test('where the scalar does not depend on a tensor the gradient is undefined', () => {
  const graph = new Graph()
  const [x, y] = ['x', 'y'].map((name) => graph.input(name, 'float32', [2]))
  exp(y) // applied, and part of nothing
  const [dx, dy] = gradients(sum(exp(x)), [x, y])
  expect(dx).toBeDefined()
  expect(dy).toBeUndefined()
})

test('gradients stop at stopGradient and go on around it', async () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', [2])
  expect(gradients(sum(stopGradient(exp(x))), [x])).toEqual([undefined])
  const [dx] = gradients(sum(mul(x, stopGradient(x))), [x])
  expectClose((await evaluate(graph, { dx: dx! }, { x: numbers(2, 5) })).dx, [2, 5])
})

test('the gradient of something that is no scalar is refused', () => {
  const x = new Graph().input('x', 'float32', ['B', 2])
  expect(() => gradients(exp(x), [x])).toThrow(/\[B, 2\].*not a scalar/)
})

test('a tied table has the gradients of embedding and head together, scattered into the dense one', async () => {
  const tied = new Graph()
  const untied = new Graph()
  const build = (graph: Graph, table: Tensor, head: Tensor) => {
    const hidden = tanh(embedding(table, graph.input('ids', 'int32', ['B', 'T']))) // [B, T, D]
    const logProbabilities = logSoftmax(matmul(hidden, head, { transposeB: true })) // [B, T, V]
    return sum(mul(logProbabilities, graph.input('weights', 'float32', ['B', 'T', 5])))
  }
  const table = tied.parameter('table', [5, 3])
  const [together] = gradients(build(tied, table, table), [table]) as Tensor[]
  expect(together.producer?.op).toBe(scatterAddRows.definition)
  expect(together.producer?.inputs.length).toBe(3)
  const [left, right] = [untied.parameter('table', [5, 3]), untied.parameter('head', [5, 3])]
  const [dTable, dHead] = gradients(build(untied, left, right), [left, right]) as Tensor[]

  const feeds = {
    table: randomValue(5, 3),
    weights: randomValue(2, 4, 5),
    ids: { data: Int32Array.of(0, 1, 1, 4, 1, 1, 0, 2), shape: [2, 4] },
  }
  const found = await evaluate(tied, { together }, feeds)
  const apart = await evaluate(untied, { dTable, dHead }, { ...feeds, head: feeds.table })
  expectClose(
    found.together,
    apart.dTable.map((x, i) => x + apart.dHead[i]),
  )
})

test('a table that is read twice has both scatters', async () => {
  const graph = new Graph()
  const table = graph.parameter('table', [3, 1])
  const ids = graph.input('ids', 'int32', [2])
  const twice = add(embedding(table, ids), scale(embedding(table, ids), 10))
  const [gradient] = gradients(sum(twice), [table]) as Tensor[]
  const feeds = { ids: { data: Int32Array.of(2, 2), shape: [2] } }
  expectClose((await evaluate(graph, { gradient }, feeds)).gradient, [0, 0, 22])
})

test('repeated ids add up to the bytes of a serial loop on several threads', async () => {
  const [count, rows, size] = [200_000, 2, 4]
  const graph = new Graph()
  const ids = graph.input('ids', 'int32', ['N'])
  const updates = graph.input('updates', 'float32', ['N', size])
  const program = await compile(graph, { y: scatterAddRows(ids, updates, undefined, { rows }) }, { threads: 2 })
  const feeds = {
    ids: { data: Int32Array.from({ length: count }, () => random.integer(rows)), shape: [count] },
    updates: randomValue(count, size),
  }
  const expected = new Float32Array(rows * size)
  feeds.updates.data.forEach((x, i) => {
    expected[feeds.ids.data[Math.floor(i / size)] * size + (i % size)] += x
  })
  // A lost update is a matter of timing: several runs. On two cores ONNX Runtime's ScatterND fails 40 of 40.
  for (let run = 0; run < 10; run++) expect((await program.run(feeds)).y.data).toEqual(expected)
  await program.dispose()
})

test('a gradient can be differentiated again', async () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', [3])
  const second = (y: Tensor) => gradients(sum(gradients(sum(y), [x])[0]!), [x])[0]!
  const found = await evaluate(
    graph,
    { cube: second(mul(mul(x, x), x)), log: second(log(x)), exp: second(exp(scale(x, 2))) },
    { x: numbers(0.5, 1, 2) },
  )
  expectClose(found.cube, [3, 6, 12])
  expectClose(found.log, [-4, -1, -0.25], 1e-4)
  expectClose(found.exp, [4 * Math.E, 4 * Math.E ** 2, 4 * Math.E ** 4], 1e-4)
})

test('Hessian times vector = difference of gradients, through matmul, softmax, silu and embedding', async () => {
  const graph = new Graph()
  const table = graph.parameter('table', [4, 3])
  const weight = graph.parameter('weight', [3, 4])
  const direction = graph.input('direction', 'float32', [4, 3])
  const rows = embedding(table, graph.input('ids', 'int32', ['N']))
  const attended = matmul(softmax(matmul(rows, rows, { transposeB: true })), rows)
  const loss = sum(mul(logSoftmax(matmul(silu(attended), weight)), sub(matmul(rows, weight), graph.constant(1))))
  const [gradient] = gradients(loss, [table]) as Tensor[]
  const [product] = gradients(sum(mul(gradient, direction)), [table]) as Tensor[]
  const feeds = {
    table: randomValue(4, 3),
    weight: randomValue(3, 4),
    direction: randomValue(4, 3),
    ids: { data: Int32Array.of(0, 3, 1, 3, 2), shape: [5] },
  }
  const step = 1 / 128
  const moved = (sign: number) => ({
    shape: [4, 3],
    data: feeds.table.data.map((x, i) => x + sign * step * feeds.direction.data[i]),
  })
  const found = await evaluate(graph, { product }, feeds)
  const high = await evaluate(graph, { gradient }, { ...feeds, table: moved(1) })
  const low = await evaluate(graph, { gradient }, { ...feeds, table: moved(-1) })
  const expected = high.gradient.map((x, i) => (x - low.gradient[i]) / (2 * step))
  expectClose(found.product, expected, 1e-3 * Math.max(...expected.map(Math.abs)))
})

test('a second derivative that would be wrong is refused', () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', ['B', 4])
  const [dx] = gradients(sum(exp(rmsNorm(x, graph.parameter('weight', [4]), { epsilon: 1e-5 }))), [x]) as Tensor[]
  expect(() => gradients(sum(mul(dx, dx)), [x])).toThrow(expect.objectContaining({ code: 'GRADIENT_MISSING' }))
})
