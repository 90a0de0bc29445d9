import { type MonitoringOverview, monitoringOverviewSchema } from '@plumbline/contracts'
import { openStore, type Store } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pass } from './evaluation/pass.ts'
import { createRunner } from './evaluation/runner.ts'
import { answerRow, failedRow, timesOf } from './month.test-support.ts'
import { readOverview } from './overview.ts'
import { type MonitoringPlan, readMonitoring } from './plan.ts'

const refused = "I'm sorry, but I can't help with that request."
const answered = 'A plumb line is a string with a weight at its end. It shows which way is down.'
const signal = new AbortController().signal
const now = () => Date.UTC(2026, 1, 1)

let store: Store
beforeAll(async () => {
  store = await openStore('memory')
}, 600_000)
afterAll(() => store?.close(), 600_000)

/** Looks at everything that is there, as the service does. */
async function lookAtAll(plan: MonitoringPlan): Promise<string[]> {
  const warnings: string[] = []
  for (const lane of plan.lanes) {
    const runner = createRunner({ ...lane, warn: (text) => void warnings.push(text) })
    while (await pass(lane, { store, plan, runner, now }, signal));
    await runner.close()
  }
  return warnings
}

const overview = (plan: MonitoringPlan, project: string, from = '2026-01-01', to = '2026-01-31') =>
  readOverview(store, plan, { project, from, to })
const named = (read: MonitoringOverview, name: string) => read.evaluators.find(({ evaluator }) => evaluator === name)!

test('a month of answers: volumes, rates with bands by day, releases; nothing twice', async () => {
  const project = 'month'
  const plan = readMonitoring({ evaluators: ['refusal', 'personal-data', 'groundedness'], drift: false }, {})
  const day = (n: number, refusals: number) =>
    timesOf(n, 40).map((at, i) => answerRow({ project, at, text: i < refusals ? refused : answered, model: `m-${n}` }))
  await store.insertInteractions([...day(3, 4), ...day(5, 20), failedRow(project, timesOf(5, 1)[0])])
  await lookAtAll(plan)
  await lookAtAll(plan)
  const read = monitoringOverviewSchema.parse(await overview(plan, project))
  expect(read.days).toHaveLength(31)
  expect(read.days[2]).toEqual({ day: '2026-01-03', answers: 40, failed: 0, sampled: 40, evaluated: 40, errors: 0 })
  expect(read.days[4]).toMatchObject({ answers: 40, failed: 1, evaluated: 40 })
  expect(read.days[5]).toMatchObject({ answers: 0, sampled: 0 })
  const refusal = named(read, 'refusal')
  expect(refusal).toMatchObject({ state: 'measured', judged: 80, flagged: 24, is_calibrated: true, is_current: true })
  expect(refusal.raw!.value).toBeCloseTo(0.3, 10)
  expect(refusal.corrected!.value).not.toBeCloseTo(0.3, 3)
  expect(refusal.days[4].raw!.low).toBeGreaterThan(refusal.days[2].raw!.value)
  // A day without answers has no rate, and an evaluator without its context says nothing.
  expect(refusal.days[5]).toMatchObject({ state: 'no_data', raw: null, corrected: null })
  expect(named(read, 'groundedness')).toMatchObject({ state: 'not_evaluated', judged: 0, set_aside: 80, raw: null })
  expect(named(read, 'personal-data')).toMatchObject({ is_calibrated: false, corrected: null })
  const models = read.releases.filter(({ kind }) => kind === 'model')
  expect(models.map(({ name, at }) => [name, at.slice(0, 10)])).toEqual([
    ['m-3', '2026-01-03'],
    ['m-5', '2026-01-05'],
  ])
})

test('a month without data is no data, not zero', async () => {
  const plan = readMonitoring(undefined, {})
  const read = await overview(plan, 'nobody')
  expect(read.evaluators).toHaveLength(4)
  for (const one of read.evaluators) expect(one).toMatchObject({ state: 'no_data', raw: null, corrected: null })
  expect(read).toMatchObject({ open_alarms: [], releases: [], cohorts: [], drift: null })
})
