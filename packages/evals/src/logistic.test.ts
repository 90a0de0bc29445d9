import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fitLogistic, gradient, predict } from './logistic.ts'

const row = (value: number) => ({ indices: [0], values: [value] })

test('without a ridge a single binary feature gives the observed odds', () => {
  // 3 of 4 where the feature is there, 1 of 4 where it is not.
  const rows = [1, 1, 1, 1, 0, 0, 0, 0].map(row)
  const model = fitLogistic(rows, [1, 1, 1, 0, 1, 0, 0, 0], 1, { ridge: 0, signs: [] })
  expect(predict(model, row(1))).toBeCloseTo(0.75, 5)
  expect(predict(model, row(0))).toBeCloseTo(0.25, 5)
})

test('at the minimum the gradient is zero where the weight is free, and points outward where a sign holds it', () => {
  const example = fc.record({
    values: fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })),
    label: fc.integer({ min: 0, max: 1 }),
  })
  fc.assert(
    fc.property(fc.array(example, { minLength: 4, maxLength: 20 }), (examples) => {
      const rows = examples.map(({ values }) => ({ indices: [0, 1], values }))
      const labels = examples.map(({ label }) => label)
      fc.pre(labels.includes(0) && labels.includes(1))
      const model = fitLogistic(rows, labels, 2, { ridge: 0.5, signs: [1, 0] })
      const [held, free, bias] = gradient(model, rows, labels, 0.5)
      expect(model.weights[0]).toBeGreaterThanOrEqual(0)
      if (model.weights[0] > 1e-3) expect(Math.abs(held)).toBeLessThan(1e-3)
      else expect(held).toBeGreaterThan(-1e-3)
      expect(Math.abs(free)).toBeLessThan(1e-3)
      expect(Math.abs(bias)).toBeLessThan(1e-3)
    }),
  )
})
