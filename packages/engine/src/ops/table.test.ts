import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { gradients } from '../autodiff.ts'
import { apply, Graph, type OpDefinition, type Tensor } from '../graph.ts'
import { elementCount } from '../parameter.ts'
import { compile, type Feeds, type Value } from '../program.ts'
import { createRandom } from '../random.ts'
import type { DataType, Shape } from '../shape.ts'
import { type Case, cases, type OpCases, type Sizes, standardSizes } from './table.cases.ts'
import { ops } from './table.ts'

type AnyCase = Case<object>
type Lowering = 'plain' | 'fused'

/** A symbolic shape at given sizes. */
function sized(shape: Shape, sizes: Sizes): number[] {
  const factor = (name: string) => (Number.isNaN(Number(name)) ? sizes[name] : Number(name))
  return shape.map((dim) => elementCount(String(dim).split('*').map(factor)))
}

function typedValue(type: DataType, shape: readonly number[], numbers: readonly number[]): Value {
  if (type === 'float32') return { data: Float32Array.from(numbers), shape }
  return { data: type === 'uint32' ? Uint32Array.from(numbers) : Int32Array.from(numbers), shape }
}

/** The op on the case's inputs, and its gradients for a weighted sum of the first output; weights are an input. */
function buildGraph(definition: OpDefinition, { inputs, attributes = {} }: AnyCase) {
  const graph = new Graph()
  const tensors = inputs.map(({ type = 'float32', shape }, i) => graph.input(`x${i}`, type, shape))
  const outputs = apply(definition, tensors, attributes)
  const weights = graph.input('weights', 'float32', outputs[0].shape)
  return { graph, tensors, outputs, loss: ops.sum(ops.mul(outputs[0], weights)) }
}

function feedsOf({ inputs }: AnyCase, outputShape: Shape, sizes: Sizes, seed: number): Record<string, Value> {
  const random = createRandom(seed)
  const usual = (count: number) => Array.from({ length: count }, () => 3 * random.uniform() - 1.5)
  const feeds: Record<string, Value> = {}
  inputs.forEach(({ type = 'float32', shape: symbolic, values = usual }, i) => {
    const shape = sized(symbolic, sizes)
    feeds[`x${i}`] = typedValue(type, shape, values(elementCount(shape), random, sizes))
  })
  const shape = sized(outputShape, sizes)
  feeds.weights = typedValue('float32', shape, usual(elementCount(shape)))
  return feeds
}

const named = <T>(list: readonly T[], prefix: string): Record<string, T> =>
  Object.fromEntries(list.map((item, i) => [`${prefix}${i}`, item]))
const numbersOf = (value: Value) => Array.from(value.data as Float32Array)
const largest = (numbers: readonly number[]) => numbers.reduce((top, x) => Math.max(top, Math.abs(x)), 0)

/** Fails when two lists differ by more than tolerance × the largest number (0.05 at least). */
function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number, what: string) {
  expect(actual.length, what).toBe(expected.length)
  const allowed = tolerance * Math.max(0.05, largest(expected.filter((x) => !Number.isNaN(x))))
  const error = (x: number, i: number) => (Number.isFinite(x) ? Math.abs(x - expected[i]) : Number.POSITIVE_INFINITY)
  const worst = actual.reduce((top, x, i) => (Number.isNaN(expected[i]) ? top : Math.max(top, error(x, i))), 0)
  expect(worst, `${what}: ${actual} for ${expected}`).toBeLessThanOrEqual(allowed)
}

const STEP = 1 / 32

/**
 * d f / d numbers[i] by the five-point rule, error h⁴ f⁽⁵⁾ / 30. `numbers` are float32, and so are the points: the
 * distance between them is read back, since x + h is rounded.
 */
async function finiteDifference(f: () => Promise<number>, numbers: Float32Array, i: number): Promise<number> {
  const x = numbers[i]
  const slope = async (step: number) => {
    numbers[i] = x + step
    const [high, right] = [await f(), numbers[i]]
    numbers[i] = x - step
    const [low, left] = [await f(), numbers[i]]
    numbers[i] = x
    return (high - low) / (right - left)
  }
  return (4 * (await slope(STEP)) - (await slope(2 * STEP))) / 3
}

