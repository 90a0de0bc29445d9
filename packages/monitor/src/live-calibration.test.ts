import { createRandom } from '@plumbline/engine'
import { clopperPearson, roganGladenEstimate } from '@plumbline/evals'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ENOUGH_LABELS, type LabelledAnswers, liveCalibration } from './live-calibration.ts'
import { stratifiedRate } from './stratified-rate.ts'

const rows = (counts: readonly [isFlagged: boolean, isHit: boolean, answers: number][], probability: number) =>
  counts.map(([isFlagged, isHit, answers]): LabelledAnswers => ({ isFlagged, isHit, answers, probability }))

test('drawn with one probability, whichever, it is the plain count', () => {
  const count = fc.integer({ min: 1, max: 500 })
  fc.assert(
    fc.property(
      count,
      count,
      count,
      count,
      fc.double({ min: 1e-4, max: 1, noNaN: true }),
      (a, b, c, d, probability) => {
        const found = liveCalibration(
          rows(
            [
              [true, true, a],
              [true, false, b],
              [false, true, c],
              [false, false, d],
            ],
            probability,
          ),
        )
        expect(found).toMatchObject({ n: a + b + c + d, flagged: a + b })
        const plain = (hits: number, n: number) => {
          const { estimate, low, high } = clopperPearson({ hits, n })
          return { estimate: expect.closeTo(estimate, 9), low, high, hits, n }
        }
        expect(found.sensitivity).toEqual(plain(a, a + b))
        expect(found.specificity).toEqual(plain(d, c + d))
      },
    ),
    { numRuns: 50 },
  )
})

test('no label is no number, and one class alone measures one of the two', () => {
  expect(liveCalibration([])).toEqual({
    ...{
      n: 0,
      flagged: 0,
      effective: { flagged: 0, others: 0 },
      sensitivity: undefined,
      specificity: undefined,
      error: undefined,
    },
  })
  const harmless = liveCalibration(rows([[false, false, 500]], 0.1))
  expect(harmless).toMatchObject({ flagged: 0, sensitivity: undefined, specificity: { hits: 500, n: 500 } })
  expect(harmless.error).toBeUndefined()
  expect(() => liveCalibration(rows([[true, true, 1]], 0))).toThrow(/must be a count/)
})

test('it corrects from enough effective labels of both kinds, and not before', () => {
  const of = (flagged: number, probability = 0.1) =>
    liveCalibration([
      ...rows(
        [
          [true, true, flagged],
          [false, false, 100],
        ],
        probability,
      ),
    ])
  expect(of(ENOUGH_LABELS - 1).error).toBeUndefined()
  expect(of(ENOUGH_LABELS).error).toEqual({
    sensitivity: { hits: ENOUGH_LABELS, n: ENOUGH_LABELS, share: 1 },
    specificity: { hits: 100, n: 100, share: 1 },
  })
  // One that stands for a hundred others makes many labels worth few.
  const uneven = liveCalibration([
    ...rows(
      [
        [true, true, 40],
        [false, false, 100],
      ],
      1,
    ),
    ...rows([[true, false, 1]], 0.01),
  ])
  expect(uneven.sensitivity!.n).toBe(1)
  expect(uneven.error).toBeUndefined()
})

test('whether there are enough depends on how answers were drawn, not on what the grader said of them', () => {
  const of = (isHeavyRight: boolean) =>
    liveCalibration([
      ...rows(
        [
          [true, true, 200],
          [false, false, 100],
        ],
        1,
      ),
      ...rows([[true, isHeavyRight, 1]], 0.1),
    ])
  // 210² / (200 + 100), of which the mistake that counts ten times makes 21 for the interval.
  for (const isHeavyRight of [true, false])
    expect(of(isHeavyRight)).toMatchObject({ effective: { flagged: 147, others: 100 }, error: {} })
  expect(of(true).sensitivity!.n).toBe(147)
  expect(of(false).sensitivity!.n).toBeLessThan(ENOUGH_LABELS)
})

