import { on } from 'node:events'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { answerRow } from '../month.test-support.ts'
import type { evaluators } from './broken-evaluators.test-support.ts'
import { createRunner, type EvaluationRunner } from './runner.ts'
import type { ThreadReply, ThreadRequest, ThreadSetup } from './thread.ts'

const at = '2026-01-02T03:04:05.000Z'
const body = (text: string) => answerRow({ at, text }).json
const warnings: string[] = []
const runners: EvaluationRunner[] = []
afterEach(async () => {
  warnings.length = 0
  for (const runner of runners.splice(0)) await runner.close()
})

const broken = new URL('./broken-evaluators.test-support.ts', import.meta.url).href
function open(
  names: readonly (keyof typeof evaluators)[],
  patienceMs = 600_000,
  module: string = broken,
): EvaluationRunner {
  const runner = createRunner({
    setup: { names, module, facts: [], canaries: [], cohorts: [] },
    concurrency: 1,
    patienceMs,
    warn: (text) => void warnings.push(text),
  })
  runners.push(runner)
  return runner
}
const signal = new AbortController().signal
const outcomes = (judgements: Awaited<ReturnType<EvaluationRunner['evaluate']>>) =>
  judgements.map(({ judged }) => judged.map(({ outcome, error }) => error ?? outcome).join(' '))

test('an evaluator that ends its thread is tried once more, then set aside with this record alone', async () => {
  const found = await open(['throws', 'ends']).evaluate(['good', 'end', 'throw', 'good'].map(body), signal)
  expect(outcomes(found)).toEqual([
    'passed passed',
    'passed EVALUATOR_CRASHED',
    'EVALUATOR_CRASHED passed',
    'passed passed',
  ])
  expect(warnings).toEqual([expect.stringContaining('time 1'), expect.stringContaining('time 2')])
  expect(warnings[0]).toContain('ends')
  expect(outcomes(await open(['ends']).evaluate([body('good')], signal))).toEqual(['passed'])
}, 600_000)

test('findings of records that are judged quickly come together', async () => {
  const setup = { names: ['throws'], module: broken, facts: [], canaries: [], cohorts: [] }
  const workerData: ThreadSetup = { setup, concurrency: 1, underWay: new SharedArrayBuffer(8) }
  const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData, execArgv: [] })
  const records = Array.from({ length: 200 }, (_, index) => ({ index, body: body('good') }))
  thread.postMessage({ records, skip: [] } satisfies ThreadRequest)
  const replies: Exclude<ThreadReply, 'ready'>[] = []
  for await (const [reply] of on(thread, 'message') as AsyncIterable<[ThreadReply]>) {
    if (reply !== 'ready') replies.push(reply)
    if (replies.at(-1)?.isDone === true) break
  }
  expect(replies.flatMap(({ findings }) => findings.map(({ index }) => index))).toEqual(
    records.map(({ index }) => index),
  )
  expect(replies.length).toBeLessThan(100)
  await thread.terminate()
}, 600_000)

test('what is no record, and an answer without words, are no verdicts', async () => {
  const found = await open(['throws']).evaluate(['{"text": 1', body(''), '"text"'], signal)
  expect(outcomes(found)).toEqual(['RECORD_UNREADABLE', 'set_aside', 'set_aside'])
}, 600_000)

test('a record that ends the thread while it is read is set aside alone', async () => {
  const found = await open(['throws', 'ends']).evaluate(['good', 'ends the reading', 'good'].map(body), signal)
  expect(outcomes(found)).toEqual(['passed passed', 'RECORD_UNREADABLE RECORD_UNREADABLE', 'passed passed'])
  expect(warnings).toEqual([expect.stringContaining('time 1'), expect.stringContaining('time 2')])
  expect(warnings[0]).toContain('the reading of a record')
}, 600_000)

test('a record that would take more memory than the process survives is not read', async () => {
  const bomb = `{"text":"good","choices":[${'{},'.repeat(12_000_000)}{}]}`
  expect(outcomes(await open(['throws']).evaluate([bomb], signal))).toEqual(['RECORD_UNREADABLE'])
  expect(warnings).toEqual([])
}, 600_000)

test('a thread that cannot start blames no record, and is not started for ever', async () => {
  const running = open(['throws'], 600_000, 'data:text/javascript,process.exit(1)').evaluate([body('good')], signal)
  await expect(running).rejects.toMatchObject({ code: 'EVALUATION_THREAD' })
  expect(warnings).toHaveLength(2)
}, 600_000)

test('an evaluator that never ends is ended, and a stop does not wait for it', async () => {
  const hung = await open(['hangs'], 5_000).evaluate(['hang', 'good'].map(body), signal)
  expect(outcomes(hung)).toEqual(['EVALUATOR_HUNG', 'passed'])
  const stop = new AbortController()
  const running = open(['hangs']).evaluate([body('hang')], stop.signal)
  stop.abort(new Error('the worker stops'))
  await expect(running).rejects.toThrow('the worker stops')
}, 600_000)
