import fc from 'fast-check'
import { expect, test } from 'vitest'
import { gae } from './advantages.ts'
import { expectRowsClose, golden } from './golden.test-support.ts'
import { shapeScores, tokenRewards } from './token-rewards.ts'

test('rewards are TRL’s', () => {
  for (const [i, item] of golden.advantages.entries()) {
    const { rewards, kl, nonScoreRewards } = tokenRewards(item, item)
    expectRowsClose(kl, item.kl, `kl ${i}`)
    expectRowsClose(nonScoreRewards, item.nonScoreRewards, `non-score rewards ${i}`)
    expectRowsClose(rewards, item.rewards, `rewards ${i}`)
  }
  expect(golden.advantages.map(({ klEstimator }) => klEstimator)).toContain('k3')
  expect(golden.advantages.map(({ whitenRewards }) => whitenRewards)).toContain(true)
})

test('the score is on the last real token, whatever follows', () => {
  const same = [-1, -1, -1, -9]
  const inputs = { policyLogprobs: [same, same], refLogprobs: [same, same], scores: [1, 2] }
  const { rewards } = tokenRewards({ ...inputs, lengths: [3, 4] }, { klCoef: 0.05 })
  expect(rewards.map((row) => Array.from(row, (x) => x + 0))).toEqual([
    [0, 0, 1],
    [0, 0, 0, 2],
  ])
})

test('a score one slot later, as TRL has it where there is room, gives the same returns if nothing is discounted', () => {
  const score = fc.double({ min: -5, max: 5, noNaN: true })
  fc.assert(
    fc.property(fc.array(score, { minLength: 1, maxLength: 6 }), score, (penalties, reward) => {
      const n = penalties.length
      const zeros = new Array(n + 1).fill(0)
      const options = { gamma: 1, gaeLambda: 1 }
      const ours = gae([penalties.with(-1, penalties[n - 1] + reward)], [zeros], [n], options)
      const theirs = gae([[...penalties, reward]], [zeros], [n + 1], options)
      expectRowsClose(ours.returns, [Array.from(theirs.returns[0].slice(0, n))])
    }),
  )
})

test('padding changes nothing, and an empty completion has no reward', () => {
  const logprob = fc.double({ min: -9, max: 0, noNaN: true })
  const row = fc.array(fc.tuple(logprob, logprob), { maxLength: 5 })
  fc.assert(
    fc.property(fc.array(row, { maxLength: 4 }), fc.array(fc.double(), { maxLength: 3 }), (rows, pad) => {
      const [policyLogprobs, refLogprobs] = [0, 1].map((side) => rows.map((list) => list.map((pair) => pair[side])))
      const lengths = rows.map(({ length }) => length)
      const scores = rows.map((_, i) => i)
      const padded = (list: number[][]) => list.map((numbers) => [...numbers, ...pad])
      const options = { klCoef: 0.1, klEstimator: 'k3', whitenRewards: true } as const
      const plain = tokenRewards({ policyLogprobs, refLogprobs, lengths, scores }, options)
      const withPadding = { policyLogprobs: padded(policyLogprobs), refLogprobs: padded(refLogprobs), lengths, scores }
      expect(tokenRewards(withPadding, options)).toEqual(plain)
      expect(plain.rewards.map(({ length }) => length)).toEqual(lengths)
    }),
  )
})

test('policy = reference leaves the score alone, exactly', () => {
  const logprobs = [[-0.1, -2.3, -0.7]]
  for (const klEstimator of ['k1', 'k2', 'k3'] as const) {
    const inputs = { policyLogprobs: logprobs, refLogprobs: logprobs, lengths: [3], scores: [0.25] }
    const { rewards, kl } = tokenRewards(inputs, { klCoef: 0.7, klEstimator })
    expect(Array.from(kl[0], Math.abs)).toEqual([0, 0, 0])
    expect(Array.from(rewards[0], (x) => x + 0)).toEqual([0, 0, 0.25])
  }
})

test('scores are normalised, and a missing end costs its penalty', () => {
  const ends = [true, false, false]
  expect(shapeScores([2, 2, -1], ends)).toEqual([2, 2, -1])
  expect(shapeScores([5, 5, -3], ends, { mean: 1, std: 2, missingEosPenalty: 1 })).toEqual([2, 1, -3])
})

test('a constant added to the reward model and its mean changes nothing', () => {
  const options = { mean: 0.5, std: 2 }
  const moved = shapeScores([3.5, 6.5], [true, true], { ...options, mean: options.mean + 3 })
  expect(moved).toEqual(shapeScores([0.5, 3.5], [true, true], options))
})

test('bad numbers are an error that names the completion', () => {
  const logprobs = [[-1], [-1]]
  const inputs = { policyLogprobs: logprobs, refLogprobs: logprobs, lengths: [1, 1] }
  expect(() => tokenRewards({ ...inputs, scores: [1, Number.NaN] }, { klCoef: 0.1 })).toThrow(
    'the reward of completion 2 is not finite: its score is NaN, its KL 0.',
  )
  expect(() => tokenRewards({ ...inputs, scores: [1] }, { klCoef: 0.1 })).toThrow('1 scores for 2 completions')
  expect(() => shapeScores([1], [true], { std: 0 })).toThrow('standard deviation of the scores is 0')
  expect(() => shapeScores([1], [true, false])).toThrow('1 scores for 2 completions')
})
