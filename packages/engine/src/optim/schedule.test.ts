import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { constantSchedule, cosineSchedule, linearSchedule } from './schedule.ts'

const golden = JSON.parse(readFileSync(new URL('../../../../tests/golden/adamw.json', import.meta.url), 'utf8'))
const schedules = { constant: constantSchedule, linear: linearSchedule, cosine: cosineSchedule }

for (const { kind, warmupSteps, totalSteps, rates } of golden.schedules) {
  test(`${kind}, ${warmupSteps} of ${totalSteps} steps warm-up, equals transformers`, () => {
    const schedule = schedules[kind as keyof typeof schedules](2e-4, { warmupSteps, totalSteps })
    for (const [step, rate] of rates.entries()) expect(schedule(step) * 1e4).toBeCloseTo(rate * 1e4, 12)
  })
}

test('values that make no sense are refused', () => {
  expect(() => constantSchedule(Number.NaN)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
  expect(() => linearSchedule(1e-4, { totalSteps: 2.5 })).toThrow('totalSteps is 2.5')
  expect(() => cosineSchedule(1e-4, { totalSteps: 10, warmupSteps: -1 })).toThrow('warmupSteps is -1')
})
