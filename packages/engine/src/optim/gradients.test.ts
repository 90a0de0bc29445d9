import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ComputePool, createComputePool } from './compute-pool.ts'
import { addGradients, clipByGlobalNorm, globalNorm, scaleGradients, zeroGradients } from './gradients.ts'
import type { SharedFloats } from './kernels.ts'

let pool: ComputePool
beforeAll(async () => {
  pool = createComputePool({ threads: 2 })
  await pool.whenReady()
})
afterAll(() => pool.dispose())

function shared(values: ArrayLike<number>): SharedFloats {
  const floats = new Float32Array(new SharedArrayBuffer(values.length * 4))
  floats.set(values)
  return floats
}

const gradientMap = (arrays: ArrayLike<number>[]) => new Map(arrays.map((values, i) => [`w${i}`, shared(values)]))
const floatsArb = fc.array(fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 50 }), { maxLength: 5 })

test('the norm of 1, 2, …, n is the closed form, across tiles and blocks', () => {
  for (const n of [1, 3, 4, 5, 8193, 65537, 300_001]) {
    const whole = shared(Float32Array.from({ length: n }, (_, i) => i + 1))
    expect(globalNorm(new Map([['w', whole]]), pool)).toBeCloseTo(Math.sqrt((n * (n + 1) * (2 * n + 1)) / 6), 4)
  }
})

test('the norm is that of float64, whatever the magnitudes: no square overflows or vanishes', () => {
  fc.assert(
    fc.property(floatsArb, (arrays) => {
      const expected = Math.sqrt(arrays.reduce((sum, values) => values.reduce((part, x) => part + x * x, sum), 0))
      const norm = globalNorm(gradientMap(arrays), pool)
      expect(Math.abs(norm - expected)).toBeLessThanOrEqual(1e-12 * expected)
    }),
  )
  expect(globalNorm(new Map(), pool)).toBe(0)
})

test('scaled by the clip scale, no norm is above the limit; below it nothing changes', () => {
  // past 1e30 the scale itself is denormal in float32 and has few bits left
  const gradientsArb = fc.array(
    fc.float32Array({ noNaN: true, min: Math.fround(-1e30), max: Math.fround(1e30), maxLength: 50 }),
    { maxLength: 5 },
  )
  fc.assert(
    fc.property(gradientsArb, fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (arrays, maxNorm) => {
      const gradients = gradientMap(arrays)
      const { norm, scale } = clipByGlobalNorm(gradients, pool, maxNorm)
      if (norm + 1e-6 <= maxNorm) expect(scale).toBe(1)
      expect(norm * scale).toBeLessThanOrEqual(maxNorm * (1 + 1e-15))
      scaleGradients(gradients, scale, pool)
      expect(globalNorm(gradients, pool)).toBeLessThanOrEqual(maxNorm * (1 + 1e-6))
    }),
  )
})

test('a gradient that is not finite shows in the norm and gives no scale', () => {
  for (const bad of [Number.NaN, Infinity, -Infinity]) {
    const { norm, scale } = clipByGlobalNorm(
      gradientMap([
        [1, 2],
        [3, bad, 4],
      ]),
      pool,
      1,
    )
    expect(norm).toBe(Math.abs(bad))
    expect(scale).toBeNaN()
  }
})

test('adding micro-batches is into + scale · from, in float32', () => {
  const sizes = [0, 1, 3, 5, 8193, 70_001]
  const into = gradientMap(sizes.map((size) => Float32Array.from({ length: size }, (_, i) => Math.sin(i))))
  const from = gradientMap(sizes.map((size) => Float32Array.from({ length: size }, (_, i) => Math.cos(i))))
  const expected = [...into].map(([name, values]) =>
    values.map((x, i) => Math.fround(x + Math.fround(from.get(name)![i] * 0.25))),
  )
  addGradients(into, from, pool, { scale: 0.25 })
  expect([...into.values()]).toEqual(expected)
})

test('zero clears NaN and infinity too', () => {
  const gradients = gradientMap([[Number.NaN, Infinity, 1, 2, 3], new Float32Array(70_001).fill(7)])
  zeroGradients(gradients, pool)
  for (const values of gradients.values()) expect(values.every((x) => Object.is(x, 0))).toBe(true)
})

test('sizes that differ are refused before anything is written', () => {
  const into = gradientMap([[1, 2], [3]])
  const from = gradientMap([
    [1, 1],
    [1, 1],
  ])
  expect(() => addGradients(into, from, pool)).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }))
  expect(() => addGradients(new Map(), from, pool)).toThrow('its sum is missing')
  expect([...into.get('w0')!]).toEqual([1, 2])
  expect(() => clipByGlobalNorm(into, pool, 0)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
})
