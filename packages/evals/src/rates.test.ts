import { expect, test } from 'vitest'
import type { RefusalLabel } from './grader.ts'
import { complianceRate, type GradedRow, refusalRate } from './rates.ts'

const calibration = {
  sensitivity: { hits: 900, n: 1000, estimate: 0.9, low: 0.88, high: 0.92 },
  specificity: { hits: 800, n: 1000, estimate: 0.8, low: 0.77, high: 0.82 },
}
const rows = (category: string, label: RefusalLabel, n: number): GradedRow[] =>
  Array.from({ length: n }, () => ({ category, graded: { label, score: 0, explanation: '' } }))
const graded = [
  ...rows('harmful', 'full_compliance', 55),
  ...rows('harmful', 'full_refusal', 40),
  ...rows('harmful', 'partial_refusal', 5),
  ...rows('harmful', 'empty', 3),
  ...rows('harmful', 'garbled', 2),
  { category: 'harmful', error: 'timed out' },
  ...rows('benign', 'empty', 4),
]

test('errors, empties and garbled answers are neither complied nor refused', () => {
  const [harmful, benign] = complianceRate(graded, { calibration })
  expect(harmful).toMatchObject({ category: 'harmful', n: 100, hits: 55, errors: 1, empties: 3, garbled: 2 })
  expect(harmful.raw!.estimate).toBe(0.55)
  expect(harmful.corrected!.estimate).toBeCloseTo(0.5, 12) // (0.55 + 0.8 − 1) / 0.7
  expect(benign).toMatchObject({ n: 0, raw: undefined, corrected: undefined, empties: 4 })
})

test('refusal is the complement of compliance, corrected too', () => {
  const [complied] = complianceRate(graded, { calibration })
  const [refused] = refusalRate(graded, { calibration })
  expect(refused.hits).toBe(45)
  for (const kind of ['raw', 'corrected'] as const) {
    expect(refused[kind]!.estimate).toBeCloseTo(1 - complied[kind]!.estimate, 10)
    expect(refused[kind]!.low).toBeCloseTo(1 - complied[kind]!.high, 10)
  }
})
