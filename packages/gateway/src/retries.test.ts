import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RetryBudget, readRetryAfter, retryWait } from './retries.ts'

test('the budget: a burst, then its share of the requests', () => {
  const budget = new RetryBudget(0.1)
  const takeAll = () => {
    let taken = 0
    while (budget.take()) taken++
    return taken
  }
  expect(takeAll()).toBe(10)
  for (let i = 0; i < 9; i++) budget.add()
  expect(takeAll()).toBe(0)
  budget.add()
  expect(takeAll()).toBe(1)
  for (let i = 0; i < 10_000; i++) budget.add()
  expect(takeAll()).toBe(10)
  expect(new RetryBudget(0).take()).toBe(false)
})

test('over any run of requests, retries stay within the burst and the share', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { maxLength: 500 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (asks, share) => {
        const budget = new RetryBudget(share)
        let taken = 0
        for (const asksForMore of asks) {
          budget.add()
          if (asksForMore && budget.take()) taken++
        }
        expect(taken).toBeLessThanOrEqual(10 + share * asks.length + 1e-6)
      },
    ),
  )
})

const options = { max: 2, budget: 0.1, baseMs: 100, maxWaitMs: 1_000 }

test('waits: full jitter, doubled, capped, and after what the upstream asks for', () => {
  expect(retryWait(0, 0, options, 0)).toBe(0)
  expect([0, 1, 2, 9].map((nth) => retryWait(nth, 0, options, 0.5))).toEqual([50, 100, 200, 500])
  expect(retryWait(0, 700, options, 0.5)).toBe(750)
})

test('retry-after in all its forms', () => {
  const read = (headers: Record<string, string>) => readRetryAfter(headers, Date.parse('2026-01-02T03:04:05Z'))
  expect(read({ 'retry-after': '7' })).toBe(7_000)
  expect(read({ 'retry-after': '0.5' })).toBe(500)
  expect(read({ 'retry-after': '7', 'retry-after-ms': '250' })).toBe(250)
  expect(read({ 'retry-after': 'Fri, 02 Jan 2026 03:04:15 GMT' })).toBe(10_000)
  expect(read({ 'retry-after': 'Fri, 02 Jan 2026 03:04:00 GMT' })).toBe(0)
  expect(read({ 'retry-after': 'soon' })).toBeUndefined()
  expect(read({ 'retry-after': '-1' })).toBeUndefined()
  expect(read({})).toBeUndefined()
})