async function checkValues(definition: OpDefinition, entry: OpCases<object>, item: AnyCase) {
  const { graph, outputs } = buildGraph(definition, item)
  const tolerance = item.tolerance ?? 2e-6
  const programs = await Promise.all(
    (['plain', 'fused'] as const).map((lowering) => compile(graph, named(outputs, 'y'), { lowering, threads: 1 })),
  )
  for (const sizes of item.sizes ?? standardSizes) {
    const feeds = feedsOf(item, outputs[0].shape, sizes, 1)
    const inputs = item.inputs.map((_, i) => ({ data: numbersOf(feeds[`x${i}`]), shape: feeds[`x${i}`].shape }))
    const expected = entry.reference(inputs, item.attributes ?? {}, sized(outputs[0].shape, sizes))
    expect(expected.length).toBe(outputs.length)
    for (const [which, program] of programs.entries()) {
      const results = await program.run(feeds)
      outputs.forEach((output, i) => {
        const what = `${which === 0 ? 'plain' : 'fused'} output ${i} at ${JSON.stringify(sizes)}`
        expect(results[`y${i}`].shape, what).toEqual(sized(output.shape, sizes))
        expectClose(numbersOf(results[`y${i}`]), expected[i], tolerance, what)
      })
    }
  }
  await Promise.all(programs.map((program) => program.dispose()))
}

async function checkGradients(definition: OpDefinition, entry: OpCases<object>, item: AnyCase, lowering: Lowering) {
  const { graph, tensors, outputs, loss } = buildGraph(definition, item)
  const asked = entry.differentiable
  const found = gradients(
    loss,
    asked.map((i) => tensors[i]),
  ) as Tensor[]
  const present = asked.filter((i) => i < tensors.length)
  found.slice(0, present.length).forEach((gradient, i) => {
    expect(gradient.shape).toEqual(tensors[present[i]].shape)
  })
  const backward = await compile(graph, named(found.slice(0, present.length), 'd'), { lowering, threads: 1 })
  const forward = await compile(graph, { y: outputs[0] }, { lowering, threads: 1 })
  for (const sizes of item.sizes ?? standardSizes) {
    const feeds = feedsOf(item, outputs[0].shape, sizes, 2)
    const results = await backward.run(feeds)
    const weights = numbersOf(feeds.weights)
    // Summed in float64: the sum's own rounding stays out of the differences.
    const f = async () => numbersOf((await forward.run(feeds)).y).reduce((sum, y, i) => sum + y * weights[i], 0)
    for (const [i, input] of present.entries()) {
      const numbers = (feeds as Feeds)[`x${input}`].data as Float32Array
      const expected: number[] = []
      for (let j = 0; j < numbers.length; j++) expected.push(await finiteDifference(f, numbers, j))
      const what = `gradient of input ${input} at ${JSON.stringify(sizes)}, ${lowering}`
      expect(results[`d${i}`].shape, what).toEqual(feeds[`x${input}`].shape)
      expectClose(numbersOf(results[`d${i}`]), expected, item.gradientTolerance ?? 2e-4, what)
    }
  }
  await Promise.all([backward.dispose(), forward.dispose()])
}

test('the table lists every op of the ops folder under its own name', async () => {
  const files = readdirSync(import.meta.dirname).filter((file) => !/^table\.|\.test\.ts$/.test(file))
  const exported: Record<string, unknown> = {}
  for (const file of files)
    for (const value of Object.values(await import(`./${file}`)))
      if (typeof value === 'function' && 'definition' in value)
        exported[(value.definition as OpDefinition).name] = value
  expect(ops).toEqual(exported)
})

for (const [name, { definition }] of Object.entries(ops) as [keyof typeof ops, { definition: OpDefinition }][]) {
  const entry = cases[name] as unknown as OpCases<object>
  const isDifferentiable = entry.differentiable.length > 0
  describe(name, () => {
    for (const [i, item] of entry.cases.entries()) {
      const title = item.name ?? `${JSON.stringify(item.attributes)}, case ${i + 1}`
      test(`values: ${title}`, () => checkValues(definition, entry, item))
      if (isDifferentiable && !item.gradientSkipped) {
        test(`gradient: ${title}`, () => checkGradients(definition, entry, item, 'plain'))
        if (definition.fused) test(`gradient, fused: ${title}`, () => checkGradients(definition, entry, item, 'fused'))
      }
    }
    if (!isDifferentiable)
      test('gradients stop here', () => {
        const { tensors, loss } = buildGraph(definition, entry.cases[0])
        expect(definition.gradient).toBeUndefined()
        expect(gradients(loss, tensors)).toEqual(tensors.map(() => undefined))
      })
  })
}
