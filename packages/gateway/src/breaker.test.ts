import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Breaker } from './breaker.ts'

function createBreaker() {
  let now = 0
  const options = { failureRate: 0.5, windowMs: 10_000, minAttempts: 4, pauseMs: 5_000 }
  const breaker = new Breaker(options, () => now)
  const pass = (ms: number) => {
    now += ms
  }
  return { breaker, pass, fail: () => breaker.begin().failed(), succeed: () => breaker.begin().succeeded() }
}

test('opens at the failure rate, not before enough attempts', () => {
  const { breaker, fail, succeed } = createBreaker()
  for (let i = 0; i < 3; i++) fail()
  expect(breaker.state).toBe('closed')
  fail()
  expect([breaker.state, breaker.allows, breaker.waitMs]).toEqual(['open', false, 5_000])
  const steady = createBreaker()
  for (let i = 0; i < 30; i++) [steady.succeed, steady.succeed, steady.fail][i % 3]()
  expect(steady.breaker.state).toBe('closed')
  succeed()
  expect(breaker.state).toBe('open')
})

test('failures that are long ago do not count', () => {
  const { breaker, pass, fail, succeed } = createBreaker()
  for (let i = 0; i < 3; i++) fail()
  pass(10_001)
  fail()
  succeed()
  expect(breaker.state).toBe('closed')
})

test('half open, one attempt at a time finds out', () => {
  const { breaker, pass, fail } = createBreaker()
  for (let i = 0; i < 4; i++) fail()
  pass(5_000)
  expect([breaker.state, breaker.allows]).toEqual(['half_open', true])
  const first = breaker.begin()
  expect(breaker.allows).toBe(false)
  first.dropped()
  expect(breaker.allows).toBe(true)
  breaker.begin().failed()
  expect([breaker.state, breaker.waitMs]).toEqual(['open', 5_000])
  pass(5_000)
  const second = breaker.begin()
  second.succeeded()
  expect([breaker.state, breaker.allows]).toEqual(['closed', true])
  second.failed()
  expect(breaker.state).toBe('closed')
})

test('a probe that takes long keeps nobody out for longer than a pause', () => {
  for (const last of ['succeeded', 'failed', 'dropped'] as const) {
    const { breaker, pass, fail } = createBreaker()
    for (let i = 0; i < 4; i++) fail()
    pass(5_000)
    const slow = breaker.begin()
    pass(4_999)
    expect(breaker.allows).toBe(false)
    pass(1)
    expect(breaker.allows).toBe(true)
    const second = breaker.begin()
    expect(breaker.allows).toBe(false)
    second.succeeded()
    expect(breaker.state).toBe('closed')
    slow[last]()
    expect(breaker.state).toBe('closed')
  }
})

test('of two probes the first to say something decides', () => {
  const { breaker, pass, fail } = createBreaker()
  for (let i = 0; i < 4; i++) fail()
  pass(5_000)
  const slow = breaker.begin()
  pass(5_000)
  const late = breaker.begin()
  slow.failed()
  expect([breaker.state, breaker.waitMs]).toEqual(['open', 5_000])
  pass(1_000)
  late.failed()
  expect(breaker.waitMs).toBe(4_000)
  pass(4_000)
  expect([breaker.state, breaker.allows]).toEqual(['half_open', true])
})

/** Open, with three probes that hang, a pause apart. */
function createHanging() {
  const made = createBreaker()
  for (let i = 0; i < 4; i++) made.fail()
  const probes = [0, 1, 2].map(() => {
    made.pass(5_000)
    expect(made.breaker.allows).toBe(true)
    return made.breaker.begin()
  })
  return { ...made, probes }
}

test('of a chain of probes that hang only the first opens it again', () => {
  const { breaker, pass, probes } = createHanging()
  probes[0].failed()
  expect([breaker.state, breaker.waitMs]).toEqual(['open', 5_000])
  pass(5_000)
  probes[1].failed()
  expect([breaker.state, breaker.allows]).toEqual(['half_open', true])
  const now = breaker.begin()
  probes[2].failed()
  expect([breaker.state, breaker.allows]).toEqual(['half_open', false])
  now.failed()
  expect([breaker.state, breaker.waitMs]).toEqual(['open', 5_000])
})

test('a good probe closes, even one that an earlier probe has opened it over', () => {
  const { breaker, succeed, probes } = createHanging()
  probes[0].failed()
  probes[2].succeeded()
  expect([breaker.state, breaker.allows, breaker.waitMs]).toEqual(['closed', true, 0])
  // The probe that still hung is no news: with it and one of now half of the attempts would have failed.
  succeed()
  succeed()
  probes[1].failed()
  breaker.begin().failed()
  expect(breaker.state).toBe('closed')
})

test('an answer that breaks later is a failure too: an upstream that always breaks is left alone', () => {
  const { breaker } = createBreaker()
  for (let i = 0; i < 2; i++) {
    const trial = breaker.begin()
    trial.succeeded()
    trial.failed()
  }
  expect(breaker.state).toBe('open')
})

test('whatever happens, it opens again some time, and never lets two attempts go at once while half open', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('begin', 'succeeded', 'failed', 'dropped', 'wait')), (steps) => {
      const { breaker, pass } = createBreaker()
      const trials: ReturnType<typeof breaker.begin>[] = []
      for (const step of steps) {
        if (step === 'wait') pass(2_500)
        else if (step !== 'begin') trials.shift()?.[step as 'failed']()
        else if (breaker.allows) {
          const { state } = breaker
          trials.push(breaker.begin())
          if (state === 'half_open') expect(breaker.allows).toBe(false)
        }
      }
      for (const trial of trials) trial.dropped()
      pass(5_000)
      expect(breaker.allows).toBe(true)
    }),
  )
})
