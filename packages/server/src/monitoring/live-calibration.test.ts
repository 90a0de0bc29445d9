import { evaluatorListSchema, type MonitoringOverview, reviewNextSchema } from '@plumbline/contracts'
import { openStore, type Store } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { blinded } from '../review/blinded.ts'
import { pass } from './evaluation/pass.ts'
import { samplePicks } from './evaluation/review-sample.ts'
import { createRunner, type EvaluationRunner } from './evaluation/runner.ts'
import { listEvaluators } from './evaluator-list.ts'
import { liveLabelsOf } from './live-calibration.ts'
import { answerRow, timesOf } from './month.test-support.ts'
import { readOverview } from './overview.ts'
import { type MonitoringPlan, readMonitoring } from './plan.ts'

const refused = "I'm sorry, but I can't help with that request."
const answered = 'A plumb line is a string with a weight at its end. It shows which way is down.'
const range = { from: '2026-01-01', to: '2026-01-31' }

let store: Store
let runner: EvaluationRunner
beforeAll(async () => {
  store = await openStore('memory')
  runner = createRunner({ ...planWith({}).lanes[0], warn: () => {} })
}, 600_000)
afterAll(async () => {
  await runner?.close()
  await store?.close()
}, 600_000)

const planWith = (review: object) =>
  readMonitoring({ evaluators: ['refusal', 'personal-data'], drift: false, review }, {})

async function answersOn(project: string, day: number, texts: readonly string[], plan: MonitoringPlan) {
  const times = timesOf(day, texts.length)
  await store.insertInteractions(texts.map((text, i) => answerRow({ project, at: times[i], text })))
  const now = () => Date.UTC(2026, 0, day)
  while (await pass(plan.lanes[0], { store, plan, runner, now }, new AbortController().signal));
}

/** A reviewer who judges all that waits: what is called refused, a judgement in the middle left open where asked. */
async function judgeAll(project: string, labelOf: (text: string, index: number) => string) {
  for (let i = 0; ; i++) {
    const next = await store.review.next(project, 'anna', 60_000)
    if (next === undefined) return i
    const { item, lease, isBlind, interaction } = next
    expect(isBlind).toBe(true)
    const answer = { label: labelOf(interaction.text, i) }
    await store.review.submit({ project, reviewer: 'anna', item, lease }, { answer, people: 1 })
  }
}

const refusalOf = <T extends { evaluator: string }>(list: readonly T[]) =>
  list.find(({ evaluator }) => evaluator === 'refusal')!
const read = async (project: string, plan: MonitoringPlan) => {
  const list = evaluatorListSchema.parse(await listEvaluators(store, plan, { project, ...range }))
  const overview: MonitoringOverview = await readOverview(store, plan, { project, ...range })
  return { sample: list.sample, listed: refusalOf(list.data), shown: refusalOf(overview.evaluators) }
}

const project = 'labels'
const named = { sample: 1, sample_per_day: 1000, per_day: 0 }

test('what reviewers settle of a random sample corrects the rate, once there is enough of it', async () => {
  const plan = planWith({ ...named, labels: { refusal: ['refused'] } })
  const texts = Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? refused : answered))
  await answersOn(project, 2, texts.slice(0, 20), plan)
  const before = await read(project, plan)
  expect(before.sample).toMatchObject({ drawn: 20, settled: 0, waiting: 20 })
  expect(before.listed).toMatchObject({ corrected_by: 'dataset', live: { state: 'too_few', n: 0, sensitivity: null } })
  // People call a refusal what the evaluator calls one, but for every tenth answer of each kind.
  const judged = { refused: 0, good: 0 }
  const label = (text: string) => {
    const [right, wrong] = text === refused ? (['refused', 'good'] as const) : (['good', 'refused'] as const)
    return ++judged[right] % 10 === 0 ? wrong : right
  }
  expect(await judgeAll(project, label)).toBe(20)
  const few = await read(project, plan)
  expect(few.listed).toMatchObject({ corrected_by: 'dataset', live: { state: 'too_few', n: 20, labels: ['refused'] } })
  await answersOn(project, 3, texts.slice(20), plan)
  await judgeAll(project, label)
  const after = await read(project, plan)
  expect(after.sample).toMatchObject({ drawn: 64, settled: 64, waiting: 0, waiting_since: null })
  expect(after.listed).toMatchObject({
    ...{ corrected_by: 'live_labels', calibration: { dataset: before.listed.calibration!.dataset } },
    live: { state: 'in_use', n: 64, from: '2026-01-02', to: '2026-01-03' },
  })
  const { sensitivity, specificity, flagged, effective } = after.listed.live
  // All were drawn with one probability.
  expect(effective).toEqual({ flagged, others: 64 - flagged })
  expect([sensitivity!.n, sensitivity!.n + specificity!.n]).toEqual([flagged, 64])
  expect(sensitivity!.hits + specificity!.hits).toBe(64 - 6)
  expect(after.shown.corrected_by).toBe('live_labels')
  expect(after.shown.corrected!.value).toBeCloseTo(flagged / 64, 2)
}, 600_000)

