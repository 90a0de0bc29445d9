import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createThinnedCurve } from './thinned-curve.ts'

const most = 8
const curveOf = (values: readonly (number | null)[]) => {
  const curve = createThinnedCurve(most)
  for (const [step, value] of values.entries()) curve.add(step, value)
  return curve
}

test('a short curve is what was added', () => {
  const curve = curveOf([3, 1, 2])
  expect(curve.stride).toBe(1)
  expect(curve.points()).toEqual([
    { step: 0, value: 3 },
    { step: 1, value: 1 },
    { step: 2, value: 2 },
  ])
})

test('however long it is: few points in order, the last step, the lowest and the highest value', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 300 }), (values) => {
      const curve = curveOf(values)
      const points = curve.points()
      expect(points.length).toBeLessThanOrEqual(most)
      expect(points.length).toBeGreaterThanOrEqual(Math.min(values.length, most / 2))
      expect(points.map(({ step }) => step)).toEqual(points.map(({ step }) => step).toSorted((a, b) => a - b))
      expect(points.at(-1)!.step).toBe(values.length - 1)
      expect(Math.min(...points.map(({ low, value }) => low ?? value!))).toBe(Math.min(...values))
      expect(Math.max(...points.map(({ high, value }) => high ?? value!))).toBe(Math.max(...values))
      for (const { value, low, high } of points) {
        expect(value!).toBeGreaterThanOrEqual(low ?? value!)
        expect(value!).toBeLessThanOrEqual(high ?? value!)
      }
      expect(points.length).toBe(Math.ceil(values.length / curve.stride))
    }),
  )
})

test('what is no number is not averaged away', () => {
  const values = Array.from({ length: 64 }, (_, step) => (step === 20 ? null : 1))
  const gaps = curveOf(values)
    .points()
    .filter(({ value }) => value === null)
  expect(gaps).toHaveLength(1)
  expect(gaps[0].step).toBeGreaterThanOrEqual(20)
})
