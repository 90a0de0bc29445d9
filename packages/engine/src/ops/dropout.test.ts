import { afterAll, expect, test } from 'vitest'
import { gradients } from '../autodiff.ts'
import { Graph, type Tensor } from '../graph.ts'
import { compile, type Program } from '../program.ts'
import { dropout } from './dropout.ts'
import { reshape, sum } from './layout.ts'
import { cases } from './table.cases.ts'

const COUNT = 100_000
const RATE = 0.1
const programs: Program[] = []
afterAll(() => Promise.all(programs.map((program) => program.dispose())))

async function prepare(build: (x: Tensor, seed: Tensor) => Record<string, Tensor>, threads = 1) {
  const graph = new Graph()
  const program = await compile(
    graph,
    build(graph.input('x', 'float32', ['B', 'T']), graph.input('seed', 'uint32', [])),
    { threads },
  )
  programs.push(program)
  return async (seed: number, x = new Float32Array(COUNT).fill(1), shape = [x.length / 100, 100]) => {
    const results = await program.run({ x: { data: x, shape }, seed: { data: Uint32Array.of(seed), shape: [] } })
    return Object.fromEntries(Object.entries(results).map(([key, { data }]) => [key, data as Float32Array]))
  }
}

const isKept = (y: Float32Array) => Array.from(y, (value) => (value === 0 ? 0 : 1))
const mean = (list: ArrayLike<number>) => Array.from(list).reduce((total, x) => total + x, 0) / list.length

/** Correlation of two masks whose numbers are kept with probability 1 − RATE; its standard error is 1/√n. */
function correlation(a: readonly number[], b: readonly number[]): number {
  return mean(a.map((x, i) => (x - 1 + RATE) * (b[i] - 1 + RATE))) / (RATE * (1 - RATE))
}

test.each([0.05, 0.1, 0.5, 0.9])('rate %s: as many zeros as a binomial has, and the mean is kept', async (rate) => {
  const run = await prepare((x, seed) => ({ y: dropout(x, seed, { rate, salt: 1 }) }))
  const standardError = Math.sqrt((rate * (1 - rate)) / COUNT)
  for (const seed of [0, 1, 2 ** 32 - 1]) {
    const { y } = await run(seed)
    expect(Math.abs(1 - mean(isKept(y)) - rate)).toBeLessThan(4 * standardError)
    expect(Math.abs(mean(y) - 1)).toBeLessThan((4 * standardError) / (1 - rate))
    expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / Math.fround(1 - rate))]))
  }
})

test('masks of other seeds, other salts and shifted places are independent', async () => {
  const run = await prepare((x, seed) => ({
    a: dropout(x, seed, { rate: RATE, salt: 0 }),
    b: dropout(x, seed, { rate: RATE, salt: 1 }),
    c: dropout(x, seed, { rate: RATE, salt: 2 ** 31 }),
  }))
  const [first, second] = [await run(0), await run(1)]
  const masks = [...Object.values(first), ...Object.values(second)].map(isKept)
  masks.forEach((mask, i) => {
    for (const other of masks.slice(i + 1))
      expect(Math.abs(correlation(mask, other))).toBeLessThan(4.5 / Math.sqrt(COUNT))
    for (const shift of [1, 2, 100, 1024]) {
      const moved = [...mask.slice(shift), ...mask.slice(0, shift)]
      expect(Math.abs(correlation(mask, moved))).toBeLessThan(4.5 / Math.sqrt(COUNT))
    }
  })
})

test('the same seed gives the same bytes, in a new program and on several threads', async () => {
  const build = (x: Tensor, seed: Tensor) => ({ y: dropout(x, seed, { rate: 0.3, salt: 5 }) })
  const [one, other] = [await prepare(build), await prepare(build, 4)]
  const { y } = await one(77)
  expect((await other(77)).y).toEqual(y)
  expect((await one(77)).y).toEqual(y)
  expect((await one(78)).y).not.toEqual(y)
})

test('a position keeps its mask whatever the batch', async () => {
  const run = await prepare((x, seed) => ({ y: dropout(x, seed, { rate: 0.5, salt: 0 }) }))
  const { y } = await run(3)
  const few = await run(3, new Float32Array(700).fill(1), [7, 100])
  expect(few.y).toEqual(y.slice(0, 700))
})

test.each([0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 50_000])(
  'a mask of %i positions is that of the hash',
  async (length) => {
    const attributes = { rate: 0.3, salt: 4_000_000_001 }
    const run = await prepare((x, seed) => ({ y: dropout(x, seed, attributes) }))
    const { y } = await run(3_000_000_000, new Float32Array(length).fill(1), [1, length])
    const inputs = [new Array<number>(length).fill(1), [3_000_000_000]].map((data) => ({ data, shape: [data.length] }))
    const [expected] = cases.dropout.reference(inputs, attributes)
    expect(isKept(y)).toEqual(isKept(Float32Array.from(expected)))
  },
)

test('an axis that is a product of sizes has a mask too', async () => {
  const attributes = { rate: 0.5, salt: 0 }
  const run = await prepare((x, seed) => ({
    y: dropout(x, seed, attributes),
    flat: dropout(reshape(x, { shape: ['B*T'] }), seed, attributes),
  }))
  const { y, flat } = await run(3)
  expect(flat).toEqual(y)
})

test('the gradient is the mask', async () => {
  const run = await prepare((x, seed) => {
    const y = dropout(x, seed, { rate: 0.4, salt: 9 })
    return { y, gradient: gradients(sum(y), [x])[0]! }
  })
  const { y, gradient } = await run(12)
  expect(gradient).toEqual(y) // x is 1
})

test('rate 0 adds nothing to the graph', () => {
  const graph = new Graph()
  const x = graph.input('x', 'float32', [2])
  expect(dropout(x, graph.input('seed', 'uint32', []), { rate: 0, salt: 0 })).toBe(x)
})

test('a rate, salt or seed that cannot be is refused', () => {
  const graph = new Graph()
  const [x, seed] = [graph.input('x', 'float32', [2]), graph.input('seed', 'uint32', [])]
  for (const attributes of [
    { rate: 1, salt: 0 },
    { rate: -0.1, salt: 0 },
    { rate: Number.NaN, salt: 0 },
    { rate: 0.1, salt: -1 },
    { rate: 0.1, salt: 0.5 },
  ])
    expect(() => dropout(x, seed, attributes)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
  expect(() => dropout(x, x, { rate: 0.1, salt: 0 })).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }))
  const shaped = reshape(seed, { shape: [] })
  for (const unfed of [shaped, graph.constant(Int32Array.of(3))])
    expect(() => dropout(x, unfed, { rate: 0.1, salt: 0 })).toThrow(expect.objectContaining({ code: 'GRAPH_MISMATCH' }))
})
