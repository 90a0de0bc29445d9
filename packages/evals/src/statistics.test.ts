import { createRandom } from '@plumbline/engine'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { auc, brierScore, calibrationCurve, cohenKappa, expectedCalibrationError } from './agreement.ts'
import { betaCdf, normalQuantile, studentQuantile } from './distributions.ts'
import { mcnemarExact, meanInterval, pairedBootstrap, pairedDifference } from './paired.ts'
import { clopperPearson, newcombeDifference, roganGladen, wilson } from './proportions.ts'

const count = fc.integer({ min: 1, max: 400 }).chain((n) => fc.record({ hits: fc.nat(n), n: fc.constant(n) }))

describe('distributions', () => {
  test('tables', () => {
    expect(normalQuantile(0.975)).toBeCloseTo(1.959963985, 8)
    expect(normalQuantile(0.001)).toBeCloseTo(-3.090232306, 8)
    expect(studentQuantile(0.95, 2)).toBeCloseTo(4.30265273, 7)
    expect(studentQuantile(0.95, 10)).toBeCloseTo(2.228138852, 8)
    expect(betaCdf(0.3, 2, 3)).toBeCloseTo(0.3483, 12) // 6x² − 8x³ + 3x⁴
  })
})

describe('proportions', () => {
  test('published numbers', () => {
    // Newcombe 1998 (Statist. Med. 17:857–872), table I: 81 of 263.
    const score = wilson({ hits: 81, n: 263 })
    expect([score.low, score.high].map((x) => Number(x.toFixed(4)))).toEqual([0.2553, 0.3662])
    const exact = clopperPearson({ hits: 81, n: 263 })
    expect([exact.low, exact.high].map((x) => Number(x.toFixed(4)))).toEqual([0.2527, 0.3676])
    // Newcombe 1998 (17:873–890), table II, method 10: 56/70 − 48/80.
    const difference = newcombeDifference({ hits: 56, n: 70 }, { hits: 48, n: 80 })
    expect([difference.low, difference.high].map((x) => Number(x.toFixed(4)))).toEqual([0.0524, 0.3339])
    // Rule of three, exact: 1 − 0.025^(1/n).
    expect(clopperPearson({ hits: 0, n: 20 }).high).toBeCloseTo(1 - 0.025 ** (1 / 20), 10)
  })

  test('an interval holds its estimate, stays in [0, 1] and mirrors', () => {
    fc.assert(
      fc.property(count, ({ hits, n }) => {
        for (const interval of [wilson, clopperPearson]) {
          const { low, estimate, high } = interval({ hits, n })
          expect(low).toBeGreaterThanOrEqual(0)
          expect(low).toBeLessThanOrEqual(estimate)
          expect(high).toBeGreaterThanOrEqual(estimate)
          expect(high).toBeLessThanOrEqual(1)
          expect(interval({ hits: n - hits, n }).low).toBeCloseTo(1 - high, 9)
        }
      }),
    )
  })

  test('a difference changes its sign with the order', () => {
    fc.assert(
      fc.property(count, count, (a, b) => {
        expect(newcombeDifference(a, b).low).toBeCloseTo(-newcombeDifference(b, a).high, 10)
      }),
    )
  })

  test('no trials, more hits than trials: refused', () => {
    expect(() => wilson({ hits: 0, n: 0 })).toThrow('at least one trial')
    expect(() => wilson({ hits: 3, n: 2 })).toThrow('3 of 2')
    expect(() => wilson({ hits: 1, n: 2 }, { confidence: 95 })).toThrow('confidence 95')
  })
})

