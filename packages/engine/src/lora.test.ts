import { expect, test } from 'vitest'
import { gradients } from './autodiff.ts'
import { Graph, type Tensor } from './graph.ts'
import { compileLoraMerge, createLoraParameters, loraLinear, loraNames } from './lora.ts'
import { mul } from './ops/elementwise.ts'
import { sum } from './ops/layout.ts'
import { matmul } from './ops/matmul.ts'
import { compile, type Feeds } from './program.ts'
import { createRandom } from './random.ts'

const modules = [
  { name: 'layers.0.q_proj', inFeatures: 6, outFeatures: 4 },
  { name: 'layers.0.v_proj', inFeatures: 6, outFeatures: 2 },
]
const [IN, OUT] = [6, 4]
const strength = { alpha: 6, rank: 3 }

/** One layer with an adapter: y = x·Wᵀ + (alpha / rank) · x·Aᵀ·Bᵀ. */
function layer(rate = 0) {
  const graph = new Graph()
  const x = graph.input('x', 'float32', ['B', 'T', IN])
  const weight = graph.parameter('weight', [OUT, IN])
  const a = graph.parameter('a', [strength.rank, IN])
  const b = graph.parameter('b', [OUT, strength.rank])
  const base = matmul(x, weight, { transposeB: true })
  const seed = graph.input('seed', 'uint32', [])
  const y = loraLinear(x, base, a, b, { ...strength, dropout: { rate, seed, salt: 1 } })
  return { graph, weight, a, b, base, y }
}

function valuesOf(trainedB = true) {
  const random = createRandom(4)
  const value = (...shape: number[]) => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((count, size) => count * size) }, random.normal),
  })
  const values = {
    x: value(2, 3, IN),
    weight: value(OUT, IN),
    a: value(strength.rank, IN),
    b: value(OUT, strength.rank),
  }
  if (!trainedB) values.b.data.fill(0)
  return { ...values, seed: { data: Uint32Array.of(1), shape: [] } }
}

async function evaluate(graph: Graph, outputs: Record<string, Tensor>, feeds: Feeds) {
  const program = await compile(graph, outputs, { threads: 1 })
  const results = await program.run(feeds)
  await program.dispose()
  return Object.fromEntries(Object.entries(results).map(([key, { data }]) => [key, data as Float32Array]))
}

test("parameters have PEFT's names, shapes and initial values", () => {
  const parameters = createLoraParameters(modules, { rank: 2, random: createRandom(0) })
  expect([...parameters].map(([name, { shape }]) => [name, shape])).toEqual([
    ['layers.0.q_proj.lora_A.weight', [2, 6]],
    ['layers.0.q_proj.lora_B.weight', [4, 2]],
    ['layers.0.v_proj.lora_A.weight', [2, 6]],
    ['layers.0.v_proj.lora_B.weight', [2, 2]],
  ])
  expect(parameters.get('layers.0.q_proj.lora_B.weight')!.data.every((x) => x === 0)).toBe(true)
})

test('A is uniform in ±1/√in', () => {
  const [a] = createLoraParameters([{ name: 'm', inFeatures: 400, outFeatures: 1 }], {
    rank: 100,
    random: createRandom(1),
  }).values()
  const bound = 1 / 20
  expect(a.data.every((x) => Math.abs(x) <= bound)).toBe(true)
  const moment = (power: number) => a.data.reduce((total, x) => total + (x / bound) ** power, 0) / a.data.length
  // Moments of U(−1, 1): 0 and 1/3, within five standard errors of 40,000 numbers.
  expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / 3 / 40_000))
  expect(Math.abs(moment(2) - 1 / 3)).toBeLessThan(5 * Math.sqrt(4 / 45 / 40_000))
})

