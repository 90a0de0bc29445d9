import { PlumblineError } from '@plumbline/contracts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { calibrate } from './calibrate.ts'
import { type EvaluationItem, type Evaluator, evaluate } from './evaluator.ts'
import { evaluators } from './evaluators.ts'
import { summarise } from './summary.ts'

/** Flags what says "bad"; "odd" is set aside; anything else passes. */
const plain = {
  name: 'plain',
  summary: 'for tests',
  version: '1-a',
  flags: ['bad'],
  passes: ['good'],
  evaluate: ({ completion }: EvaluationItem) => {
    if (completion === 'odd') return { score: 0, label: 'odd' }
    return completion.includes('bad') ? { score: 0.9, label: 'bad' } : { score: 0.1, label: 'good' }
  },
} satisfies Evaluator
const item = (completion: string) => ({ prompt: '', completion })
const facts = { dataset: 'ours', date: '2026-01-01', command: 'none', method: 'by hand' }
const labelled = [
  ...Array.from({ length: 9 }, () => ({ item: item('bad'), isFlagged: true })),
  { item: item('fine'), isFlagged: true },
  ...Array.from({ length: 8 }, () => ({ item: item('fine'), isFlagged: false })),
  ...Array.from({ length: 2 }, () => ({ item: item('bad'), isFlagged: false })),
  { item: item('odd'), isFlagged: false },
]

test('calibration counts right calls of both kinds; what is set aside is in neither', async () => {
  const { calibration, setAside, errors } = await calibrate(plain, labelled, facts)
  expect(calibration).toMatchObject({ evaluator: 'plain', version: '1-a', n: 20 })
  expect(calibration.sensitivity).toMatchObject({ hits: 9, n: 10 })
  expect(calibration.specificity).toMatchObject({ hits: 8, n: 10 })
  expect(calibration.auc?.estimate).toBeCloseTo(0.85, 4) // (9·8 + 0.5·(9·2 + 1·8)) / 100
  expect({ setAside, errors }).toEqual({ setAside: 1, errors: 0 })
})

test('labels that are all one class have a message', async () => {
  const rows = labelled.filter(({ isFlagged }) => isFlagged)
  await expect(calibrate(plain, rows, facts)).rejects.toThrow(/all of 10 labels flag/)
  await expect(calibrate(plain, [], facts)).rejects.toThrow(PlumblineError)
})

test('a calibration holds for its version alone', async () => {
  const { calibration } = await calibrate(plain, labelled, facts)
  const calibrated = { ...plain, calibration }
  const changed = { ...calibrated, version: '1-b' }
  expect(await evaluate(calibrated, item('bad'))).toMatchObject({ label: 'bad', calibration: 'plain-2026-01-01-20' })
  expect(await evaluate(changed, item('bad'))).toMatchObject({ label: 'bad', calibration: 'uncalibrated' })
  const evaluations = await Promise.all(
    ['bad', 'ok', 'ok', 'ok', 'odd'].map((text) => evaluate(calibrated, item(text))),
  )
  expect(summarise(calibrated, evaluations)).toMatchObject({ n: 4, flagged: 1, setAside: 1, errors: {} })
  // (0.25 + 0.8 − 1) / (0.9 + 0.8 − 1)
  expect(summarise(calibrated, evaluations).corrected).toMatchObject({ estimate: expect.closeTo(0.05 / 0.7, 10) })
  expect(summarise(changed, evaluations).corrected).toBe('uncalibrated')
  expect(summarise(calibrated, []).rate).toBeUndefined()
})

test('a crash is tried once more, then an error; what an evaluator lacks is an error at once', async () => {
  let calls = 0
  const crashing = (times: number): Evaluator => ({
    ...plain,
    needs: ['context'],
    evaluate: () => {
      if (calls++ < times) throw new TypeError('oops')
      return { score: 1, label: 'bad' }
    },
  })
  const full = { ...item('x'), context: 'y' }
  expect(await evaluate(crashing(1), full)).toMatchObject({ label: 'bad' })
  calls = 0
  expect(await evaluate(crashing(9), full)).toMatchObject({ error: { code: 'EVALUATOR_CRASHED' } })
  expect(calls).toBe(2)
  expect(await evaluate(crashing(0), item('x'))).toMatchObject({ error: { code: 'MISSING_FIELD' } })
  expect(summarise(plain, [await evaluate(crashing(0), item('x'))])).toMatchObject({
    n: 0,
    errors: { MISSING_FIELD: 1 },
  })
})

describe.each(Object.entries<Evaluator>(evaluators))('%s', (name, evaluator) => {
  test('is listed under its name; its calibration, where it has one, is of its version', () => {
    expect(evaluator.name).toBe(name)
    expect(evaluator.flags.some((label) => evaluator.passes.includes(label))).toBe(false)
    if (evaluator.calibration !== undefined) expect(evaluator.calibration.version).toBe(evaluator.version)
  })

  test('any text gets a score from 0 to 1, and the same one twice', async () => {
    const any = fc.string({ unit: 'binary', maxLength: 300 })
    await fc.assert(
      fc.asyncProperty(any, any, any, async (prompt, completion, other) => {
        const full: EvaluationItem = {
          prompt,
          completion,
          context: other,
          facts: [{ about: other, value: prompt }],
          answers: [other],
          promptIsHarmful: false,
        }
        const evaluation = await evaluate(evaluator, full)
        expect(evaluation).not.toHaveProperty('error')
        if (!('error' in evaluation)) expect(evaluation.score >= 0 && evaluation.score <= 1).toBe(true)
        expect(await evaluate(evaluator, full)).toEqual(evaluation)
      }),
      { numRuns: 40 },
    )
  })

  test('a hostile text of 200,000 characters is no more work than a page', async () => {
    for (const text of ['a'.repeat(2e5), '(1) '.repeat(5e4), 'A. '.repeat(6e4), '1,'.repeat(1e5), '\n'.repeat(2e5)]) {
      const start = performance.now()
      await evaluate(evaluator, {
        ...item(text),
        context: text,
        facts: [{ about: 'a', value: 1 }],
        answers: ['b'],
        promptIsHarmful: false,
      })
      expect(performance.now() - start).toBeLessThan(10_000) // milliseconds on a busy machine; quadratic work would take minutes
    }
  })
})
