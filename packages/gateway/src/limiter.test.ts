import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLimiter } from './limiter.ts'
import { RequestError } from './openai-error.ts'

function startLimiter() {
  let now = 0
  const limited: string[] = []
  const limiter = createLimiter(
    () => now,
    (limit) => limited.push(limit),
  )
  const pass = (ms: number) => {
    now += ms
  }
  return { limiter, limited, pass }
}

function refused(work: () => unknown): RequestError {
  try {
    work()
  } catch (error) {
    if (error instanceof RequestError) return error
  }
  throw new Error('was not refused')
}

const key = (id = 'k', limits = {}) => ({ id, limits })

test('requests: a minute’s worth at once, then steadily', () => {
  const { limiter, limited, pass } = startLimiter()
  const ask = () => limiter.admit(key(), { requests_per_minute: 6 }).end(0)
  for (let i = 0; i < 6; i++) ask()
  const error = refused(ask)
  expect(error).toMatchObject({ status: 429, headers: { 'retry-after': '10', 'x-ratelimit-remaining-requests': '0' } })
  pass(9_999)
  expect(refused(ask).headers['retry-after-ms']).toBe('1')
  pass(1)
  ask()
  refused(ask)
  expect(limited).toEqual(['requests', 'requests', 'requests'])
})

test('over any minute, no more than the limit and what had gathered', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(5_000), { maxLength: 300 }), (limit, waits) => {
      const { limiter, pass } = startLimiter()
      let passed = 0
      let allowed = 0
      for (const wait of waits) {
        pass(wait)
        passed += wait
        try {
          limiter.admit(key(), { requests_per_minute: limit }).end(0)
          allowed++
        } catch {}
      }
      expect(allowed).toBeLessThanOrEqual(limit + (passed * limit) / 60_000 + 1e-6)
    }),
  )
})

test('tokens: a guess too low becomes a debt, one too high is given back', () => {
  const { limiter, pass } = startLimiter()
  const ask = (estimate: number) => {
    const permit = limiter.admit(key(), { tokens_per_minute: 600 })
    try {
      permit.reserveTokens(estimate)
      return permit
    } catch (error) {
      permit.end(0)
      throw error
    }
  }
  ask(600).end(100)
  ask(500).end(900)
  expect(refused(() => ask(1)).headers['retry-after']).toBe('41')
  pass(40_000)
  refused(() => ask(1))
  pass(100)
  ask(1).end(1)
  // What needs more than a minute goes when the minute is whole.
  refused(() => ask(5_000))
  pass(60_000)
  ask(5_000).end(0)
})

test('concurrent: as many as allowed, and each end makes room', () => {
  const { limiter } = startLimiter()
  const admit = () => limiter.admit(key(), { concurrent: 2 })
  const [first] = [admit(), admit()]
  expect(refused(admit)).toMatchObject({ status: 429 })
  first.end(0)
  admit()
  refused(admit)
})

test('limits of the key go before those of the configuration; null lifts one', () => {
  const { limiter } = startLimiter()
  const defaults = { requests_per_minute: 1 }
  for (let i = 0; i < 5; i++) limiter.admit(key('free', { requests_per_minute: null }), defaults).end(0)
  for (let i = 0; i < 2; i++) limiter.admit(key('two', { requests_per_minute: 2 }), defaults).end(0)
  refused(() => limiter.admit(key('two', { requests_per_minute: 2 }), defaults))
  limiter.admit(key('one'), defaults).end(0)
  refused(() => limiter.admit(key('one'), defaults))
})

test('memory: keys that have been quiet are forgotten, those with something open or owed are not', () => {
  const { limiter, pass } = startLimiter()
  const limits = { requests_per_minute: 10, tokens_per_minute: 10 }
  const open = limiter.admit(key('open'), { concurrent: 1 })
  const indebted = limiter.admit(key('indebted'), limits)
  indebted.reserveTokens(1)
  indebted.end(1_000)
  for (let i = 0; i < 100_000; i++) {
    if (i % 1_000 === 0) pass(1_000)
    limiter.admit(key(`key-${i}`), limits).end(0)
  }
  // A request takes six seconds to be forgotten: some 6,000 keys, and twice that before they are looked through.
  expect(limiter.size).toBeLessThan(15_000)
  refused(() => limiter.admit(key('open'), { concurrent: 1 }))
  const again = limiter.admit(key('indebted'), limits)
  refused(() => again.reserveTokens(1))
  open.end(0)
})