test('the seed decides the values, other modules do not', () => {
  const create = (list: typeof modules, seed: number) =>
    createLoraParameters(list, { rank: 2, random: createRandom(seed) })
  const name = loraNames('layers.0.v_proj').a
  const alone = create(modules.slice(1), 3).get(name)!.data
  expect(create(modules, 3).get(name)!.data).toEqual(alone)
  expect(create(modules, 4).get(name)!.data).not.toEqual(alone)
})

test('with B = 0 the output is the base, bit for bit', async () => {
  const { graph, base, y } = layer(0.5)
  const found = await evaluate(graph, { base, y }, valuesOf(false))
  expect(found.y).toEqual(found.base)
})

test('the way back to the adapters does not touch the frozen weight', async () => {
  const { graph, a, b, y } = layer(0.1)
  const [da, db] = gradients(sum(y), [a, b]) as Tensor[]
  const program = await compile(graph, { da, db }, { threads: 1 })
  expect(program.inputNames.toSorted()).toEqual(['a', 'b', 'seed', 'x'])
  await program.dispose()
})

test('adapters have gradients', async () => {
  const { graph, a, b, y } = layer()
  const [da, db] = gradients(sum(mul(y, y)), [a, b]) as Tensor[]
  const values = valuesOf()
  const found = await evaluate(graph, { da, db }, values)
  expect(found.da.some((x) => x !== 0)).toBe(true)
  expect(found.db.some((x) => x !== 0)).toBe(true)
  // d Σ y² / d b[0, 0] by a difference, y being linear in b.
  const loss = async (step: number) => {
    const moved = { ...values.b, data: values.b.data.with(0, values.b.data[0] + step) }
    const { total } = await evaluate(graph, { total: sum(mul(y, y)) }, { ...values, b: moved })
    return total[0]
  }
  expect(((await loss(0.25)) - (await loss(-0.25))) / 0.5 / found.db[0]).toBeCloseTo(1, 3)
})

test.each([false, true])('merged into the weight the outputs are the same (transposed: %s)', async (isTransposed) => {
  const values = valuesOf()
  const { graph, y } = layer()
  const expected = (await evaluate(graph, { y }, values)).y

  const plain = new Graph()
  const x = plain.input('x', 'float32', ['B', 'T', IN])
  const stored = isTransposed ? [IN, OUT] : [OUT, IN]
  const merged = { shape: stored, data: values.weight.data.slice() }
  if (isTransposed)
    merged.data.forEach((_, i) => {
      merged.data[i] = values.weight.data[(i % OUT) * IN + Math.floor(i / OUT)]
    })
  const lora = await compileLoraMerge({ ...strength, isTransposed })
  const into = new Float32Array(merged.data.length)
  await lora.merge(merged, values.a, values.b, into)
  await lora.dispose()
  const output = matmul(x, plain.parameter('merged', stored), { transposeB: !isTransposed })
  const found = (await evaluate(plain, { output }, { x: values.x, merged: { ...merged, data: into } })).output
  const largest = Math.max(...expected.map(Math.abs))
  found.forEach((value, i) => {
    expect(Math.abs(value - expected[i]) / largest).toBeLessThan(1e-5)
  })
})

test('matrices that do not fit are refused', async () => {
  const { weight, a, b } = valuesOf()
  const mismatch = expect.objectContaining({ code: 'SHAPE_MISMATCH' })
  const merge = async (left: typeof a, right: typeof b, options: object = {}) => {
    const lora = await compileLoraMerge({ ...strength, ...options })
    return lora.merge(weight, left, right, weight.data).finally(() => lora.dispose())
  }
  await expect(merge(b, a)).rejects.toEqual(mismatch)
  await expect(merge(a, b, { isTransposed: true })).rejects.toEqual(mismatch)
  await expect(merge(a, b, { rank: 2 })).rejects.toEqual(mismatch)
  expect(() => createLoraParameters(modules, { rank: 0, random: createRandom(0) })).toThrow(
    expect.objectContaining({ code: 'BAD_VALUE' }),
  )
})
