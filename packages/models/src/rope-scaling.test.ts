import fc from 'fast-check'
import { expect, test } from 'vitest'
import { llama3Divisors, llama3RopeScaling } from './rope-scaling.ts'

test('the scaling is found again in its divisors', () => {
  const factor = fc.integer({ min: 2, max: 64 })
  const length = fc.constantFrom(4096, 8192, 16384)
  fc.assert(
    fc.property(factor, length, fc.constantFrom(64, 128), (factor, original, headDim) => {
      const scaling = {
        factor,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: original,
      }
      const divisors = Float32Array.from(llama3Divisors(scaling, 500000, headDim))
      expect(llama3RopeScaling(divisors, 500000, headDim)).toEqual({ rope_type: 'llama3', ...scaling })
    }),
  )
})

test('short waves stay, long ones are stretched by the whole factor', () => {
  const llama31 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }
  const divisors = llama3Divisors(llama31, 500000, 128)
  expect(divisors[0]).toBe(1)
  expect(divisors[63]).toBe(8)
  expect(divisors).toEqual(divisors.toSorted((a, b) => a - b))
})

test('divisors of another scaling are refused', () => {
  expect(llama3RopeScaling([1, 2, 3, 4], 500000, 8)).toBeUndefined()
  expect(llama3RopeScaling([1, 1], 500000, 8)).toBeUndefined()
  expect(llama3RopeScaling([1, Number.NaN, 8, 8], 500000, 8)).toBeUndefined()
})
