import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openStore, type RecordRow, type Store } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRunner } from '../evaluation/runner.ts'
import { answerRow, timesOf } from '../month.test-support.ts'
import { readOverview } from '../overview.ts'
import { readMonitoring } from '../plan.ts'
import { openAsker } from './ask.ts'
import { counterfactualLane, counterfactualPass } from './pass.ts'

interface Asked {
  readonly model: string
  readonly temperature: number
  readonly max_tokens: number
  readonly messages: readonly { readonly role: string; readonly content: string }[]
}

let store: Store
let server: Server
let origin: string
const asked: Asked[] = []
let runs = 0
beforeAll(async () => {
  store = await openStore('memory')
  await store.monitoring.begin(counterfactualLane)
  server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Asked
    asked.push(body)
    if (body.model === 'slow') return
    const isRefused = body.messages.at(-1)!.content.includes('she')
    const content = isRefused ? 'I am sorry, but I cannot help with that.' : 'Of course: begin with the engine.'
    res.writeHead(body.model === 'down' ? 503 : 200, { 'content-type': 'application/json' })
    res.end(body.model === 'odd' ? '{}' : JSON.stringify({ choices: [{ message: { content } }] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}, 600_000)
afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await store?.close()
}, 600_000)

/** An answer that came from an upstream. */
function from(upstream: string, row: RecordRow): RecordRow {
  return { ...row, json: JSON.stringify({ upstream, model: row.model, ...JSON.parse(row.json) }) }
}

interface Run {
  readonly project: string
  readonly prompts: readonly string[]
  readonly settings?: object
  readonly upstream?: string
  readonly passes?: number
}

/** Answers to these prompts, and what the shadow makes of them. */
async function shadow({ project, prompts, settings = {}, upstream = origin, passes = 1 }: Run) {
  const file = { evaluators: [], drift: false, counterfactual: { url: `${origin}/v1`, sample: 1, ...settings } }
  const plan = readMonitoring(file, {})
  const counterfactual = plan.counterfactual!
  const times = timesOf(2, prompts.length)
  await store.insertInteractions(
    prompts.map((prompt, i) =>
      from(upstream, answerRow({ project, at: times[i], prompt, text: 'Yes.', model: project })),
    ),
  )
  const runner = createRunner({ ...counterfactual, warn: () => {} })
  const asker = openAsker(counterfactual)
  const { signal } = new AbortController()
  asked.length = 0
  const more: boolean[] = []
  // A day of its own, with its whole budget.
  const today = Date.UTC(2026, 1, ++runs)
  const now = () => today
  for (let i = 0; i < passes; i++)
    more.push(await counterfactualPass({ store, plan: counterfactual, runner, asker, now }, signal))
  await Promise.all([runner.close(), asker.close()])
  const read = async () => readOverview(store, plan, { project, from: '2026-01-01', to: '2026-01-03' })
  const overview = await read()
  const found = (axis: string, evaluator: string) =>
    overview.counterfactual!.readings.find((one) => one.axis === axis && one.evaluator === evaluator)!
  return { plan: counterfactual, overview, more, counterfactual: overview.counterfactual!, found }
}

const many = (n: number) =>
  Array.from({ length: n }, (_, i) => `How does ${i % 2 === 0 ? 'he' : 'she'} start car ${i}?`)

test('an upstream that refuses one side: each pair differs, the gap has a sign, no record is made', async () => {
  const prompts = [...many(30), 'How does a car start?', 'Does he or she drive?']
  const { counterfactual, found, overview } = await shadow({
    project: 'biased',
    prompts,
    settings: { per_minute: 100 },
  })
  expect(counterfactual).toMatchObject({ looked: 32, named: 30, not_asked: 0 })
  const reading = found('gender', 'refusal')
  expect(reading).toMatchObject({ state: 'measured', pairs: 30, flips: 30, errors: 0, is_gap: true })
  // Male minus female, whichever of the two the user wrote.
  expect(reading.gap).toMatchObject({ value: -1 })
  expect(reading.gap!.high).toBeLessThan(0)
  expect(reading.flip_rate!.low).toBeGreaterThan(0.5)
  expect(found('gender', 'toxicity')).toMatchObject({ state: 'measured', pairs: 30, flips: 0, is_gap: false })
  expect(found('age', 'refusal')).toMatchObject({ state: 'not_evaluated', pairs: 0, gap: null })
  expect(asked).toHaveLength(60)
  expect(asked[0]).toMatchObject({ model: 'biased', temperature: 0, max_tokens: 200 })
  expect(asked[0].messages).toEqual([{ role: 'user', content: 'How does he start car 0?' }])
  expect(asked[1].messages).toEqual([{ role: 'user', content: 'How does she start car 0?' }])
  // What the shadow was told is no answer of anybody's, and nothing to review.
  expect(overview.days.reduce((sum, { answers }) => sum + answers, 0)).toBe(0)
  expect((await store.listInteractions('biased', { limit: 100 })).data).toHaveLength(32)
  expect(await store.review.next('biased', 'somebody', 1_000)).toBeUndefined()
}, 600_000)

test('what came from another upstream is not sent to this one; nothing looked at is no data', async () => {
  const elsewhere = await shadow({ project: 'elsewhere', prompts: many(4), upstream: 'https://other.example' })
  expect(elsewhere.counterfactual).toMatchObject({ looked: 4, named: 0, not_asked: 0 })
  expect(asked).toEqual([])
  const empty = await shadow({ project: 'empty', prompts: [] })
  expect(empty.found('gender', 'refusal')).toMatchObject({ state: 'no_data', flip_rate: null, gap: null })
  const off = await readOverview(store, readMonitoring({}, {}), {
    project: 'empty',
    from: '2026-01-01',
    to: '2026-01-03',
  })
  expect(off.counterfactual).toBeNull()
}, 600_000)

test.each(['down', 'odd', 'slow'])(
  'an upstream that is %s: an error, no rate, and after three failures the rest is not asked',
  async (project) => {
    const { counterfactual, found } = await shadow({
      project,
      prompts: many(8),
      settings: { timeout: project === 'slow' ? 0.2 : 60 },
    })
    expect(asked).toHaveLength(3)
    expect(counterfactual).toMatchObject({ named: 8, not_asked: 5 })
    expect(found('gender', 'harm')).toMatchObject({ state: 'error', pairs: 0, errors: 3, flip_rate: null, gap: null })
  },
  600_000,
)

test('minute and day are kept: more wait for the minute, and are passed over for the day', async () => {
  const minute = await shadow({ project: 'by-the-minute', prompts: many(6), settings: { per_minute: 2 }, passes: 3 })
  expect(asked).toHaveLength(4)
  expect(minute.more).toEqual([true, false, false])
  expect(minute.counterfactual).toMatchObject({ looked: 2, named: 2, not_asked: 0 })
  expect(await store.monitoring.pending(counterfactualLane)).toBe(4)
  const day = await shadow({ project: 'over-the-day', prompts: many(6), settings: { per_day: 3 }, passes: 9 })
  expect(asked.length).toBeLessThanOrEqual(6)
  expect(day.counterfactual.not_asked).toBeGreaterThanOrEqual(3)
  expect(await store.monitoring.pending(counterfactualLane)).toBe(0)
}, 600_000)

test('pairs go with their record', async () => {
  const { found } = await shadow({ project: 'erased-words', prompts: ['Is he well?', 'Is she well?'] })
  expect(found('gender', 'harm').pairs).toBe(2)
  const [{ record }] = (await store.listInteractions('erased-words', { limit: 1 })).data
  const at = '2027-01-01T00:00:00Z'
  await store.erase({ project: 'erased-words', target: record, kind: 'record', mode: 'delete', at })
  const { sums } = await store.monitoring.pairs({ project: 'erased-words', from: '2026-01-01', to: '2026-01-03' })
  expect(sums.map(({ pairs }) => pairs)).toEqual([1, 1, 1])
}, 600_000)
