import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createParameter, type Parameter } from '../parameter.ts'
import { type Adamw, createAdamw, decaysByDefault } from './adamw.ts'
import { type ComputePool, createComputePool } from './compute-pool.ts'
import { clipByGlobalNorm } from './gradients.ts'
import type { SharedFloats } from './kernels.ts'

const golden = JSON.parse(readFileSync(new URL('../../../../tests/golden/adamw.json', import.meta.url), 'utf8'))
const pools: ComputePool[] = []

beforeAll(async () => {
  for (const threads of [1, 2, 4]) pools.push(createComputePool({ threads }))
  await Promise.all(pools.map((pool) => pool.whenReady()))
})
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.dispose()))
})

function shared(values: ArrayLike<number>): SharedFloats {
  const floats = new Float32Array(new SharedArrayBuffer(values.length * 4))
  floats.set(values)
  return floats
}

/** Weights and gradients that look random and are the same each time. */
function wave(size: number, phase: number, height = 1): SharedFloats {
  return shared(Float32Array.from({ length: size }, (_, i) => height * Math.sin(i * 0.37 + phase)))
}

function model(sizes: readonly number[]): Map<string, Parameter> {
  return new Map(sizes.map((size, i) => [`w${i}`, { name: `w${i}`, shape: [size, 1], data: wave(size, i) }]))
}

function gradientsOf(parameters: Map<string, Parameter>, step: number): Map<string, SharedFloats> {
  return new Map([...parameters.values()].map(({ name, data }, i) => [name, wave(data.length, step + i, 0.1)]))
}

const bytes = (parameters: ReadonlyMap<string, Parameter>) =>
  Buffer.concat([...parameters.values()].map(({ data }) => new Uint8Array(data.slice().buffer))).toString('base64')

/** The largest error, relative to the largest value: what a float32 sum of terms can be held to. */
function worstError(actual: ArrayLike<number>, expected: readonly number[]): number {
  const scale = Math.max(...expected.map(Math.abs))
  return Math.max(...expected.map((value, i) => Math.abs(actual[i] - value))) / scale
}

describe('equal to torch.optim.AdamW', () => {
  for (const [index, run] of golden.adamw.entries()) {
    test(`ten steps, case ${index}: ${JSON.stringify(run.options)}, largest norm ${run.maxNorm}`, () => {
      const shape: Record<string, number[]> = { 'layers.0.mlp.weight': [5, 3], 'late.weight': [2, 2] }
      const parameters = new Map<string, Parameter>()
      for (const [name, start] of Object.entries<number[]>(run.start)) {
        parameters.set(name, { name, shape: shape[name] ?? [start.length], data: shared(start) })
      }
      const adamw = createAdamw(parameters, pools[1], run.options)
      for (const { learningRate, gradients, norm, values } of run.steps) {
        const gradientMap = new Map(Object.entries<number[]>(gradients).map(([name, g]) => [name, shared(g)]))
        const clipped = clipByGlobalNorm(gradientMap, pools[1], run.maxNorm ?? Infinity)
        expect(clipped.norm / norm).toBeCloseTo(1, 6)
        adamw.step(gradientMap, { learningRate, gradientScale: run.maxNorm ? clipped.scale : 1 })
        for (const [name, expected] of Object.entries<number[]>(values)) {
          expect(worstError(parameters.get(name)!.data, expected), name).toBeLessThan(1e-6)
        }
      }
      for (const which of ['firstMoments', 'secondMoments'] as const) {
        for (const [name, expected] of Object.entries<number[]>(run[which])) {
          expect(worstError(adamw.state[which].get(name)!.data, expected), `${which} ${name}`).toBeLessThan(1e-6)
        }
      }
      expect(adamw.state.step).toBe(10)
      expect([...adamw.state.lateSteps]).toEqual([['late.weight', 7]])
    })
  }

  test('decays what the Trainer of transformers decays', () => {
    for (const { name, shape, decays } of golden.decays) expect(decaysByDefault(name, shape), name).toBe(decays)
    expect(golden.decays.length).toBeGreaterThan(30)
  })
})

