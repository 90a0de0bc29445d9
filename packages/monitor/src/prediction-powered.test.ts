import { createRandom } from '@plumbline/engine'
import { expect, test } from 'vitest'
import { predictionPoweredRate } from './prediction-powered.ts'

const read = (...args: Parameters<typeof predictionPoweredRate>) => {
  const reading = predictionPoweredRate(...args)
  if (reading.status !== 'ok') throw new Error(reading.reason)
  return reading
}

test('a perfect grader: λ is N/(n + N), the estimate that of all answers', () => {
  const found = read({ yesYes: 10, yesNo: 0, noYes: 0, noNo: 90 }, { hits: 90, n: 900 })
  expect(found.lambda).toBeCloseTo(0.9, 12)
  expect(found.estimate).toBeCloseTo(0.1, 12)
  // As if all thousand had a label.
  expect(found.high - found.estimate).toBeCloseTo(1.959964 * Math.sqrt(0.09 / 1000), 7)
  expect(found.method).toBe('prediction-powered')
})

test('a grader that says nothing counts nothing', () => {
  const found = read({ yesYes: 20, yesNo: 20, noYes: 30, noNo: 30 }, { hits: 1, n: 900 })
  expect(found).toMatchObject({ lambda: 0 })
  expect(found.estimate).toBeCloseTo(0.4, 12)
})

test('too few labels of a kind: the labels alone; none: no data', () => {
  expect(read({ yesYes: 0, yesNo: 0, noYes: 0, noNo: 50 }, { hits: 0, n: 900 })).toMatchObject({
    method: 'labels alone',
    estimate: 0,
  })
  expect(read({ yesYes: 0, yesNo: 0, noYes: 0, noNo: 50 }, { hits: 0, n: 900 }).high).toBeGreaterThan(0.05)
  expect(predictionPoweredRate({ yesYes: 0, yesNo: 0, noYes: 0, noNo: 0 }, { hits: 1, n: 9 }).status).toBe('no data')
  expect(() => predictionPoweredRate({ yesYes: -1, yesNo: 0, noYes: 0, noNo: 0 }, { hits: 1, n: 9 })).toThrow('yesYes')
})

test('it covers at least 93 of 100 and is narrower than the labels alone', () => {
  const random = createRandom(8)
  let [covered, width, widthAlone] = [0, 0, 0]
  const runs = 400
  for (let run = 0; run < runs; run++) {
    const labelled = { yesYes: 0, yesNo: 0, noYes: 0, noNo: 0 }
    let hits = 0
    for (let i = 0; i < 3000; i++) {
      const isYes = random.uniform() < 0.2
      const saysYes = random.uniform() < (isYes ? 0.9 : 0.05)
      if (i >= 300) hits += saysYes ? 1 : 0
      else labelled[isYes ? (saysYes ? 'yesYes' : 'yesNo') : saysYes ? 'noYes' : 'noNo']++
    }
    const found = read(labelled, { hits, n: 2700 })
    const alone = read(labelled, { hits: 0, n: 0 })
    if (found.low <= 0.2 && found.high >= 0.2) covered++
    width += found.high - found.low
    widthAlone += alone.high - alone.low
  }
  expect(covered / runs).toBeGreaterThanOrEqual(0.93)
  expect(width).toBeLessThan(0.8 * widthAlone)
})
