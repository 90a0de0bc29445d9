import { beforeAll, expect, test } from 'vitest'
import { feedbackRow } from '../feedback/feedback-row.test-support.ts'
import { recordRow } from '../record-row.test-support.ts'
import type { Store } from '../store.ts'
import { describeStores } from '../stores.test-support.ts'
import type { EvaluationRow, Settlement } from './settle.ts'

const at = '2026-01-02T03:04:05.678Z'
const lane = 'said'

describeStores('what evaluators said of answers', (suite) => {
  let store: Store
  beforeAll(() => {
    store = suite.store()
  })

  const judge = async (evaluations: readonly EvaluationRow[]) => {
    const nothing = { traffic: [], rates: [], cohorts: [], marks: [], review: [], detectors: [], notify: [] }
    const settlement: Settlement = {
      ...{ ...nothing, evaluations, at, reviewsPerDay: 0 },
      ...{ reviewMore: () => [], reviewSample: () => [], decide: () => ({ detectors: [], alarms: [] }) },
    }
    const taken = await store.monitoring.take(lane, 100)
    await store.monitoring.settle(taken!, settlement)
  }
  const verdict = (record: string, project: string, more: Partial<EvaluationRow>): EvaluationRow => ({
    ...{ record, project, recordAt: at, evaluator: 'harm', version: '1', outcome: 'flagged', label: 'harmful' },
    ...{ category: 'hate/threatening', score: 0.75, error: null, probability: 0.5, ...more },
  })

  test('one answer: verdicts and errors, the lanes that have come by, nothing of another project', async () => {
    const [mine, later] = [recordRow({ project: 'one' }), recordRow({ project: 'one' })]
    await store.insertInteractions([mine])
    await judge([
      verdict(mine.record, 'one', {}),
      verdict(mine.record, 'one', { evaluator: 'judge', outcome: 'error', label: null, score: null, error: 'DOWN' }),
    ])
    await store.insertInteractions([later])
    for (const id of [mine.record, mine.id])
      expect(await store.monitoring.said('one', id)).toEqual({
        record: mine.record,
        lanes: [lane],
        evaluations: [
          {
            ...{ evaluator: 'harm', version: '1', outcome: 'flagged', label: 'harmful', category: 'hate/threatening' },
            ...{ score: 0.75, error: null, probability: 0.5, at },
          },
          expect.objectContaining({ evaluator: 'judge', outcome: 'error', score: null, error: 'DOWN' }),
        ],
      })
    expect(await store.monitoring.said('one', later.record)).toEqual({
      ...{ record: later.record, lanes: [], evaluations: [] },
    })
    for (const id of [mine.record, "' or true --"]) expect(await store.monitoring.said('other', id)).toBeUndefined()
  })

  test('answers are found by what was said of them', async () => {
    const project = 'found'
    const rows = Array.from({ length: 4 }, () => recordRow({ project }))
    await store.insertInteractions(rows)
    await judge([
      verdict(rows[0].record, project, {}),
      verdict(rows[1].record, project, { category: 'hate' }),
      verdict(rows[1].record, project, { evaluator: 'toxicity', outcome: 'passed', category: null }),
      verdict(rows[2].record, project, { outcome: 'error', category: null }),
    ])
    const about = { project, kind: 'flag', category: 'spam', rating: null } as const
    await store.insertFeedback([
      feedbackRow({ ...about, interaction: rows[0].record }),
      feedbackRow({ ...about, interaction: rows[3].id }),
    ])
    const find = async (filter: object) => {
      const { data, next } = await store.listInteractions(project, { limit: 10, ...filter })
      expect(next).toBeNull()
      return data.map(({ record }) => rows.findIndex((row) => row.record === record)).sort()
    }
    expect(await find({ verdict: 'flagged' })).toEqual([0, 1])
    expect(await find({ evaluator: 'harm' })).toEqual([0, 1, 2])
    expect(await find({ evaluator: 'harm', verdict: 'error' })).toEqual([2])
    expect(await find({ evaluator: 'toxicity', verdict: 'flagged' })).toEqual([])
    for (const category of [undefined, 'hate'])
      expect(await find({ evaluator: 'toxicity', verdict: 'not_evaluated', category })).toEqual([0, 2, 3])
    expect(await find({ verdict: 'not_evaluated' })).toEqual([3])
    expect(await find({ category: 'hate' })).toEqual([0, 1])
    expect(await find({ category: 'hate/threatening' })).toEqual([0])
    expect(await find({ category: 'ha' })).toEqual([])
    expect(await find({ feedback: 'flag' })).toEqual([0, 3])
    expect(await find({ feedback: 'flag', verdict: 'flagged' })).toEqual([0])
    expect(await find({ feedback: 'rating' })).toEqual([])
    expect(await find({ evaluator: "' or true --\u0000" })).toEqual([])
  })
})