describe('Rogan–Gladen', () => {
  const error = { sensitivity: { hits: 90, n: 100 }, specificity: { hits: 160, n: 200 } }

  test('undoes what the error did', () => {
    // true rate 0.5: 0.9 · 0.5 + 0.2 · 0.5 = 0.55
    expect(roganGladen({ hits: 550, n: 1000 }, error).estimate).toBeCloseTo(0.5, 12)
    expect(roganGladen({ hits: 0, n: 100 }, error).estimate).toBe(0)
    expect(() =>
      roganGladen({ hits: 1, n: 2 }, { sensitivity: { hits: 1, n: 2 }, specificity: { hits: 1, n: 2 } }),
    ).toThrow('no better than chance')
  })

  test('with a perfect, endlessly measured grader the interval is nearly the plain one', () => {
    const perfect = { hits: 1e9, n: 1e9 }
    const corrected = roganGladen({ hits: 30, n: 100 }, { sensitivity: perfect, specificity: perfect })
    const plain = wilson({ hits: 30, n: 100 })
    expect(corrected.low).toBeCloseTo(plain.low, 2)
    expect(corrected.high).toBeCloseTo(plain.high, 2)
  })

  test('less knowledge of the grader widens it', () => {
    const coarse = { sensitivity: { hits: 9, n: 10 }, specificity: { hits: 16, n: 20 } }
    const width = ({ low, high }: { low: number; high: number }) => high - low
    const observed = { hits: 550, n: 1000 }
    expect(width(roganGladen(observed, coarse))).toBeGreaterThan(1.5 * width(roganGladen(observed, error)))
  })

  test('covers the true rate in at least 93 of 100 simulated studies', () => {
    const random = createRandom(20_261_123)
    const draw = (n: number, p: number) => {
      let hits = 0
      for (let i = 0; i < n; i++) if (random.uniform() < p) hits++
      return { hits, n }
    }
    for (const rate of [0.02, 0.1, 0.5, 0.95])
      for (const [n, sensitivity, specificity] of [
        [60, 0.95, 0.94],
        [150, 0.85, 0.9],
      ]) {
        let covered = 0
        for (let study = 0; study < 2000; study++) {
          const observed = draw(n, rate * sensitivity + (1 - rate) * (1 - specificity))
          const { low, high } = roganGladen(observed, {
            sensitivity: draw(120, sensitivity),
            specificity: draw(120, specificity),
          })
          if (low <= rate && rate <= high) covered++
        }
        expect(covered / 2000, `rate ${rate}, n ${n}`).toBeGreaterThanOrEqual(0.93)
      }
  })
})

describe('pairs and seeds', () => {
  test('McNemar against the binomial', () => {
    expect(mcnemarExact(0, 5)).toBeCloseTo(2 / 32, 12)
    expect(mcnemarExact(1, 9)).toBeCloseTo((2 * 11) / 1024, 12)
    expect(mcnemarExact(4, 4)).toBe(1)
    expect(mcnemarExact(0, 0)).toBe(1)
  })

  test('a difference on the same items by hand; where none differs it keeps a width', () => {
    // p₁ = 2/39, p₂ = 4/39, z = 1.959964: −2/39 ± z √((6/39 − (2/39)²) / 39)
    const { estimate, low, high } = pairedDifference({ onlyFirst: 1, onlySecond: 3, n: 37 })
    expect(estimate).toBeCloseTo(-2 / 37, 12)
    expect(low).toBeCloseTo(-0.17331, 4)
    expect(high).toBeCloseTo(0.07075, 4)
    const none = pairedDifference({ onlyFirst: 0, onlySecond: 0, n: 37 })
    expect(none.estimate).toBe(0)
    expect(none.high).toBeCloseTo(0.07107, 4)
    expect(none.low).toBe(-none.high)
    expect(pairedDifference({ onlyFirst: 3, onlySecond: 0, n: 3 }).high).toBeLessThanOrEqual(1)
    expect(() => pairedDifference({ onlyFirst: 3, onlySecond: 1, n: 3 })).toThrow('not possible')
  })

  test('a difference on the same items holds the truth as often as it says', () => {
    const random = createRandom(5)
    const n = 37
    const rounds = 2000
    let held = 0
    for (let round = 0; round < rounds; round++) {
      const drawn = Array.from({ length: n }, () => random.uniform())
      const onlyFirst = drawn.filter((x) => x < 0.03).length
      const onlySecond = drawn.filter((x) => x > 0.95).length
      const { low, high } = pairedDifference({ onlyFirst, onlySecond, n })
      if (low <= -0.02 && -0.02 <= high) held++
    }
    expect(held / rounds).toBeGreaterThan(0.95)
  })

  test('a cluster bootstrap is repeatable, and copies in one cluster add no certainty', () => {
    const values = [1, 0, 0, 1, 1, 0, 1, 0, 1, 1]
    const pairs = values.map((first, i) => ({ cluster: `${i}`, first, second: 0 }))
    const copied = pairs.flatMap((pair) => Array.from({ length: 7 }, () => pair))
    const once = pairedBootstrap(pairs, { random: createRandom(1) })
    expect(pairedBootstrap(pairs, { random: createRandom(1) })).toEqual(once)
    const again = pairedBootstrap(copied, { random: createRandom(1) })
    expect(again.low).toBeCloseTo(once.low, 12)
    expect(again.high).toBeCloseTo(once.high, 12)
    expect(once.estimate).toBeCloseTo(0.6, 12)
    expect(once.low).toBeLessThan(0.6)
  })

  test('a t-interval by hand', () => {
    // mean 2, s = 1, t(0.975, 2) = 4.302653
    const { estimate, low, high } = meanInterval([1, 2, 3])
    expect(estimate).toBe(2)
    expect(high - 2).toBeCloseTo(4.30265273 / Math.sqrt(3), 7)
    expect(2 - low).toBeCloseTo(high - 2, 12)
    expect(meanInterval([5]).high).toBe(Infinity)
  })
})

