import { afterEach, expect, test } from 'vitest'
import { answerRow } from '../month.test-support.ts'
import type { evaluators } from './broken-evaluators.test-support.ts'
import { createRunner, type EvaluationRunner } from './runner.ts'

const at = '2026-01-02T03:04:05.000Z'
const body = (text: string) => answerRow({ at, text }).json
const warnings: string[] = []
const runners: EvaluationRunner[] = []
afterEach(async () => {
  warnings.length = 0
  for (const runner of runners.splice(0)) await runner.close()
})

function open(names: readonly (keyof typeof evaluators)[], patienceMs = 600_000): EvaluationRunner {
  const module = new URL('./broken-evaluators.test-support.ts', import.meta.url).href
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

test('what is no record, and an answer without words, are no verdicts', async () => {
  const found = await open(['throws']).evaluate(['{"text": 1', body(''), '"text"'], signal)
  expect(outcomes(found)).toEqual(['RECORD_UNREADABLE', 'set_aside', 'set_aside'])
}, 600_000)

test('an evaluator that never ends is ended, and a stop does not wait for it', async () => {
  const hung = await open(['hangs'], 5_000).evaluate(['hang', 'good'].map(body), signal)
  expect(outcomes(hung)).toEqual(['EVALUATOR_HUNG', 'passed'])
  const stop = new AbortController()
  const running = open(['hangs']).evaluate([body('hang')], stop.signal)
  stop.abort(new Error('the worker stops'))
  await expect(running).rejects.toThrow('the worker stops')
}, 600_000)
