import { createParameter } from '@plumbline/engine'
import { parseModelConfig } from '@plumbline/models'
import { expect, test } from 'vitest'
import { checkMemory, estimateMemory, USE_PEFT } from './memory.ts'
import { numbersOfSamples } from './training-samples.ts'

/** SmolLM2-135M. */
const config = parseModelConfig({
  model_type: 'llama',
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
})
const plan = { config, parameters: 134.5e6, trainable: 134.5e6, microBatchTokens: 1024, longestRow: 256 }

test('fewer tokens at once, an adapter and fewer weights beside it need less; one long row counts as the micro-batch it is', () => {
  const whole = estimateMemory(plan)
  expect(estimateMemory({ ...plan, microBatchTokens: 512 })).toBeLessThan(whole)
  expect(estimateMemory({ ...plan, trainable: 5e6 })).toBeLessThan(whole)
  expect(estimateMemory({ ...plan, others: 3 * 134.5e6 }) - whole).toBeCloseTo(3 * 4 * 134.5e6, -3)
  // Another network that learns in its turn: its moments stay, its gradients do not.
  expect(estimateMemory({ ...plan, trainable: 269e6, gradients: 134.5e6 }) - whole).toBeCloseTo(2 * 4 * 134.5e6, -3)
  expect(estimateMemory({ ...plan, microBatchTokens: 1 })).toBe(estimateMemory({ ...plan, microBatchTokens: 256 }))
})

test('what does not fit is refused with both numbers and the flags that help', () => {
  const needed = estimateMemory(plan)
  const flags = ['--micro-batch-tokens', '--max-length']
  expect(() => checkMemory(plan, { availableBytes: needed, flags })).not.toThrow()
  const refused = (alternatives: readonly string[], availableBytes = needed - 1) => {
    try {
      checkMemory(plan, { availableBytes, flags, alternatives })
    } catch (error) {
      return error
    }
  }
  const gigabytes = (needed / 1e9).toFixed(1)
  expect(refused([USE_PEFT])).toMatchObject({
    code: 'MEMORY_SHORT',
    message: `training needs about ${gigabytes} GB of memory; about ${gigabytes} GB are free.`,
    hint: 'Lower --micro-batch-tokens or --max-length, or train an adapter with --use-peft.',
  })
  expect(refused([])).toMatchObject({ hint: 'Lower --micro-batch-tokens or --max-length.' })
  // The weights, their moments and gradients alone take 2.7 GB, the weights alone 0.8.
  const none = { hint: 'No flag makes it fit: free some memory, or give a smaller --model.' }
  expect(refused([], 2.5e9)).toMatchObject(none)
  expect(refused([USE_PEFT], 2.5e9)).toMatchObject({ hint: expect.stringContaining('--use-peft') })
  expect(refused([USE_PEFT], 0.8e9)).toMatchObject(none)
})

test('answers while training need a cache, and with an adapter a copy of the model', () => {
  const model = { config, parameters: new Map([['weight', createParameter('weight', [5, 3])]]) }
  // Four rows, keys and values of three heads of 64 numbers in 30 layers.
  const cache = 4 * (256 + 64) * 30 * 2 * 3 * 64
  expect(numbersOfSamples(model, {}, 256)).toBe(cache)
  expect(numbersOfSamples(model, { adapter: {} }, 256)).toBe(cache + 15)
})
