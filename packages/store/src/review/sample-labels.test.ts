import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { feedbackRow } from '../feedback/feedback-row.test-support.ts'
import type { EvaluationRow } from '../monitoring/settle.ts'
import { recordRow } from '../record-row.test-support.ts'
import { describeStores } from '../stores.test-support.ts'
import type { ReviewRequest } from './queue.ts'

const hourMs = 3_600_000
const dayOf = (n: number) => `2026-01-0${n}T03:04:05.678Z`

describeStores('labels of the even sample', ({ store }) => {
  /** A project whose answers evaluator `e` has judged; each is put into the queue as asked. */
  const begun = () => {
    const project = `p${randomUUID()}`
    const about = { project, reason: 'random', category: null, priority: 65, people: 1, gold: null } as const
    return {
      project,
      draw: async (
        n: number,
        outcome: EvaluationRow['outcome'],
        more: Partial<ReviewRequest>[] = [{}],
        id?: string,
      ) => {
        const row = recordRow({ project, createdAt: dayOf(n), ...(id === undefined ? {} : { id }) })
        await store().monitoring.begin(project)
        await store().insertInteractions([row])
        const taken = (await store().monitoring.take(project, 1000))!
        const found = { project, record: row.record, recordAt: dayOf(n), evaluator: 'e', version: '1', outcome }
        await store().monitoring.settle(taken, {
          evaluations: [{ ...found, label: null, category: null, score: null, error: null, probability: 0.5 }],
          ...{ traffic: [], rates: [], cohorts: [], marks: [], review: [], reviewMore: () => [], reviewsPerDay: 0 },
          reviewSample: () =>
            more.map((own) => ({ ...about, interaction: row.record, probability: 0.25, at: dayOf(n), ...own })),
          ...{ detectors: [], decide: () => ({ detectors: [], alarms: [] }), notify: [], at: dayOf(n) },
        })
        return row.record
      },
      judge: async (label: string, category?: string, reviewer = 'a', people = 1) => {
        const { item, lease, isBlind } = (await store().review.next(project, reviewer, hourMs))!
        await store().review.submit({ project, reviewer, item, lease }, { answer: { label, category }, people })
        return isBlind
      },
      labels: () => store().review.sampleLabels(project),
    }
  }

  test('people’s decisions beside the verdicts on the same answers', async () => {
    const { draw, judge, labels } = begun()
    await draw(1, 'flagged')
    await draw(2, 'passed')
    await draw(3, 'set_aside')
    expect(await judge('harmful', 'hate')).toBe(true)
    await judge('good')
    await judge('good')
    const read = await labels()
    expect(read).toMatchObject({ drawn: 3, settled: 3, discarded: 0, seen: 0, waiting: 0, waitingSince: null })
    const same = { evaluator: 'e', version: '1', probability: 0.25, drawnWith: 0.5, answers: 1 }
    expect(read.verdicts).toHaveLength(2)
    expect(read.verdicts).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ ...same, isFlagged: true, label: 'harmful', category: 'hate', from: '2026-01-01' }),
        expect.objectContaining({ ...same, isFlagged: false, label: 'good', category: null, to: '2026-01-02' }),
      ]),
    )
  })

  test('an answer that waits holds back those drawn after it, whatever people judge first', async () => {
    const { draw, judge, labels } = begun()
    await draw(1, 'passed')
    await draw(2, 'passed')
    await draw(3, 'flagged', [{ priority: 99 }])
    await judge('harmful')
    expect(await labels()).toMatchObject({ drawn: 3, settled: 0, waiting: 2, waitingSince: dayOf(1), verdicts: [] })
    await judge('good')
    expect(await labels()).toMatchObject({ settled: 1, waiting: 1, waitingSince: dayOf(2) })
    await judge('discard')
    expect(await labels()).toMatchObject({ settled: 3, waiting: 0, discarded: 1, verdicts: { length: 2 } })
  })

  test('who had seen why it is in the queue is not blind, also when it is drawn later', async () => {
    const { project, draw, judge, labels } = begun()
    const record = await draw(1, 'flagged', [{ probability: undefined, reason: 'evaluator' }])
    expect((await labels()).drawn).toBe(0)
    const seen = (await store().review.next(project, 'a', hourMs))!
    expect(seen.isBlind).toBe(false)
    const about = { project, interaction: record, category: null, priority: 65, people: 1, gold: null } as const
    await store().review.enqueue([{ ...about, reason: 'random', probability: 0.25, at: dayOf(1) }])
    expect(await judge('harmful')).toBe(false)
    expect(await labels()).toMatchObject({ drawn: 1, settled: 1, seen: 1, verdicts: [] })
  })

  test('the category is the one that most name who came to the outcome', async () => {
    const { draw, judge, labels } = begun()
    await draw(1, 'flagged', [{ people: 3 }])
    await judge('harmful', 'hate', 'a')
    await judge('harmful', 'violence', 'b')
    await judge('harmful', 'violence', 'c')
    expect((await labels()).verdicts).toMatchObject([{ label: 'harmful', category: 'violence' }])
  })

  test('an erased answer holds nothing back', async () => {
    const { project, draw, judge, labels } = begun()
    const first = await draw(1, 'passed')
    await draw(2, 'passed', [{ priority: 99 }])
    await judge('good')
    expect((await labels()).waiting).toBe(1)
    await store().erase({ project, target: first, kind: 'record', mode: 'redact', at: dayOf(3) })
    expect(await labels()).toMatchObject({ settled: 1, waiting: 0 })
  })

  test('content that goes by age takes its labels along, and nobody is asked about an empty answer', async () => {
    const { project, draw, judge, labels } = begun()
    await draw(1, 'flagged', [{ priority: 99 }])
    await draw(2, 'passed')
    await judge('harmful')
    await draw(5, 'passed')
    await store().retain({ contentDays: 1 }, { now: Date.parse(dayOf(5)), project })
    expect(await labels()).toMatchObject({ drawn: 1, settled: 0, waiting: 1, waitingSince: dayOf(5), verdicts: [] })
    await judge('good')
    expect(await labels()).toMatchObject({ drawn: 1, settled: 1, verdicts: [{ label: 'good', from: '2026-01-05' }] })
    expect(await store().review.next(project, 'a', hourMs)).toBeUndefined()
  })

  test('one answer is one item by whichever name people flag it, and what was judged under the other name is seen', async () => {
    const { project, draw, judge, labels } = begun()
    const flag = (interaction: string) =>
      store().insertFeedback([feedbackRow({ project, interaction, kind: 'flag', category: 'hate', people: 1 })])
    await draw(1, 'flagged', [{}], 'known')
    await flag('known')
    expect((await store().review.figures(project)).items).toMatchObject({ open: 1, waiting: 0 })
    expect(await judge('harmful')).toBe(true)
    await flag('early')
    await draw(2, 'flagged', [{}], 'early')
    expect(await judge('harmful')).toBe(false)
    expect(await judge('harmful')).toBe(true)
    await draw(3, 'flagged', [{}], 'late')
    expect(await judge('harmful')).toBe(true)
    const asked = { project, interaction: 'late', reason: 'flag', category: null, priority: 50, people: 1 } as const
    await store().review.enqueue([{ ...asked, gold: null, at: dayOf(3) }])
    expect(await judge('harmful')).toBe(false)
    expect(await labels()).toMatchObject({ drawn: 3, settled: 3, seen: 1, verdicts: [{ answers: 2 }] })
  })

  test('the order is that of the draw, also of what was in the queue before', async () => {
    const { project, draw, judge, labels } = begun()
    const before = { probability: undefined, at: dayOf(1), priority: 99 }
    await draw(2, 'passed')
    await draw(3, 'flagged', [before, {}])
    const record = await draw(4, 'flagged', [before])
    const about = { project, interaction: record, reason: 'random', category: null, priority: 65, people: 1 } as const
    await store().review.enqueue([{ ...about, gold: null, probability: 0.25, at: dayOf(4) }])
    await judge('harmful')
    await judge('harmful')
    expect(await labels()).toMatchObject({ drawn: 3, settled: 0, waiting: 1, waitingSince: dayOf(2) })
  })

  test('nobody takes an answer out of the sample by making it gold', async () => {
    const { project, draw, judge, labels } = begun()
    const about = { project, reason: 'random', category: null, priority: 65, people: 1, at: dayOf(1) } as const
    const gold = { ...about, interaction: await draw(1, 'flagged'), gold: 'harmful' }
    await expect(store().review.enqueue([gold])).rejects.toMatchObject({ code: 'REVIEW_GOLD_SAMPLED' })
    await store().review.enqueue([{ ...gold, gold: null }])
    await judge('good')
    expect(await labels()).toMatchObject({ drawn: 1, settled: 1 })
  })
})
