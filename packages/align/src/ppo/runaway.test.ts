import { createRandom } from '@plumbline/engine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkRollout, firstScoresOf } from './runaway.ts'

const bounds = { max_kl: 100, max_score_change: 10 }
const at = { step: 4, savedStep: 3 }
/** Answers of one token, by score and KL. */
const episodesOf = (scores: readonly number[], kl = 0) =>
  scores.map((score) => ({ score, oldLogprobs: Float32Array.of(-1), refLogprobs: Float32Array.of(-1 - kl) }))

test('scores are measured in the deviation that the reward model stores, or not at all', () => {
  const first = episodesOf([1, 3, 1, 3])
  expect(firstScoresOf(first, { rawConfig: { mean: 0, std: 4 } })).toEqual({ mean: 2, deviation: 4 })
  expect(firstScoresOf(first, { rawConfig: {} })).toEqual({ mean: 2, deviation: null })
})

test('the checkpoint of the very policy that ran away, saved at an interrupt, is not called good', () => {
  const found = () => checkRollout(episodesOf([0], 101), { mean: 0, deviation: 1 }, bounds, { step: 4, savedStep: 4 })
  expect(found).toThrow(
    expect.objectContaining({ hint: expect.stringMatching(/^The checkpoint of step 4 is of this/) }),
  )
})

test('scores that moved too far, up or down, and what to do', () => {
  const first = { mean: 2, deviation: 4 }
  for (const score of [42, -38]) checkRollout(episodesOf([score, score]), first, bounds, at)
  for (const [score, change] of [
    [42.4, '10.1'],
    [-38.4, '-10.1'],
  ] as const)
    expect(() => checkRollout(episodesOf([score, score], 7), first, bounds, at)).toThrow(
      expect.objectContaining({
        code: 'POLICY_RAN_AWAY',
        message: `after iteration 4: the scores ran away: ${score.toFixed(2)} on average, 2.00 at first, which is ${change} standard deviations of the reward model's training answers (at most 10); KL 7.0 nats an answer.`,
        hint: expect.stringMatching(/^The checkpoint of step 3 is good\. .*--max-score-change/),
      }),
    )
  checkRollout(episodesOf([1e9]), { mean: 2, deviation: null }, bounds, at)
})

test('a KL above its bound or none, and a score that is none, however the scores are', () => {
  const first = { mean: 0, deviation: 1 }
  for (const episodes of [episodesOf([0], 101), episodesOf([0], Number.NaN), episodesOf([Number.NaN])])
    expect(() => checkRollout(episodes, first, bounds, { step: 0, savedStep: 0 })).toThrow(
      expect.objectContaining({
        code: 'POLICY_RAN_AWAY',
        message: expect.stringMatching(/^before the first update: the policy has left its reference: KL /),
        hint: expect.stringMatching(/^There is no checkpoint before it\. .*--kl-coef/),
      }),
    )
})

test('a KL that is negative by chance is none of it, one that no sampling gives is told', () => {
  const first = { mean: 0, deviation: 1 }
  const ten = new Array(10).fill(0)
  checkRollout(episodesOf(ten, -1.9), first, bounds, at)
  expect(() => checkRollout(episodesOf(ten, -2.1), first, bounds, at)).toThrow(
    expect.objectContaining({
      code: 'SAMPLER_DISAGREES',
      message: expect.stringContaining('KL to the reference is -2.1'),
    }),
  )
  // Whatever policy and reference are, the policy's own samples pass.
  const chance = fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true })
  fc.assert(
    fc.property(chance, chance, fc.integer({ min: 1, max: 100 }), fc.nat(), (p, q, answers, seed) => {
      const { uniform } = createRandom(seed)
      const episodes = Array.from({ length: answers }, () => {
        const [own, other] = uniform() < p ? [p, q] : [1 - p, 1 - q]
        return { score: 0, oldLogprobs: Float32Array.of(Math.log(own)), refLogprobs: Float32Array.of(Math.log(other)) }
      })
      checkRollout(episodes, first, bounds, at)
    }),
    { seed: 1, numRuns: 500 },
  )
})
