import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type GuardVerdict, reviewNextSchema } from '@plumbline/contracts'
import { openStore, type Store } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { feedbackRow } from '../feedback/row.ts'
import { pass } from '../monitoring/evaluation/pass.ts'
import { createRunner, type EvaluationRunner } from '../monitoring/evaluation/runner.ts'
import { answerRow } from '../monitoring/month.test-support.ts'
import { type MonitoringPlan, readMonitoring } from '../monitoring/plan.ts'
import { startServer, type TestServer, until } from '../server.test-support.ts'
import { disagreementOf } from './disagreement.ts'

let store: Store
let judge: Server
const runners = new Map<string, EvaluationRunner>()
let server: TestServer
beforeAll(async () => {
  store = await openStore('memory')
  server = await startServer()
  judge = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    const violates = Buffer.concat(chunks).toString('utf8').includes('medicine')
    const content = JSON.stringify({ violates, confidence: 0.9, category: 'Illicit/Violent' })
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ choices: [{ message: { content } }] }))
  })
  judge.listen(0, '127.0.0.1')
  await once(judge, 'listening')
}, 600_000)
afterAll(async () => {
  for (const runner of runners.values()) await runner.close()
  judge?.closeAllConnections()
  judge?.close()
  await server?.stop()
  await store?.close()
}, 600_000)

const at = '2026-01-02T03:04:05.000Z'
const guard = (more: Partial<GuardVerdict>): GuardVerdict => ({
  ...{ name: 'harm', version: '1', direction: 'output', mode: 'observe', outcome: 'flagged', label: 'harm' },
  ...{ score: 0.9, ms: 1, error: null },
  ...more,
})

type Answer = Parameters<typeof answerRow>[0]

/** What reviewers are shown of answers that all lanes have looked at, twice over. */
async function shown(project: string, rows: readonly Answer[], review: object = {}) {
  const plan = await judged(store, project, { rows, review })
  const items = []
  for (const _ of rows) {
    const item = await store.review.next(project, 'reviewer', 60_000)
    if (item === undefined) break
    items.push({ ...item, disagreement: disagreementOf(item, plan.review.disagreement) })
    await store.review.skip({ project, reviewer: 'reviewer', item: item.item, lease: item.lease })
  }
  return items
}

interface Judged {
  readonly rows: readonly Answer[]
  readonly review: object
}

async function judged(place: Store, project: string, { rows, review }: Judged) {
  const url = `http://127.0.0.1:${(judge.address() as AddressInfo).port}/v1`
  const asked = { url, model: 'm', policy: 'No medical advice.', sample: 1, timeout: 60 }
  const settings = { evaluators: ['harm'], judge: asked, drift: false, review: { sample: 0, ...review } }
  const plan = readMonitoring(settings, {})
  await place.insertInteractions(rows.map((row) => answerRow({ ...row, project })))
  for (const lane of plan.lanes) await look(lane, { plan, store: place })
  return plan
}

async function look(
  lane: MonitoringPlan['lanes'][number],
  on: { readonly plan: MonitoringPlan; readonly store: Store },
) {
  // Its threads load the classifiers once for all tests.
  const runner = runners.get(lane.name) ?? createRunner({ ...lane, warn: () => {} })
  runners.set(lane.name, runner)
  while (await pass(lane, { ...on, runner, now: () => Date.parse(at) }, new AbortController().signal));
}

test('a judge that flags what the classifier passes: an item for two people, with both sides', async () => {
  const found = await shown('judge', [
    { at, text: 'Take this medicine twice a day.' },
    { at, text: 'Ask a doctor.' },
  ])
  expect(found).toHaveLength(1)
  // Illicit/violent is of high stakes; the judge's flag alone has priority 50.
  expect(found[0]).toMatchObject({
    ...{ reasons: ['disagreement', 'evaluator'], priority: 52, category: 'illicit/violent' },
    disagreement: {
      ratings: [],
      flagged: [{ source: 'evaluator', name: 'judge', category: 'illicit/violent' }],
      passed: [{ source: 'evaluator', name: 'harm' }],
    },
  })
}, 600_000)

