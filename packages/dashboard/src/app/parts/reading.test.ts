import { expect, test } from 'vitest'
import { chartPoints } from './reading.tsx'

const counts = { judged: 80, flagged: 4, set_aside: 0, errors: 0 }
const at = (value: number) => ({ value, low: 0, high: 0.2 })
const fits = {
  ...counts,
  day: '2026-01-01',
  state: 'measured',
  reason: null,
  raw: at(0.05),
  corrected: at(0.01),
} as const
const doesNot = { ...fits, day: '2026-01-02', reason: 'fewer are flagged', raw: at(0), corrected: null }
const none = { ...fits, day: '2026-01-03', state: 'no_data', reason: null, raw: null, corrected: null } as const

test('a line is of one kind of rate: a day without it is a gap that says why', () => {
  const days = [fits, doesNot, none]
  expect(chartPoints(days, 'raw').map(({ value }) => value)).toEqual([0.05, 0, null])
  expect(chartPoints(days, 'corrected').map(({ value, note }) => [value, note])).toEqual([
    [0.01, 'measured'],
    [null, 'no corrected rate: fewer are flagged'],
    [null, 'no data'],
  ])
})
