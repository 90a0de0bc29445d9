import { expect, test } from 'vitest'
import { createRateLimiter } from './rate-limit.ts'

test('a million from one client: no more than its burst and its rate, and nothing else is kept', () => {
  let now = 0
  const limiter = createRateLimiter({ perSecond: 10, burst: 100 }, () => now)
  let allowed = 0
  for (let i = 0; i < 1_000_000; i++) {
    now = i / 100 // ten seconds
    if (limiter.take('one') === 0) allowed++
  }
  expect(allowed).toBeGreaterThanOrEqual(199)
  expect(allowed).toBeLessThanOrEqual(200)
  expect(limiter.size).toBe(1)
})

test('a hundred thousand names take no more memory than the newest; one that goes on stays limited', () => {
  const limiter = createRateLimiter({ perSecond: 1, burst: 1 }, () => 0, 1_000)
  let allowed = 0
  for (let i = 0; i < 100_000; i++) {
    limiter.take(`name ${i}`)
    if (limiter.take('busy') === 0) allowed++
  }
  expect(allowed).toBe(1)
  expect(limiter.size).toBe(1_000)
})

test('says how long to wait; a clock that goes back gives nothing', () => {
  let now = 1_000
  const limiter = createRateLimiter({ perSecond: 2, burst: 1 }, () => now)
  expect(limiter.take('a')).toBe(0)
  expect(limiter.take('a')).toBeCloseTo(0.5)
  now = 0
  expect(limiter.take('a')).toBeCloseTo(0.5)
  now = 500
  expect(limiter.take('a')).toBe(0)
})
