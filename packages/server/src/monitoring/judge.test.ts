import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openStore, type Store } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pass } from './evaluation/pass.ts'
import { createRunner } from './evaluation/runner.ts'
import { answerRow, timesOf } from './month.test-support.ts'
import { readOverview } from './overview.ts'
import { readMonitoring } from './plan.ts'

let store: Store
let server: Server
beforeAll(async () => {
  store = await openStore('memory')
  server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    const { model, messages } = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    if (model === 'slow') return
    const isBad = messages[1].content.includes('medicine')
    const content =
      model === 'prose'
        ? 'I think that this answer is quite all right.'
        : JSON.stringify({ violates: isBad, confidence: 0.9, category: 'Illicit/Violent' })
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ choices: [{ message: { content } }] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
}, 600_000)
afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await store?.close()
}, 600_000)

/** What is shown of ten answers that a judge was asked about. */
async function judgedBy(model: string, url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`) {
  const judge = { url, model, policy: 'No medical advice.', sample: 1, timeout: model === 'slow' ? 0.2 : 60 }
  const plan = readMonitoring({ evaluators: [], judge, drift: false, review: { sample: 0 } }, {})
  const [, lane] = plan.lanes
  const project = `judge-${model}`
  const text = (i: number) => (i < 3 ? 'Take this medicine twice a day.' : 'Ask a doctor.')
  await store.insertInteractions(timesOf(2, 10).map((at, i) => answerRow({ project, at, text: text(i) })))
  const runner = createRunner({ ...lane, warn: () => {} })
  const now = () => Date.UTC(2026, 1, 1)
  while (await pass(lane, { store, plan, runner, now }, new AbortController().signal));
  await runner.close()
  const { evaluators } = await readOverview(store, plan, { project, from: '2026-01-01', to: '2026-01-03' })
  return { project, reading: evaluators.find(({ evaluator }) => evaluator === 'judge')! }
}

test('a judge that answers as asked gives verdicts, which reviewers are shown', async () => {
  const { project, reading } = await judgedBy('good')
  expect(reading).toMatchObject({ state: 'measured', judged: 10, flagged: 3, errors: 0, is_calibrated: false })
  const next = await store.review.next(project, 'somebody', 60_000)
  // A category of high stakes wants two people.
  expect(next).toMatchObject({ reasons: ['evaluator'], category: 'illicit/violent', interaction: { project } })
}, 600_000)

test.each(['prose', 'slow'])(
  'a judge that is %s is an error and never a verdict',
  async (model) => {
    const { reading } = await judgedBy(model)
    expect(reading).toMatchObject({ state: 'error', judged: 0, flagged: 0, errors: 10, raw: null, corrected: null })
    expect(reading.reason).toContain('budget')
  },
  600_000,
)

test('a judge that is down is an error too', async () => {
  const { reading } = await judgedBy('down', 'http://127.0.0.1:9/v1')
  expect(reading).toMatchObject({ state: 'error', judged: 0, errors: 10, raw: null })
}, 600_000)