describe('threads', () => {
  // around the vector (4), the tile (8,192) and the block (65,536)
  const sizes = [0, 1, 3, 5, 8191, 8193, 65535, 65536, 65537, 200_003]

  test('1, 2 and 4 give the same bytes', () => {
    const results = pools.map((pool) => {
      const parameters = model(sizes)
      const adamw = createAdamw(parameters, pool, { weightDecay: 0.1 })
      for (let step = 0; step < 5; step++) {
        const gradients = gradientsOf(parameters, step)
        adamw.step(gradients, {
          learningRate: 0.01,
          gradientScale: clipByGlobalNorm(gradients, pool, 1).scale,
        })
      }
      return bytes(parameters) + bytes(adamw.state.firstMoments) + bytes(adamw.state.secondMoments)
    })
    expect(results[1]).toBe(results[0])
    expect(results[2]).toBe(results[0])
  })

  test('any sizes equal a plain loop', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 4 }), (someSizes) => {
        const parameters = model(someSizes)
        const gradients = gradientsOf(parameters, 0)
        const expected = model(someSizes)
        for (const { name, data } of expected.values()) {
          const gradient = gradients.get(name)!
          // the first step: m̂ = g, v̂ = g²
          for (let i = 0; i < data.length; i++) data[i] -= (0.01 * gradient[i]) / (Math.abs(gradient[i]) + 1e-8)
        }
        createAdamw(parameters, pools[1]).step(gradients, { learningRate: 0.01 })
        for (const { name, data } of expected.values()) {
          for (let i = 0; i < data.length; i++) {
            if (Math.abs(parameters.get(name)!.data[i] - data[i]) > 1e-6) expect.fail(`${name}[${i}] of ${data.length}`)
          }
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('state', () => {
  const sizes = [7, 70_001]
  function steps(adamw: Adamw, parameters: Map<string, Parameter>, from: number, to: number): void {
    for (let step = from; step < to; step++) {
      const gradients = gradientsOf(parameters, step)
      if (step < 2) gradients.delete('w1') // a parameter that joins late
      adamw.step(gradients, { learningRate: 0.01 })
    }
  }

  test('saved at step 4 and loaded, training goes on to the same bytes', () => {
    const whole = model(sizes)
    steps(createAdamw(whole, pools[1], { weightDecay: 0.1 }), whole, 0, 9)

    const resumed = model(sizes)
    const before = createAdamw(resumed, pools[1], { weightDecay: 0.1 })
    steps(before, resumed, 0, 4)
    const after = createAdamw(resumed, pools[2], { weightDecay: 0.1 })
    after.loadState(before.state)
    for (const { data } of before.state.firstMoments.values()) data.fill(99) // copied, so this changes nothing
    steps(after, resumed, 4, 9)
    expect(after.state.step).toBe(9)
    expect(bytes(resumed)).toBe(bytes(whole))
  })

  test('parameters without a gradient are not touched and cost no moments', () => {
    const parameters = model([10, 20])
    const frozen = parameters.get('w0')!.data.slice()
    const adamw = createAdamw(parameters, pools[0], { weightDecay: 0.1 })
    adamw.step(new Map([['w1', wave(20, 1)]]), { learningRate: 0.1 })
    expect(parameters.get('w0')!.data).toEqual(frozen)
    expect([...adamw.state.firstMoments.keys()]).toEqual(['w1'])
  })
})

describe('bad input is refused before anything is written', () => {
  const parameters = model([10, 20])
  const before = bytes(parameters)
  const adamw = () => createAdamw(parameters, pools[0])
  const good = () => gradientsOf(parameters, 0)
  const cases: [string, string, () => void][] = [
    ['unknown name', 'UNKNOWN_PARAMETER', () => adamw().step(good().set('w11', wave(3, 0)), { learningRate: 1 })],
    ['wrong size', 'SHAPE_MISMATCH', () => adamw().step(good().set('w1', wave(21, 0)), { learningRate: 1 })],
    ['NaN gradient scale', 'BAD_VALUE', () => adamw().step(good(), { learningRate: 1, gradientScale: Number.NaN })],
    ['negative learning rate', 'BAD_VALUE', () => adamw().step(good(), { learningRate: -1 })],
    ['b2 of 1', 'BAD_VALUE', () => createAdamw(parameters, pools[0], { b2: 1 })],
    ['negative decay', 'BAD_VALUE', () => createAdamw(parameters, pools[0], { weightDecay: -0.1 })],
    [
      'state of another model',
      'SHAPE_MISMATCH',
      () => {
        const moments = new Map([['w0', createParameter('w0', [11])]])
        adamw().loadState({ step: 1, firstMoments: moments, secondMoments: moments })
      },
    ],
    [
      'state without second moments',
      'UNKNOWN_PARAMETER',
      () => {
        const moments = new Map([['w0', createParameter('w0', [10])]])
        adamw().loadState({ step: 1, firstMoments: moments, secondMoments: new Map() })
      },
    ],
  ]
  test('a gradient that is not shared: the state stays as it was, and the next step is as if nothing had been', () => {
    const state = ({ state: { step, lateSteps, firstMoments, secondMoments } }: Adamw) =>
      JSON.stringify([step, [...lateSteps], bytes(firstMoments), bytes(secondMoments)])
    const tried = model([10, 20])
    const untried = model([10, 20])
    const [one, other] = [createAdamw(tried, pools[0]), createAdamw(untried, pools[0])]
    const unshared = () => new Map<string, Float32Array>([...gradientsOf(tried, 0), ['w1', new Float32Array(20)]])
    const fails = () => one.step(unshared() as ReturnType<typeof good>, { learningRate: 0.1 })
    const fresh = state(one)
    expect(fails).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
    expect(state(one)).toBe(fresh)
    for (const optimizer of [one, other]) optimizer.step(gradientsOf(tried, 1), { learningRate: 0.1 })
    const stepped = state(one)
    expect(fails).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
    expect(state(one)).toBe(stepped)
    expect(stepped).toBe(state(other))
    expect(bytes(tried)).toBe(bytes(untried))
  })

  for (const [name, code, act] of cases) {
    test(name, () => {
      expect(act).toThrow(expect.objectContaining({ code, hint: expect.any(String) }))
      expect(bytes(parameters)).toBe(before)
    })
  }
})
