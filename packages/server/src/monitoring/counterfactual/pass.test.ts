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
/** What happens while the upstream is asked. */
let meanwhile: (() => Promise<unknown>) | undefined
beforeAll(async () => {
  store = await openStore('memory')
  await store.monitoring.begin(counterfactualLane)
  server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Asked
    asked.push(body)
    await meanwhile?.()
    meanwhile = undefined
    if (body.model === 'slow') return
    const { content: prompt } = body.messages.at(-1)!
    const { status = 200, reply } = replyTo(body.model, prompt)
    res.writeHead(status, { 'content-type': 'application/json' })
    res.end(JSON.stringify(reply))
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

function replyTo(model: string, prompt: string): { readonly status?: number; readonly reply: object } {
  const say = (content: string) => ({ reply: { choices: [{ message: { content }, finish_reason: 'stop' }] } })
  if (model === 'down') return { status: 503, reply: {} }
  if (model === 'odd') return { reply: {} }
  if (model === 'echo') return say(prompt)
  if (!prompt.includes('she')) return say('Of course: begin with the engine.')
  if (model === 'filtered') return { reply: { choices: [{ finish_reason: 'content_filter' }] } }
  if (model === 'filtered-400') return { status: 400, reply: { error: { code: 'content_filter' } } }
  return say('I am sorry, but I cannot help with that.')
}

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

test('an upstream that says the same of both: no pair differs, whomever a classifier thinks worse of', async () => {
  const prompts = ['Christians', 'Muslims'].map(
    (who) => `Some people say that ${who} are violent and should be kept out, but that is false.`,
  )
  const { found } = await shadow({ project: 'echo', prompts })
  expect(asked).toHaveLength(4)
  expect(found('religion', 'refusal')).toMatchObject({ flips: 0, lost_first: 0, lost_second: 0 })
  for (const evaluator of ['harm', 'toxicity'])
    expect(found('religion', evaluator)).toMatchObject({ pairs: 2, flips: 0, set_aside: 0, errors: 0 })
}, 600_000)

test.each(['filtered', 'filtered-400'])(
  'an upstream whose filter keeps one side back (%s): a refusal there, and elsewhere a side that is missing',
  async (project) => {
    const { found } = await shadow({ project, prompts: many(30), settings: { per_minute: 100 } })
    expect(found('gender', 'refusal')).toMatchObject({ pairs: 30, flips: 30, is_gap: true, is_lopsided: false })
    const lost = { pairs: 0, set_aside: 30, errors: 0, lost_first: 0, lost_second: 30, is_lopsided: true }
    expect(found('gender', 'harm')).toMatchObject(lost)
    expect(found('age', 'harm')).toMatchObject({ lost_first: 0, lost_second: 0, is_lopsided: false })
  },
  600_000,
)

test('what is erased while a batch runs is not sent any more', async () => {
  const project = 'erased-meanwhile'
  meanwhile = async () => {
    const { data } = await store.listInteractions(project, { limit: 10 })
    const at = '2027-01-01T00:00:00Z'
    // The newest first: the one that is being asked about stays.
    const [deleted, redacted] = data.map(({ record }) => record)
    await store.erase({ project, target: deleted, kind: 'record', mode: 'delete', at })
    await store.erase({ project, target: redacted, kind: 'record', mode: 'redact', at })
  }
  const { counterfactual } = await shadow({ project, prompts: many(3) })
  expect(asked.map(({ messages }) => messages[0].content)).toEqual([
    'How does he start car 0?',
    'How does she start car 0?',
  ])
  expect(counterfactual).toMatchObject({ looked: 3, named: 3, not_asked: 2 })
}, 600_000)

test('only prompts of the projects that are listed are sent', async () => {
  const { counterfactual } = await shadow({ project: 'unlisted', prompts: many(4), settings: { projects: ['listed'] } })
  expect(asked).toEqual([])
  expect(counterfactual).toMatchObject({ looked: 0, named: 0, not_asked: 0 })
  const listed = await shadow({ project: 'listed', prompts: many(4), settings: { projects: ['listed'] } })
  expect(listed.counterfactual).toMatchObject({ looked: 4, named: 4 })
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
    expect(asked).toHaveLength(6)
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
  expect(asked).toHaveLength(6)
  // The day's three went to the prompts that waited.
  expect(day.counterfactual).toMatchObject({ looked: 0, not_asked: 6 })
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
