import { createRandom } from '@plumbline/engine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { microBatches, planBatches, planBefore, splitEvenly } from './batches.ts'

const lengths = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30 })
const sorted = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)
const indicesOf = (list: readonly unknown[]) => list.map((_, i) => i)

test('each epoch has every row once, in batches of the size asked for', () => {
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 8 }), fc.nat(), (rows, batchSize, seed) => {
      const options = { batchSize, epochs: 3, maxSteps: -1, random: createRandom(seed) }
      const plan = planBatches(rows, options)
      const perEpoch = Math.ceil(rows.length / batchSize)
      expect(plan).toHaveLength(3 * perEpoch)
      for (let epoch = 0; epoch < 3; epoch++) {
        const batches = plan.slice(epoch * perEpoch, (epoch + 1) * perEpoch)
        expect(sorted(batches.flat())).toEqual(indicesOf(rows))
        for (const batch of batches.slice(0, -1)) expect(batch).toHaveLength(batchSize)
      }
    }),
  )
})

test('a longer plan begins with the shorter one, so a run may be told to go further', () => {
  const rows = new Array(7).fill(1)
  const plan = (maxSteps: number) => planBatches(rows, { batchSize: 3, epochs: 1, maxSteps, random: createRandom(4) })
  expect(plan(11)).toHaveLength(11)
  expect(plan(11).slice(0, 5)).toEqual(plan(5))
})

test('a part of an epoch is the beginning of it, and a longer plan goes on from there', () => {
  const rows = new Array(40).fill(1)
  const plan = (epochs: number) => planBatches(rows, { batchSize: 4, epochs, maxSteps: -1, random: createRandom(4) })
  for (const [epochs, steps] of [
    [0.4, 4],
    [0.41, 5],
    [1.5, 15],
    [2.1, 21],
    [0.01, 1],
  ] as const) {
    expect(plan(epochs), `${epochs} epochs`).toHaveLength(steps)
    expect(plan(3).slice(0, steps)).toEqual(plan(epochs))
  }
})

test('packing fills steps up to their tokens; a row that is longer stands alone', () => {
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 40 }), (rows, packedTokens) => {
      const plan = planBatches(rows, { batchSize: 1, packedTokens, epochs: 1, maxSteps: -1, random: createRandom(1) })
      expect(sorted(plan.flat())).toEqual(indicesOf(rows))
      for (const batch of plan)
        if (batch.length > 1) expect(batch.reduce((sum, row) => sum + rows[row], 0)).toBeLessThanOrEqual(packedTokens)
    }),
  )
})

test('micro-batches hold every row once, within their tokens', () => {
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 40 }), (rows, tokens) => {
      const parts = microBatches(indicesOf(rows), (row) => rows[row], tokens)
      expect(sorted(parts.flat())).toEqual(indicesOf(rows))
      for (const part of parts)
        if (part.length > 1) expect(part.reduce((sum, row) => sum + rows[row], 0)).toBeLessThanOrEqual(tokens)
    }),
  )
})

test('micro-batches are as few as can be, and as even: rows of one length differ by one a part', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 9 }), (count, fitting) => {
      const sizes = microBatches(indicesOf(new Array(count).fill(7)), () => 7, 7 * fitting + 3).map(
        ({ length }) => length,
      )
      expect(sizes).toHaveLength(Math.ceil(count / fitting))
      expect(Math.max(...sizes)).toBe(Math.ceil(count / sizes.length))
    }),
  )
})

test('with too few steps the passes before the last ones give way, then those', () => {
  const first = (maxSteps: number) => ['a', 'b', 'c'].slice(0, maxSteps < 0 ? 3 : maxSteps)
  const planOf = (maxSteps: number) => planBefore(['x', 'y'], maxSteps, first).join('')
  expect([-1, 4, 3, 2, 1, 0].map(planOf)).toEqual(['abcxy', 'abxy', 'axy', 'xy', 'x', ''])
})

test('an even split keeps the order, and sizes differ by one at most', () => {
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 12 }), (items, count) => {
      const parts = splitEvenly(items, count)
      const sizes = parts.map(({ length }) => length)
      expect(parts.flat()).toEqual(items)
      expect(parts).toHaveLength(Math.min(count, items.length))
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
    }),
  )
})
