import { createRandom } from '@plumbline/engine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ppoConfig } from '../config.ts'
import { planIterations } from './prompts.ts'

const plan = (prompts: number, changes: Record<string, unknown>) =>
  planIterations(prompts, ppoConfig.parse(changes), createRandom(1))

test('every batch is full, every epoch has each prompt once, and a longer plan begins as the shorter one', () => {
  const size = fc.integer({ min: 1, max: 40 })
  fc.assert(
    fc.property(size, size, fc.integer({ min: 1, max: 5 }), (prompts, batch, epochs) => {
      const config = { per_device_train_batch_size: batch, num_train_epochs: epochs }
      const batches = plan(prompts, config)
      expect(batches).toHaveLength(Math.ceil((prompts * epochs) / batch))
      for (const indices of batches) expect(indices).toHaveLength(batch)
      const order = batches.flat()
      for (let epoch = 0; epoch < epochs; epoch++) {
        const seen = order.slice(epoch * prompts, (epoch + 1) * prompts)
        expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: prompts }, (_, i) => i))
      }
      const longer = plan(prompts, { ...config, num_train_epochs: epochs + 1 })
      expect(longer.slice(0, batches.length)).toEqual(batches)
    }),
  )
})

test('max_steps counts iterations, total_episodes comes before it', () => {
  const sizes = (changes: Record<string, unknown>) =>
    plan(5, { per_device_train_batch_size: 2, gradient_accumulation_steps: 2, ...changes }).map(({ length }) => length)
  expect(sizes({ max_steps: 3 })).toEqual([4, 4, 4])
  expect(sizes({ max_steps: 3, total_episodes: 5 })).toEqual([4, 4])
})

test('a part of an epoch is not rounded up by what binary fractions add', () => {
  expect(plan(100, { per_device_train_batch_size: 11, num_train_epochs: 0.55 })).toHaveLength(5)
  expect(plan(100, { per_device_train_batch_size: 11, num_train_epochs: 0.56 })).toHaveLength(6)
})
