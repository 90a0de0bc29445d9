import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectClose, golden } from './golden.test-support.ts'
import { adaptKlCoef, createKlController, type KlEstimator, klEstimate, klPerToken } from './kl.ts'

const logprob = fc.double({ min: -20, max: 0, noNaN: true })
const softmax = (scores: number[]) => {
  const powers = scores.map(Math.exp)
  const total = powers.reduce((sum, x) => sum + x, 0)
  return powers.map((power) => power / total)
}

describe('estimators', () => {
  test('are those of torch', () => {
    const { policy, ref } = golden.kl
    for (const estimator of ['k1', 'k2', 'k3'] as const)
      expectClose(klPerToken([policy], [ref], [policy.length], estimator)[0], golden.kl[estimator], estimator)
  })

  test.each([
    [-1, -1.2, 0.2, 0.02, 0.018731],
    [-1.2, -1, -0.2, 0.02, 0.021403],
  ])('policy %d, reference %d', (policy, ref, k1, k2, k3) => {
    const estimates = (['k1', 'k2', 'k3'] as const).map((estimator) => klEstimate(policy, ref, estimator))
    expect(estimates).toEqual([k1, k2, k3].map((value) => expect.closeTo(value, 6)))
  })

  test('k2 and k3 are never negative, and equal distributions have none', () => {
    fc.assert(
      fc.property(logprob, logprob, (policy, ref) => {
        for (const estimator of ['k2', 'k3'] as const)
          expect(klEstimate(policy, ref, estimator)).toBeGreaterThanOrEqual(0)
        for (const estimator of ['k1', 'k2', 'k3'] as const) expect(klEstimate(policy, policy, estimator)).toBe(0)
      }),
    )
  })

  test('k3 keeps its digits where the policies are close', () => {
    expect(klEstimate(0, -1e-6, 'k3') / (1e-12 / 2)).toBeCloseTo(1, 6) // d² / 2 − d³ / 6 + …
  })

  test('k1 and k3 are the KL in expectation', () => {
    const scores = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 3, maxLength: 3 })
    fc.assert(
      fc.property(scores, scores, (a, b) => {
        const [p, ref] = [softmax(a), softmax(b)]
        const expectation = (estimator: KlEstimator) =>
          p.reduce((sum, x, i) => sum + x * klEstimate(Math.log(x), Math.log(ref[i]), estimator), 0)
        const kl = p.reduce((sum, x, i) => sum + x * Math.log(x / ref[i]), 0)
        expect(expectation('k1')).toBeCloseTo(kl, 10)
        expect(expectation('k3')).toBeCloseTo(kl, 10)
      }),
    )
  })

  test('padding is never read', () => {
    const row = klPerToken([[-1, -2, Number.NaN]], [[-1.5, -2]], [2], 'k1')
    expect(row).toEqual([Float64Array.of(0.5, 0)])
    expect(() => klPerToken([[-1]], [[-1]], [2], 'k1')).toThrow(/1 numbers for 2 tokens/)
  })
})

describe('two arms, gradients of the expected estimate by the first score', () => {
  const p = softmax([0.3, -0.2])
  const ref = softmax([0, 0.5])
  const logprobs = p.map(Math.log)
  const refLogprobs = ref.map(Math.log)
  const slopes = [1 - p[0], -p[0]] // d log p(arm) / d θ0
  const expectation = (f: (arm: number) => number) => p[0] * f(0) + p[1] * f(1)

  test.each([
    ['k1', 0.235004],
    ['k3', -0.009915],
  ] as const)('%s in the reward: %d', (estimator, expected) => {
    const gradient = expectation((arm) => klEstimate(logprobs[arm], refLogprobs[arm], estimator) * slopes[arm])
    expect(gradient).toBeCloseTo(expected, 6)
  })

  test.each([
    ['k1', 0],
    ['k2', 0.235004],
    ['k3', 0.244919],
  ] as const)('%s as a loss: %d', (estimator, expected) => {
    const slope = (arm: number) => {
      const at = (step: number) => klEstimate(logprobs[arm] + step, refLogprobs[arm], estimator)
      return (at(1e-5) - at(-1e-5)) / 2e-5
    }
    expect(expectation((arm) => slope(arm) * slopes[arm])).toBeCloseTo(expected, 6)
  })

  test('the KL itself', () => {
    expect(expectation((arm) => klEstimate(logprobs[arm], refLogprobs[arm], 'k1'))).toBeCloseTo(0.122459, 6)
  })
})

describe('coefficient', () => {
  const options = { target: 6, horizon: 10_000 }

  test.each([
    [12, 0.150768],
    [3, 0.149232],
    [6, 0.15],
  ])('after a KL of %d: %d', (kl, expected) => {
    expect(adaptKlCoef(0.15, kl, 256, options)).toBeCloseTo(expected, 9)
  })

  test('follows TRL’s old controller, also over a checkpoint', () => {
    const { klCoef, target, horizon, episodes, kls, coefs } = golden.adaptiveKl
    const settings = { type: 'adaptive', klCoef, target, horizon } as const
    let controller = createKlController(settings)
    const seen = kls.map((kl) => {
      controller.update(kl, episodes)
      controller = createKlController(settings, JSON.parse(JSON.stringify(controller.state)))
      return controller.klCoef
    })
    expectClose(seen, coefs)
  })

  test('stays where it is when fixed', () => {
    const controller = createKlController({ type: 'fixed', klCoef: 0.05 })
    controller.update(100, 256)
    expect(controller.klCoef).toBe(0.05)
  })

  test('moves towards the target and never changes its sign', () => {
    const positive = fc.double({ min: 1e-3, max: 1e3, noNaN: true })
    fc.assert(
      fc.property(
        positive,
        fc.double({ min: -10, max: 1e4, noNaN: true }),
        fc.integer({ min: 1, max: 1e6 }),
        (coef, kl, n) => {
          const next = adaptKlCoef(coef, kl, n, options)
          expect(next).toBeGreaterThan(0)
          expect((next - coef) * (kl - 6)).toBeGreaterThanOrEqual(0)
        },
      ),
    )
  })

  test('refuses what cannot be', () => {
    expect(() => adaptKlCoef(0.1, Number.NaN, 1, options)).toThrow('the KL to the reference is NaN.')
    expect(() => createKlController({ type: 'fixed', klCoef: -1 })).toThrow(/kl_coef is -1/)
    expect(() => createKlController({ type: 'adaptive', klCoef: 1, target: 0, horizon: 1 })).toThrow(/target 0/)
    expect(() => createKlController({ type: 'adaptve' as 'adaptive', klCoef: 1, ...options })).toThrow(/adaptve/)
  })
})
