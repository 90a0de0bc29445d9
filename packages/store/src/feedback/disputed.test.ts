import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { recordRow } from '../record-row.test-support.ts'
import { createStore } from '../store.ts'
import { describeStores } from '../stores.test-support.ts'
import { feedbackRow } from './feedback-row.test-support.ts'
import type { FeedbackRow } from './latest.ts'

const [anna, ben] = ['a', 'b'].map((letter) => letter.repeat(43))
const at = (hour: number) => new Date(Date.UTC(2026, 0, 2, hour)).toISOString()

describeStores('ratings that disagree', ({ name, store, open }) => {
  /** An answer of a project of its own, and how it is rated. */
  const rated = async () => {
    const project = `p${randomUUID()}`
    const answer = recordRow({ project })
    await store().insertInteractions([answer])
    const rate = (actor: string, rating: number, more: Partial<FeedbackRow> = {}, into = store()) =>
      into.insertFeedback([feedbackRow({ project, interaction: answer.record, actor, rating, ...more })])
    return { project, answer, rate, next: () => store().review.next(project, 'reviewer', 60_000) }
  }

  test('of two people: one item, however often and by whichever name of the answer they are sent', async () => {
    const { project, answer, rate, next } = await rated()
    await rate(anna, 1)
    await rate(ben, 4)
    expect(await next()).toBeUndefined()
    const twice = { id: randomUUID(), interaction: answer.id, at: at(5) }
    await rate(ben, -1, twice)
    await rate(ben, -1, twice)
    expect(await next()).toMatchObject({
      ...{ reasons: ['disagreement'], priority: 45, category: null, interaction: { record: answer.record } },
      disputed: { ratings: [{ category: null, above: 1, below: 1 }], verdicts: [] },
    })
    expect((await store().review.figures(project)).items.open).toBe(1)
  })

  test('one person who changes their mind, a zero, and scores of different names are none', async () => {
    const { rate, next } = await rated()
    await rate(anna, 1)
    await rate(anna, -1, { at: at(4) })
    await rate(ben, 0)
    await rate(ben, 1, { category: 'helpful' })
    expect(await next()).toBeUndefined()
    await rate(ben, 1, { at: at(5) })
    expect((await next())!.disputed!.ratings).toEqual([{ category: null, above: 1, below: 1 }])
  })

  test('before the answer has come; and that it has ended is shown', async () => {
    const project = `p${randomUUID()}`
    const answer = recordRow({ project })
    const said = [anna, ben].map((actor, i) =>
      feedbackRow({ project, interaction: answer.record, actor, rating: i === 0 ? 1 : -1 }),
    )
    await store().insertFeedback(said)
    await store().insertInteractions([answer])
    await store().insertFeedback([{ ...said[1], rating: 1, at: at(5) }])
    const item = await store().review.next(project, 'reviewer', 60_000)
    expect(item).toMatchObject({ reasons: ['disagreement'], disputed: { ratings: [], verdicts: [] } })
  })

  test('written by two processes at once: none is missed', async () => {
    // Another PGlite is another database.
    const other = name === 'PostgreSQL' ? createStore(await open()) : store()
    for (let time = 0; time < 10; time++) {
      const { rate, next } = await rated()
      await Promise.all([rate(anna, 1), rate(ben, -1, {}, other)])
      expect((await next())?.reasons).toEqual(['disagreement'])
    }
  })
})
