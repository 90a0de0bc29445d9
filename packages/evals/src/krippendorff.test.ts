import fc from 'fast-check'
import { expect, test } from 'vitest'
import { krippendorffAlpha } from './krippendorff.ts'

test('the published examples', () => {
  // Krippendorff (2011), section A: two observers, ten binary units. α = 0.095.
  const [first, second] = ['0100000000', '1110010010']
  expect(krippendorffAlpha([...first].map((label, i) => [label, second[i]]))).toBeCloseTo(0.095, 3)
  // Section C: four observers, twelve units, labels missing. α = 0.743.
  const observers = ['123321412...', '1233224125.3', '.3332342251.', '12332441251.']
  const units = [...observers[0]].map((_, i) => observers.map((row) => row[i]).filter((label) => label !== '.'))
  expect(krippendorffAlpha(units)).toBeCloseTo(0.743, 3)
})

test('names of labels, order of raters and lone labels are of no matter; agreement alone gives 1', () => {
  const unit = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 2, maxLength: 4 })
  fc.assert(
    fc.property(fc.array(unit, { minLength: 1 }), (units) => {
      const alpha = krippendorffAlpha(units)
      const renamed = units.map((labels) => labels.toReversed().map((label) => `x${label}`))
      expect(krippendorffAlpha([...renamed, ['lone'], []])).toBeCloseTo(alpha, 12)
      expect(alpha).toBeLessThanOrEqual(1)
      expect(krippendorffAlpha(units.map(([label, ...others]) => [label, ...others.map(() => label)]))).toBe(1)
    }),
  )
  expect(() => krippendorffAlpha([['a'], []])).toThrow('two labels')
})
