import { openStore, type Store } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pass } from '../evaluation/pass.ts'
import { createRunner } from '../evaluation/runner.ts'
import { answerRow, timesOf } from '../month.test-support.ts'
import { readOverview } from '../overview.ts'
import { readMonitoring } from '../plan.ts'
import { compareDays, dueDays } from './compare.ts'

let store: Store
beforeAll(async () => {
  store = await openStore('memory')
}, 600_000)
afterAll(() => store?.close(), 600_000)

const project = 'drift'
const signal = new AbortController().signal

test('a day of other answers is told with what moved, once; a day of few is not evaluated', async () => {
  const plan = readMonitoring({ evaluators: [], alarms: { baseline_days: 2 } }, {})
  const now = () => Date.UTC(2026, 0, 5, 1)
  const day = (n: number, count: number, words: readonly string[]) =>
    timesOf(n, count).map((at, i) =>
      answerRow({ project, at, text: `The ${words[i % words.length]} hangs from a string, see page ${i % 7}.` }),
    )
  const usual = ['plumb', 'weight', 'lead', 'bob']
  await store.insertInteractions([
    ...day(1, 60, usual),
    ...day(2, 60, usual),
    ...day(3, 60, ['invoice', 'refund', 'payment']),
    ...day(4, 5, usual),
  ])
  const [lane] = plan.lanes
  const runner = createRunner({ ...lane, warn: () => {} })
  while (await pass(lane, { store, plan, runner, now }, signal));
  await runner.close()
  expect(await compareDays({ store, plan, now, signal })).toBe(2)
  expect(await compareDays({ store, plan, now, signal })).toBe(0)
  const on = (to: string) => readOverview(store, plan, { project, from: '2026-01-01', to })
  const drifted = (await on('2026-01-03')).drift!
  expect(drifted).toMatchObject({
    day: '2026-01-03',
    state: 'measured',
    has_drifted: true,
    reference: 120,
    current: 60,
  })
  expect(drifted.moved.map(({ term }) => term)).toEqual(expect.arrayContaining(['invoice']))
  expect((await on('2026-01-04')).drift).toMatchObject({ day: '2026-01-04', state: 'not_evaluated', has_drifted: null })
  const { data: alarms } = await store.monitoring.listAlarms(project, { limit: 9 })
  expect(alarms).toMatchObject([{ kind: 'drift', evaluator: null, detections: 1 }])
}, 600_000)

test('a look that fails is kept as an error, and the next project is looked at', async () => {
  const plan = readMonitoring({ evaluators: [], alarms: { baseline_days: 2 } }, {})
  const now = () => Date.UTC(2026, 0, 4, 1)
  const rows = (name: string, change: (json: string) => string) =>
    [1, 2, 3].flatMap((n) =>
      timesOf(n, 31).map((at) => {
        const row = answerRow({ project: name, at, text: 'The plumb bob hangs from a string.' })
        return { ...row, json: change(row.json) }
      }),
    )
  const [broken, fine] = ['looked at first', 'looked at second']
  await store.insertInteractions([
    ...rows(broken, (json) => json.replace('"text":', '"text"')),
    ...rows(fine, (json) => json),
  ])
  const [lane] = plan.lanes
  const runner = createRunner({ ...lane, warn: () => {} })
  while (await pass(lane, { store, plan, runner, now }, signal));
  await runner.close()
  expect(await compareDays({ store, plan, now, signal })).toBe(2)
  const driftOf = async (name: string) =>
    (await readOverview(store, plan, { project: name, from: '2026-01-03', to: '2026-01-03' })).drift
  expect(await driftOf(broken)).toMatchObject({ day: '2026-01-03', state: 'error', has_drifted: null })
  expect(await driftOf(fine)).toMatchObject({ day: '2026-01-03', state: 'measured', current: 31 })
}, 600_000)

test('the first days are the reference; a day long past is let go', () => {
  const days = ['01', '02', '03', '04', '05'].map((n) => ({ project, day: `2026-01-${n}`, isCompared: n === '04' }))
  expect(dueDays(days, 2, '2026-01-03')).toEqual(
    ['2026-01-03', '2026-01-05'].map((day) => ({ project, day, from: '2026-01-01', to: '2026-01-02' })),
  )
  expect(dueDays(days, 2, '2026-01-05')).toHaveLength(1)
  expect(dueDays(days, 9, '2026-01-01')).toEqual([])
})
