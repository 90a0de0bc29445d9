import { expect, test } from 'vitest'
import { type WatchOptions, type WatchState, watch } from './watch.ts'

const options: WatchOptions = { falseAlarmsPerYear: 4, smallestRise: 1.2, baselineAnswers: 1000, baselineDays: 3 }
const day = (n: number) => `2026-01-${String(n).padStart(2, '0')}`

function run(batches: readonly { hits: number; n: number; days: string[] }[], from?: WatchState) {
  let state = from
  let alarms = 0
  for (const batch of batches) {
    const next = watch(state, batch, options)
    // What is kept is JSON.
    state = JSON.parse(JSON.stringify(next.state)) as WatchState
    alarms += Number(next.alarm !== undefined)
  }
  return { state: state!, alarms }
}
const quiet = (n: number) => ({ hits: 10, n: 500, days: [day(n)] })

test('the first days give the baseline, a rise sets off an alarm, and the detector begins anew', () => {
  const { state } = run([1, 2, 3, 4].map(quiet))
  expect(state).toMatchObject({ phase: 'watching', baseline: { hits: 40, n: 2000 } })
  expect(
    run(
      Array.from({ length: 20 }, (_, i) => quiet(5 + i)),
      state,
    ).alarms,
  ).toBe(0)
  const risen = run([{ hits: 60, n: 500, days: [day(9)] }], state)
  expect(risen.alarms).toBe(1)
  expect(risen.state).toMatchObject({ phase: 'watching', detector: { n: 0, hits: 0 } })
})

test('the traffic of a year is that of whole days: the day just begun makes it no lower', () => {
  const { state } = run([...[1, 2, 3].map(quiet), { hits: 0, n: 1, days: [day(4)] }])
  expect(state.phase === 'watching' && state.observationsPerYear).toBeCloseTo((1501 / 3) * 365, 6)
})

test('neither few answers nor few days are a baseline', () => {
  expect(run([{ hits: 9, n: 5000, days: [day(1)] }]).state.phase).toBe('learning')
  expect(run([1, 2, 3, 4, 5].map((n) => ({ hits: 0, n: 5, days: [day(n)] }))).state.phase).toBe('learning')
})

test('a clock that goes back, or leaps, changes nothing', () => {
  const batches = [1, 2, 3, 4, 5, 6].map(quiet)
  const straight = run(batches)
  const back = run(batches.map((batch, i) => (i > 3 ? { ...batch, days: ['1999-12-31'] } : batch)))
  expect(back).toEqual(straight)
  const leaped = run(batches.map((batch, i) => (i === 2 ? { ...batch, days: ['2099-01-01'] } : batch)))
  expect(leaped.state).toEqual(straight.state)
})

test('no answer changes nothing; answers all of one kind are watched or said to be of no use', () => {
  expect(watch(undefined, { hits: 0, n: 0, days: [] }, options).alarm).toBeUndefined()
  const none = run([1, 2, 3, 4].map((n) => ({ hits: 0, n: 500, days: [day(n)] })))
  expect(none.state).toMatchObject({ phase: 'watching', baseline: { estimate: 0 } })
  expect(run([{ hits: 40, n: 500, days: [day(5)] }], none.state).alarms).toBe(1)
  const all = run([1, 2, 3, 4].map((n) => ({ hits: 500, n: 500, days: [day(n)] })))
  expect(all.state).toMatchObject({ phase: 'unusable', reason: expect.stringContaining('no rise') })
})
