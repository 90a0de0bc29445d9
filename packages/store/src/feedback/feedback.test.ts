import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordRow } from '../record-row.test-support.ts'
import { describeStores } from '../stores.test-support.ts'
import { feedbackRow } from './feedback-row.test-support.ts'

describeStores('feedback', ({ store }) => {
  const stored = async (project: string) => (await store().listFeedback(project, { limit: 100 })).data
  const hour = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 3_600_000).toISOString()

  test('twice, in other orders and in other batches gives the same; edits within a day count, later ones do not', async () => {
    const id = randomUUID()
    const events = [0, 1, 5, 24].map((h) => ({ rating: h, at: hour(h) }))
    let n = 0
    const shuffles = fc.shuffledSubarray([...events, ...events], { minLength: 8, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(shuffles, fc.integer({ min: 1, max: 8 }), async (order, size) => {
        const project = `order${n++}`
        const rows = order.map((event) => feedbackRow({ ...event, id, project }))
        for (let i = 0; i < rows.length; i += size) await store().insertFeedback(rows.slice(i, i + size))
        expect(await stored(project)).toMatchObject([{ rating: 24, created_at: hour(0), updated_at: hour(24) }])
      }),
      { numRuns: 15 },
    )
    const project = 'late'
    await store().insertFeedback([feedbackRow({ id, project, rating: 1, at: hour(0) })])
    await store().insertFeedback([feedbackRow({ id, project, rating: -1, at: hour(25) })])
    expect(await stored(project)).toMatchObject([{ rating: 1 }])
  })

  test('markup, SQL, quotes and NUL are data', async () => {
    const text = `<script>alert(1)</script>'; drop table plumbline.feedback; -- {a,"b\\"} \u0000 NULL \u2028`
    const project = 'data'
    await store().insertFeedback([feedbackRow({ project, kind: 'flag', category: 'hate', text, people: 1 })])
    expect((await stored(project))[0].text).toBe(text.replace('\u0000', '\ufffd'))
  })

  test('a week late, and about an answer that never was: kept; another project sees nothing; pages', async () => {
    const project = 'pages'
    const rows = Array.from({ length: 5 }, (_, i) => feedbackRow({ project, rating: i, at: hour(i * 24 * 7) }))
    await store().insertFeedback(rows)
    const first = await store().listFeedback(project, { limit: 3 })
    const second = await store().listFeedback(project, { limit: 3, after: first.next! })
    expect([...first.data, ...second.data].map(({ rating }) => rating)).toEqual([4, 3, 2, 1, 0])
    expect(second.next).toBeNull()
    expect(await stored('elsewhere')).toEqual([])
    const { data } = await store().listFeedback(project, { limit: 9, interaction: rows[2].interaction })
    expect(data.map(({ id }) => id)).toEqual([rows[2].id])
  })

  test('of one answer: what was said under either of its ids, and not what programs said where they are left out', async () => {
    const project = 'named'
    const one = recordRow({ project })
    const about = { project, actorKind: 'system' } as const
    await store().insertFeedback([
      feedbackRow({ project, interaction: one.id, rating: 1 }),
      feedbackRow({ ...about, interaction: one.record, rating: 2 }),
      feedbackRow({ project, rating: 3 }),
    ])
    const ratings = async (interaction: string, without?: 'system') => {
      const { data } = await store().listFeedback(project, { limit: 9, interaction, without })
      return data.map(({ rating }) => rating)
    }
    expect(await ratings(one.id)).toEqual([1])
    await store().insertInteractions([one])
    expect(await ratings(one.id)).toEqual([2, 1])
    expect(await ratings(one.record)).toEqual([2, 1])
    expect(await ratings(one.record, 'system')).toEqual([1])
  })

  test('goes with its record and with its person, and does not come back', async () => {
    const project = 'erased'
    const [gone, redacted, other] = [1, 2, 3].map(() => recordRow({ project }))
    const person = 'p'.repeat(43)
    const said = [
      feedbackRow({ project, interaction: gone.record, text: 'a' }),
      feedbackRow({ project, interaction: gone.id, text: 'b', people: 1, kind: 'flag', category: 'x' }),
      feedbackRow({ project, interaction: redacted.record, text: 'c' }),
      feedbackRow({ project, interaction: other.record, text: 'd', actor: person }),
      feedbackRow({ project, interaction: other.record, text: 'e' }),
    ]
    await store().insertInteractions([gone, redacted, other].map((row) => ({ ...row, json: whole(row) })))
    await store().insertFeedback(said)
    const at = '2027-01-01T00:00:00.000Z'
    const erasures = [
      { project, target: gone.record, kind: 'record', mode: 'delete', at },
      { project, target: redacted.record, kind: 'record', mode: 'redact', at },
      { project, target: person, kind: 'subject', mode: 'redact', at },
    ] as const
    for (const erasure of erasures) {
      await store().noteErasure(erasure)
      await store().erase(erasure)
    }
    expect((await stored(project)).map(({ text }) => text)).toEqual(['e', null])
    await store().insertFeedback(said.filter(({ text }) => text === 'a' || text === 'd'))
    expect((await stored(project)).map(({ text }) => text)).toEqual(['e', null])
    expect((await store().review.figures(project)).items).toMatchObject({ open: 0, waiting: 0 })
  })
})

function whole({ record, id }: { record: string; id: string }): string {
  return JSON.stringify({ record, id, choices: [], subjects: [], text: 'x', request: {} })
}
