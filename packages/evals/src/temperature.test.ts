import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fitTemperature } from './temperature.ts'

test('forecasts of one size: the temperature makes the probability the share that happened', () => {
  // 3 of 4 happened: σ(x / T) = 3/4, so T = x / ln 3
  const forecasts = [true, true, true, false].map((happened) => ({ logit: 2, happened }))
  expect(fitTemperature(forecasts)).toBeCloseTo(2 / Math.log(3), 9)
})

test('scaling the logits scales the temperature', () => {
  const forecast = fc.record({ logit: fc.integer({ min: -40, max: 40 }).map((x) => x / 10), happened: fc.boolean() })
  fc.assert(
    fc.property(fc.array(forecast, { minLength: 3, maxLength: 20 }), (forecasts) => {
      const plain = fitTemperature(forecasts)
      const scaled = fitTemperature(forecasts.map(({ logit, happened }) => ({ logit: 2 * logit, happened })))
      expect(scaled === undefined).toBe(plain === undefined)
      if (plain !== undefined && plain < 1e3) expect(scaled! / plain).toBeCloseTo(2, 6)
    }),
  )
})

test('no temperature where every forecast is right, or they are wrong on the whole', () => {
  expect(fitTemperature([{ logit: 2, happened: true }])).toBeUndefined()
  expect(fitTemperature([{ logit: 2, happened: false }])).toBeUndefined()
})