describe('agreement', () => {
  test('kappa of a known table', () => {
    // 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: κ = 0.4.
    const repeat = (n: number, label: string) => Array.from({ length: n }, () => label)
    const first = [...repeat(25, 'yes'), ...repeat(25, 'no')]
    const second = [...repeat(20, 'yes'), ...repeat(5, 'no'), ...repeat(10, 'yes'), ...repeat(15, 'no')]
    const kappa = cohenKappa(first, second)
    expect(kappa.estimate).toBeCloseTo(0.4, 12)
    // Standard error by simulating the table (5,000 items, 200,000 times, scaled to 50): 0.1270.
    expect((kappa.high - kappa.low) / 2).toBeCloseTo(1.959964 * 0.127, 3)
    expect(cohenKappa(first, first).estimate).toBeCloseTo(1, 12)
  })

  const forecasts = fc.array(fc.record({ score: fc.double({ min: 0, max: 1, noNaN: true }), happened: fc.boolean() }), {
    minLength: 2,
  })

  test('AUC counts pairs', () => {
    fc.assert(
      fc.property(forecasts, (list) => {
        const yes = list.filter(({ happened }) => happened)
        const no = list.filter(({ happened }) => !happened)
        fc.pre(yes.length > 0 && no.length > 0)
        let wins = 0
        for (const a of yes) for (const b of no) wins += a.score > b.score ? 1 : a.score === b.score ? 0.5 : 0
        expect(auc(list)).toBeCloseTo(wins / (yes.length * no.length), 10)
      }),
    )
  })

  test('bins hold all items; ECE with one bin is the gap of means; Brier of a coin is 1/4', () => {
    fc.assert(
      fc.property(forecasts, (list) => {
        expect(calibrationCurve(list).reduce((sum, { n }) => sum + n, 0)).toBe(list.length)
        const mean = (pick: (f: (typeof list)[number]) => number) =>
          list.reduce((sum, forecast) => sum + pick(forecast), 0) / list.length
        const gap = Math.abs(mean(({ score }) => score) - mean(({ happened }) => (happened ? 1 : 0)))
        expect(expectedCalibrationError(list, { bins: 1 })).toBeCloseTo(gap, 10)
        expect(expectedCalibrationError(list)).toBeGreaterThanOrEqual(gap - 1e-10)
        expect(brierScore(list.map(({ happened }) => ({ score: 0.5, happened })))).toBeCloseTo(0.25, 12)
      }),
    )
  })
})
