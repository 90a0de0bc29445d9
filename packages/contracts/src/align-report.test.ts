import { expect, test } from 'vitest'
import { estimateSchema, metricSeriesSchema, outcomeCountsSchema } from './align-report.ts'

const isFine = (schema: { safeParse: (value: unknown) => { success: boolean } }, value: unknown) =>
  schema.safeParse(value).success

test('an interval holds its estimate, up to rounding', () => {
  expect(isFine(estimateSchema, { value: 0.5, low: 0.4, high: 0.6 })).toBe(true)
  expect(isFine(estimateSchema, { value: 0, low: 1e-17, high: 0.1 })).toBe(true)
  expect(isFine(estimateSchema, { value: 0.3, low: 0.4, high: 0.6 })).toBe(false)
  expect(isFine(estimateSchema, { value: 0.7, low: 0.4, high: 0.6 })).toBe(false)
})

test('outcomes add up', () => {
  const counts = { n: 10, complied: 4, refused: 3, empty: 2, error: 1 }
  expect(isFine(outcomeCountsSchema, counts)).toBe(true)
  expect(isFine(outcomeCountsSchema, { ...counts, error: 0 })).toBe(false)
})

test('a value that is not finite is null, as JSON has it', () => {
  const series = (value: unknown) => ({ metric: 'loss', seed: null, band: null, points: [{ step: 1, value }] })
  expect(isFine(metricSeriesSchema, series(null))).toBe(true)
  expect(isFine(metricSeriesSchema, series(Number.NaN))).toBe(false)
})