test('of another version nothing is known, and without a label that is named for it what it came with', async () => {
  const plan = planWith({ ...named, labels: { refusal: ['refused'] } })
  const lanes = plan.lanes.map((lane) => ({
    ...lane,
    evaluators: lane.evaluators.map((one) => ({ ...one, version: `${one.version}-changed` })),
  }))
  const { data } = await listEvaluators(store, { ...plan, lanes }, { project, ...range })
  const changed = { is_calibrated: false, corrected_by: null, calibration: null, live: { n: 0 } }
  for (const one of data.filter(({ is_current }) => is_current)) expect(one).toMatchObject(changed)
  const { listed } = await read(project, planWith({ ...named, labels: {} }))
  expect(listed).toMatchObject({ corrected_by: 'dataset', live: { state: 'no_question', labels: [], n: 0 } })
}, 600_000)

test('a label alone, or one with its category; the judge’s own draw counts beside the sample’s', () => {
  const said = (label: string, category: string | null, answers: number) => ({
    ...{ evaluator: 'harm', version: '1', isFlagged: true, label, category, answers, probability: 0.5, drawnWith: 0.1 },
    ...{ from: '2026-01-01', to: '2026-01-01', settledAt: '2026-01-02T00:00:00.000Z' },
  })
  const verdicts = [said('harmful', 'hate', 3), said('harmful', null, 5), said('good', 'hate', 7)]
  const sample = { verdicts, drawn: 15, settled: 15, discarded: 0, seen: 0, waiting: 0, waitingSince: null }
  const flagged = (labels: string[], lane = 'records') =>
    liveLabelsOf({ evaluator: 'harm', version: '1', lane }, sample, planWith({ labels: { harm: labels } }))
  expect(flagged(['harmful'])).toMatchObject({ n: 15, flagged: 8, sensitivity: { hits: 8, n: 8 } })
  expect(flagged(['harmful/hate'])).toMatchObject({ flagged: 3, specificity: { hits: 0, n: 12 } })
  // A category covers those below it, and no other that begins alike.
  const below = { ...sample, verdicts: [said('harmful', 'hate/threatening', 2), said('harmful', 'hateful', 4)] }
  const lane = { evaluator: 'harm', version: '1', lane: 'records' }
  for (const [label, answers] of [
    ['harmful/hate', 2],
    ['harmful/hate/threatening', 2],
    ['harmful/hat', 0],
    ['harm', 0],
  ] as const)
    expect(liveLabelsOf(lane, below, planWith({ labels: { harm: [label] } })).flagged).toBe(answers)
  const uneven = { ...sample, verdicts: [...verdicts, { ...said('harmful', 'hate', 1), drawnWith: 0.001 }] }
  const of = (lane: string) =>
    liveLabelsOf({ evaluator: 'harm', version: '1', lane }, uneven, planWith({ labels: { harm: ['harmful'] } }))
  expect([of('records').sensitivity!.n, of('judge').sensitivity!.n]).toEqual([9, 1])
})

test('more traffic, a smaller share of it: about so many a day, each with the probability that it had', () => {
  const evaluated = Array.from({ length: 4000 }, (_, i) => ({
    head: { project: 'p', record: `r${i}`, hasAnswer: i % 2 === 0 },
    ...{ isEven: i % 4 < 3, evenProbability: 0.5 },
  })) as never
  const pick = (drawn: number) =>
    samplePicks(evaluated, { sample: 0.4, perDay: 100, at: '2026-01-01T00:00:00.000Z' })(new Map([['p', drawn]]))
  const few = pick(200)
  expect(few.length / 2000).toBeCloseTo(0.4, 1)
  expect(new Set(few.map(({ probability }) => probability))).toEqual(new Set([0.2]))
  const many = pick(2000)
  expect(new Set(many.map(({ probability }) => probability))).toEqual(new Set([0.025]))
  expect(many.length).toBeLessThan(2 * 100)
  expect(many.every(({ reason }) => reason === 'random')).toBe(true)
})

test('reviewers of the sample are shown neither why an answer is there nor what guards and programs say of it', () => {
  const said = (actor_kind: 'system' | 'end_user') => ({ actor_kind, text: `said by ${actor_kind}` })
  const lease = {
    interaction: { text: 'x', guards: [{ name: 'harm', outcome: 'flagged' }], notes: ['guard harm'] },
    feedback: [said('system'), said('end_user')],
  }
  const shown = blinded(lease as never)
  expect(shown).toMatchObject({ reasons: ['random'], category: null, disagreement: null })
  expect(JSON.stringify(shown)).not.toMatch(/harm|system/)
  expect(shown.feedback).toHaveLength(1)
  expect(Object.keys(shown).every((name) => name in reviewNextSchema.shape.item.unwrap().shape)).toBe(true)
})
