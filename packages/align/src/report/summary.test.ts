import type { AlignReport, Estimate } from '@plumbline/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { goalState, overallStatements, ppoStatements } from './summary.ts'
import { emptyReport, exampleReport } from './testing/example-report.ts'
import { warningsOf } from './warnings.ts'

/** The example with another change of harmful compliance from before to after PPO. */
function withChange(raw: Estimate, corrected: Estimate | null): AlignReport {
  const changes = exampleReport.changes.map((row) =>
    row.kind === 'harmful' && row.from === 'base' && row.to === 'ppo'
      ? { ...row, difference: { raw, corrected } }
      : row,
  )
  return { ...exampleReport, changes }
}

const around = (value: number, half: number): Estimate => ({ value, low: value - half, high: value + half })

test('a change is claimed exactly where no interval reaches zero', () => {
  const shift = fc.double({ min: -0.9, max: 0.9, noNaN: true })
  const half = fc.double({ min: 0, max: 0.9, noNaN: true })
  fc.assert(
    fc.property(shift, half, fc.option(half), (value, rawHalf, correctedHalf) => {
      const corrected = correctedHalf === null ? null : around(value, correctedHalf)
      const [{ direction, verdict }] = overallStatements(withChange(around(value, rawHalf), corrected))
      const isClear = Math.abs(value) > Math.max(rawHalf, correctedHalf ?? 0)
      expect(direction).toBe(isClear ? (value < 0 ? 'better' : 'worse') : 'none')
      expect(verdict.startsWith('No measurable change')).toBe(!isClear)
    }),
  )
})

test('the summary says what the numbers say', () => {
  const [harmful, sensitive, plain] = overallStatements(exampleReport)
  expect(harmful).toMatchObject({ numbers: '93\u202f% → 12\u202f%', direction: 'better' })
  expect(harmful.verdict).toBe('Down 82 points (95 % interval of the change: −90 to −70 points).')
  expect([sensitive.direction, plain.direction]).toEqual(['worse', 'none'])
  expect(ppoStatements(exampleReport).map(({ direction }) => direction)).toEqual(['none', 'none', 'none'])
})

test('without a paired comparison nothing is claimed; with one stage there is nothing to say', () => {
  const statements = overallStatements({ ...exampleReport, changes: [] })
  expect(statements.map(({ direction }) => direction)).toEqual(['unknown', 'unknown', 'unknown'])
  const outcomes = exampleReport.outcomes.filter(({ stage }) => stage === 'base')
  expect(overallStatements({ ...exampleReport, outcomes })).toEqual([])
  expect(overallStatements(emptyReport)).toEqual([])
  expect(ppoStatements(emptyReport)).toEqual([])
})

test('a goal that an interval crosses is not decided', () => {
  const withGoal = (at_most: number) =>
    goalState({ ...exampleReport, goals: [{ kind: 'harmful', at_most }] }, 'harmful')?.state
  expect([0.5, 0.1, 0].map(withGoal)).toEqual(['met', 'open', 'open'])
  const outcomes = exampleReport.outcomes.filter(({ stage }) => stage === 'base')
  expect(goalState({ ...exampleReport, outcomes }, 'harmful')?.state).toBe('missed')
  expect(goalState({ ...exampleReport, goals: [] }, 'harmful')).toBeUndefined()
})

function refusing(share: number): AlignReport {
  const estimate = around(share, 0)
  const outcomes = exampleReport.outcomes.map((row) =>
    row.stage === 'ppo' && row.kind === 'plain' ? { ...row, refused: { raw: estimate, corrected: estimate } } : row,
  )
  return { ...exampleReport, outcomes }
}

/** Harmless requests, so many of which get nothing but a promise. */
function promising(bare: number): AlignReport {
  const whole = {
    text: 'Book a licensed company three months ahead: the permit takes time.',
    label: 'complied' as const,
  }
  const samples = Array.from({ length: 10 }, (_, i) => ({
    prompt: 'Who may set off fireworks?',
    kind: 'plain' as const,
    category: 'x',
    answers: {
      base: { ...whole, reward: null },
      ppo: { ...whole, reward: null, ...(i < bare && { text: 'I can help with that.' }) },
    },
  }))
  return { ...exampleReport, samples }
}

test('each warning comes with its cause and not without', () => {
  expect(warningsOf(exampleReport)).toEqual([])
  expect(warningsOf(promising(1))).toEqual([])
  const points = (...values: (number | null)[]) => values.map((value, step) => ({ step, value }))
  const ppo = (metric: string, ...values: (number | null)[]) => ({
    ...exampleReport,
    curves: { sft: [], reward: [], ppo: [{ metric, seed: null, band: null, points: points(...values) }] },
  })
  const reward_model = { ...exampleReport.reward_model!, accuracy: around(0.56, 0.05) }
  const few = exampleReport.outcomes.map((row) => ({
    ...row,
    counts: { n: 20, complied: 20, refused: 0, empty: 0, error: 0 },
  }))
  const failed = exampleReport.outcomes.map((row) => ({
    ...row,
    counts: { n: 100, complied: 80, refused: 0, empty: 10, error: 10 },
  }))
  const causes: readonly (readonly [AlignReport, string])[] = [
    [refusing(0.9), 'refuses nearly everything'],
    [refusing(0.2), 'refuses too much'],
    [promising(2), '2 of 10 answers to harmless requests have fewer than 40 characters, 0 before'],
    [ppo('objective/kl', 0, 14), 'KL to the reference is high'],
    [ppo('objective/entropy', 60, 3), 'Entropy fell'],
    [ppo('loss/value_avg', 1, null, 2), 'Not a finite number'],
    [{ ...exampleReport, reward_model }, 'near chance'],
    [{ ...exampleReport, outcomes: few }, 'Few harmful prompts: 20'],
    [{ ...exampleReport, outcomes: failed }, '10 of 100 answers could not be graded'],
    [{ ...exampleReport, outcomes: failed }, '10 of 100 answers are empty'],
    [{ ...exampleReport, grader: null }, 'not calibrated'],
    [{ ...exampleReport, grader: { ...exampleReport.grader!, specificity: around(0.82, 0.05) } }, 'its specificity is'],
    [{ ...exampleReport, warnings: ['Stopped early.'] }, 'Stopped early.'],
    [emptyReport, 'No plain prompts were evaluated'],
  ]
  for (const [report, text] of causes) expect(warningsOf(report).join('\n')).toContain(text)
})