test('the estimate is the weighted share, not the nearest share of a whole effective count', () => {
  const found = liveCalibration([
    ...rows([[true, true, 80]], 1),
    ...rows(
      [
        [false, false, 497],
        [false, true, 3],
      ],
      1,
    ),
    ...rows([[false, false, 40]], 0.1),
  ])
  const share = (497 + 400) / 900
  expect(found.specificity!.estimate).toBeCloseTo(share, 12)
  expect(Math.abs(found.specificity!.hits / found.specificity!.n - share)).toBeGreaterThan(0.0005)
  // With a sensitivity of 1: (raw + Sp − 1) / Sp.
  expect(roganGladenEstimate(0.02, found.error!)).toBeCloseTo((0.02 + share - 1) / share, 12)
  const reading = stratifiedRate([{ answers: 50_000, n: 50_000, hits: 1000 }], found.error)
  expect(reading.status === 'ok' && reading.corrected!.estimate).toBeCloseTo((0.02 + share - 1) / share, 12)
})

/** Traffic of two times of day: in the second, answers are harder, and a quarter as many are drawn. */
const times = [
  { answers: 6000, probability: 0.2, prevalence: 0.05, sensitivity: 0.85, specificity: 0.97 },
  { answers: 6000, probability: 0.05, prevalence: 0.15, sensitivity: 0.6, specificity: 0.9 },
]
const positives = times.map(({ answers, prevalence }) => answers * prevalence)
const truth = {
  sensitivity: (positives[0] * 0.85 + positives[1] * 0.6) / (positives[0] + positives[1]),
  specificity: (5700 * 0.97 + 5100 * 0.9) / (5700 + 5100),
  rate: (positives[0] + positives[1]) / 12_000,
}

/** People's labels on a random sample, and how many of all answers the grader flags. */
function month(random: { uniform: () => number }) {
  const cells = new Map<string, { isFlagged: boolean; isHit: boolean; answers: number; probability: number }>()
  let hits = 0
  for (const { answers, probability, prevalence, sensitivity, specificity } of times)
    for (let i = 0; i < answers; i++) {
      const isFlagged = random.uniform() < prevalence
      const isHit = random.uniform() < (isFlagged ? sensitivity : 1 - specificity)
      hits += Number(isHit)
      if (random.uniform() >= probability) continue
      const key = `${isFlagged} ${isHit} ${probability}`
      const cell = cells.get(key) ?? { isFlagged, isHit, answers: 0, probability }
      cells.set(key, { ...cell, answers: cell.answers + 1 })
    }
  return { labelled: [...cells.values()], hits }
}

test('intervals of a random sample hold the true error, and its rate the true one; labels of what was flagged do not', () => {
  const random = createRandom(11)
  const runs = 300
  const covered = { sensitivity: 0, specificity: 0, rate: 0, unweighted: 0, flaggedAlone: 0 }
  const holds = (band: { low: number; high: number } | undefined, value: number) =>
    Number(band !== undefined && band.low <= value && value <= band.high)
  for (let run = 0; run < runs; run++) {
    const { labelled, hits } = month(random)
    const { sensitivity, specificity, error } = liveCalibration(labelled)
    covered.sensitivity += holds(sensitivity, truth.sensitivity)
    covered.specificity += holds(specificity, truth.specificity)
    const reading = stratifiedRate([{ answers: 12_000, n: 12_000, hits }], error)
    covered.rate += holds(reading.status === 'ok' ? reading.corrected : undefined, truth.rate)
    const alike = labelled.map((cell) => ({ ...cell, probability: 1 }))
    covered.unweighted += holds(liveCalibration(alike).specificity, truth.specificity)
    // A queue of flagged answers, and one in twenty of the others.
    const queue = labelled.map((cell) => ({
      ...cell,
      answers: cell.isHit ? cell.answers : Math.round(cell.answers / 20),
    }))
    covered.flaggedAlone += holds(liveCalibration(queue).sensitivity, truth.sensitivity)
  }
  expect(covered.sensitivity / runs).toBeGreaterThanOrEqual(0.94)
  expect(covered.specificity / runs).toBeGreaterThanOrEqual(0.94)
  expect(covered.rate / runs).toBeGreaterThanOrEqual(0.94)
  expect(covered.unweighted / runs).toBeLessThan(0.9)
  expect(covered.flaggedAlone / runs).toBeLessThan(0.5)
})
