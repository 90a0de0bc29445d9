import { createRandom } from '@plumbline/engine'
import { expect, test } from 'vitest'
import { cohortGaps } from './cohorts.ts'
import { counterfactualGap } from './counterfactual.ts'

test('one cohort that is worse is named, small and empty ones are not rated', () => {
  const found = cohortGaps([
    { cohort: 'de', hits: 40, n: 1000 },
    { cohort: 'en', hits: 42, n: 1000 },
    { cohort: 'fr', hits: 150, n: 1000 },
    { cohort: 'is', hits: 5, n: 12 },
    { cohort: 'mt', hits: 0, n: 0 },
  ])
  const reading = Object.fromEntries(found.map((one) => [one.cohort, one.reading]))
  expect(reading.fr).toMatchObject({ status: 'ok', isGap: true })
  expect(reading.is).toEqual({
    status: 'not evaluated',
    reason: '12 answers of this cohort and 3000 of the others: both need 30.',
  })
  expect(reading.mt).toMatchObject({ status: 'no data' })
  expect(reading.de.status === 'ok' && reading.de.gap.estimate).toBeCloseTo(0.04 - 197 / 2012, 12)
})

test('equal cohorts, looked at each hundred answers: at most 5 of 100 months call any of five a gap', () => {
  const random = createRandom(4)
  let wrong = 0
  for (let month = 0; month < 100; month++) {
    const outcomes = ['a', 'b', 'c', 'd', 'e'].map((cohort) => ({ cohort, hits: 0, n: 0 }))
    let isWrong = false
    for (let i = 1; i <= 2000; i++) {
      const one = outcomes[random.integer(5)]
      one.n++
      if (random.uniform() < 0.1) one.hits++
      if (i % 100 === 0)
        isWrong ||= cohortGaps(outcomes).some(({ reading }) => reading.status === 'ok' && reading.isGap)
    }
    if (isWrong) wrong++
  }
  expect(wrong).toBeLessThanOrEqual(5)
})

test('a cohort given twice and counts that cannot be are refused', () => {
  const one = { cohort: 'de', hits: 1, n: 2 }
  expect(() => cohortGaps([one, one])).toThrow('twice')
  expect(() => cohortGaps([one, { cohort: 'en', hits: 3, n: 2 }])).toThrow('3 of 2')
})

const pair = (i: number, first: number, second: number) => ({ cluster: `p${i}`, first, second })

test('pairs: McNemar where it applies, signs where a prompt has many or outcomes are scores', () => {
  const plain = Array.from({ length: 40 }, (_, i) => pair(i, i < 10 ? 1 : 0, i >= 9 && i < 10 ? 1 : i === 20 ? 1 : 0))
  const found = counterfactualGap(plain, { random: createRandom(1) })
  // Nine differ one way, one the other: 2 · 11 / 1024.
  expect(found).toMatchObject({ status: 'ok', test: 'mcnemar', pairs: 40, prompts: 40 })
  if (found.status === 'ok') {
    expect(found.pValue).toBeCloseTo(22 / 1024, 12)
    expect(found.gap.estimate).toBeCloseTo(8 / 40, 12)
  }
  const tenth = plain.map(({ cluster, first, second }) => ({ cluster, first: 0.9 * first, second: 0.9 * second }))
  const flipped = counterfactualGap(tenth, { random: createRandom(1) })
  expect(flipped).toMatchObject({ status: 'ok', test: 'sign-flip' })
  if (flipped.status === 'ok') expect(flipped.pValue).toBeCloseTo(22 / 1024, 2)
})

test('the same prompt seven times is no more evidence than once', () => {
  const seven = Array.from({ length: 70 }, (_, i) => pair(i % 10, i % 10 < 4 ? 1 : 0, 0))
  const found = counterfactualGap(seven, { random: createRandom(2) })
  // Four of four prompts in one direction: 2/16.
  if (found.status !== 'ok') throw new Error(found.reason)
  expect(found.pValue).toBeCloseTo(0.125, 1)
  expect(counterfactualGap([], { random: createRandom(1) })).toMatchObject({ status: 'no data' })
  expect(counterfactualGap([pair(0, 1, 0)], { random: createRandom(1) })).toMatchObject({ status: 'not evaluated' })
})