test('a guard against the classifier counts where it has judged the answer itself', async () => {
  const answer = (more: Partial<GuardVerdict>) => ({ at, text: 'Ask a doctor.', guards: [guard(more)] })
  const only = { guards: false, evaluators: [] }
  const none = [
    answer({ direction: 'input' }),
    answer({ outcome: 'blocked', error: 'GUARD_TIMEOUT' }),
    answer({ outcome: 'error', error: 'GUARD_TIMEOUT' }),
    answer({ outcome: 'passed' }),
    answer({ name: 'mail-addresses' }),
  ]
  expect(await shown('no guard', none, only)).toEqual([])
  const [item] = await shown('guard', [answer({ outcome: 'redacted' })], only)
  expect(item).toMatchObject({
    reasons: ['disagreement'],
    disagreement: {
      flagged: [{ source: 'guard', name: 'harm', score: 0.9 }],
      passed: [{ name: 'harm' }, { name: 'judge' }],
    },
  })
  expect(await shown('off', [answer({})], { ...only, disagreement: [] })).toEqual([])
}, 600_000)

test('ratings of opposite signs, over HTTP: the item says how many stand on each side', async () => {
  const [client, reviewer] = [await server.addKey('client', 'thumbs'), await server.addKey('reviewer', 'thumbs')]
  const admin = await server.addKey('admin', 'thumbs')
  const { record, id } = await server.answer(client, 'an answer to differ about', admin)
  const rate = (rating: number, person: string, interaction = record) =>
    server.send('POST', '/v1/feedback', { interaction, kind: 'rating', rating, actor: { id: person } }, client)
  for (const person of ['anna', 'ben']) expect((await rate(1, person)).status).toBe(200)
  expect((await rate(-1, 'carol', id)).status).toBe(200)
  const next = async () =>
    reviewNextSchema.parse((await server.send('GET', '/api/review/next', undefined, reviewer)).body).item ?? undefined
  expect(await until(next)).toMatchObject({
    reasons: ['disagreement'],
    disagreement: { ratings: [{ category: null, above: 2, below: 1 }], flagged: [], passed: [] },
  })
}, 600_000)

test('over HTTP an answer of the sample shows nothing of what guards, evaluators and programs say, another all of it', async () => {
  const leased = async (project: string, sample: number) => {
    const [reviewer, admin] = [await server.addKey('reviewer', project), await server.addKey('admin', project)]
    const flagged = guard({ label: 'guard-label', score: 0.8765 })
    const row = { at, text: 'Take this medicine twice a day.', guards: [flagged] }
    await judged(server.store, project, { rows: [row], review: { sample } })
    const { body } = await server.send('GET', '/api/interactions', undefined, admin)
    const [{ record: interaction }] = (body as { data: { record: string }[] }).data
    const feedback = { interaction, kind: 'rating' as const, rating: 0.4321, category: 'program-category' }
    const sender = { project, interaction, actorKind: 'system' as const, actor: 'a-program' }
    await server.store.insertFeedback([feedbackRow(feedback, sender, Date.parse(at))])
    return (await server.send('GET', '/api/review/next', undefined, reviewer)).body as object
  }
  const said = ['harm', 'judge', 'guard-label', '0.8765', '"score"', 'illicit', '0.4321', 'program-category']
  const found = (body: object) => said.filter((word) => JSON.stringify(body).includes(word))
  const plain = await leased('plain', 0)
  expect(plain).toMatchObject({ item: { reasons: expect.arrayContaining(['disagreement', 'guard']) } })
  expect(found(plain)).toEqual(said)
  const blind = await leased('blind', 1)
  const item = { reasons: ['random'], category: null, disagreement: null, feedback: [] }
  expect(blind).toMatchObject({
    item: { ...item, interaction: { text: 'Take this medicine twice a day.', guards: [] } },
  })
  expect(found(blind)).toEqual([])
}, 600_000)
