import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { feedbackRow } from '../feedback/feedback-row.test-support.ts'
import type { FeedbackRow } from '../feedback/latest.ts'
import { recordRow } from '../record-row.test-support.ts'
import { describeStores } from '../stores.test-support.ts'
import type { TrainingOptions } from './training.ts'

interface Row {
  prompt: unknown
  completion?: unknown
  chosen?: unknown
  rejected?: unknown
  provenance: { source: string; people: string[]; agreement: number | null; consent: string; split: string }
}

describeStores('rows for trainers', ({ store }) => {
  const project = () => `p${randomUUID()}`
  const asked = async (inProject: string, prompt: string, fields: object = {}) => {
    const row = recordRow({ project: inProject })
    const request = { messages: [{ role: 'user', content: prompt }], ...fields }
    const facts = { record: row.record, id: row.id, project: inProject, model: 'm', created_at: row.createdAt }
    const json = JSON.stringify({ ...facts, text: `answer to ${prompt}`, choices: [], subjects: [], request })
    await store().insertInteractions([{ ...row, json }])
    return row
  }
  const say = (inProject: string, interaction: string, fields: Partial<FeedbackRow>) =>
    store().insertFeedback([feedbackRow({ project: inProject, interaction, consent: true, ...fields })])
  const read = async (options: Omit<TrainingOptions, 'consent'> & Partial<TrainingOptions>) => {
    let text = ''
    const write = async (bytes: string | Uint8Array) => {
      text += bytes
    }
    const counts = await store().exportTraining(write, { consent: 'each', ...options })
    const rows = text.split('\n').filter(Boolean)
    return { counts, rows: rows.map((line) => JSON.parse(line) as Row) }
  }
  const judge = async (inProject: string, reviewer: string, answer: { label: string; correction?: string }) => {
    const { item, lease } = (await store().review.next(inProject, reviewer, 60_000))!
    return store().review.submit({ project: inProject, reviewer, item, lease }, { answer, people: 1 })
  }
  const user = (content: string) => [{ role: 'user', content }]
  const assistant = (content: string) => [{ role: 'assistant', content }]

  test('corrections, preferences and good ratings, by either id of the answer', async () => {
    const p = project()
    const [a, b, c] = [await asked(p, 'a'), await asked(p, 'b'), await asked(p, 'c')]
    await say(p, a.record, { kind: 'correction', text: 'better a' })
    await say(p, b.id, { kind: 'preference', chosen: 'this', rejected: 'that' })
    await say(p, c.id, { kind: 'rating', rating: 1 })
    const pairs = await read({ kind: 'preferences', project: p })
    expect(pairs.rows).toHaveLength(2)
    expect(pairs.rows).toContainEqual(
      expect.objectContaining({
        prompt: user('a'),
        chosen: assistant('better a'),
        rejected: assistant('answer to a'),
        provenance: expect.objectContaining({ source: 'correction', consent: 'person', agreement: null }),
      }),
    )
    expect(pairs.rows).toContainEqual(
      expect.objectContaining({ prompt: user('b'), chosen: assistant('this'), rejected: assistant('that') }),
    )
    const shown = await read({ kind: 'demonstrations', project: p })
    expect(shown.rows.map(({ completion }) => completion)).toEqual(
      expect.arrayContaining([assistant('better a'), assistant('answer to c')]),
    )
    expect(shown.counts).toMatchObject({ rows: 2, withheld: 0, unsettled: 0, unfit: 0 })
  })

  test('without a yes nothing, and a no counts whatever the project says', async () => {
    const p = project()
    const yes = await asked(p, 'yes', { metadata: { training_consent: 'true' } })
    const no = await asked(p, 'no', { metadata: { training_consent: 'false' } })
    const silent = await asked(p, 'silent')
    for (const { id } of [yes, no, silent]) await say(p, id, { kind: 'correction', text: 'x', consent: null })
    await say(p, silent.id, { kind: 'correction', text: 'y', consent: true, actorKind: 'moderator' })
    await say(p, silent.id, { kind: 'correction', text: 'z', consent: false })
    const each = await read({ kind: 'preferences', project: p })
    expect(each.rows.map(({ prompt, provenance }) => [prompt, provenance.consent])).toEqual([
      [user('yes'), 'interaction'],
    ])
    expect(each.counts.withheld).toBe(4)
    const all = await read({ kind: 'preferences', project: p, consent: 'project' })
    expect(all.rows.map(({ chosen }) => chosen)).toEqual(
      expect.arrayContaining([assistant('x'), assistant('x'), assistant('y')]),
    )
    expect(all.counts).toMatchObject({ rows: 3, withheld: 2 })
  })

  test('what reviewers have not settled waits; high stakes need two people; reviewers stand as hashes', async () => {
    const p = project()
    const row = await asked(p, 'high', { metadata: { training_consent: 'true' } })
    await say(p, row.record, { kind: 'correction', category: 'self-harm', text: 'kind words', people: 2 })
    const now = async () => (await read({ kind: 'preferences', project: p })).counts
    expect(await now()).toMatchObject({ rows: 0, unsettled: 1 })
    await judge(p, 'key_one', { label: 'harmful', correction: 'kinder words' })
    expect(await now()).toMatchObject({ rows: 0, unsettled: 1 })
    await judge(p, 'key_two', { label: 'harmful' })
    const { rows, counts } = await read({ kind: 'preferences', project: p })
    expect(counts).toMatchObject({ rows: 2, unsettled: 0 })
    expect(rows.map(({ chosen }) => chosen)).toEqual(
      expect.arrayContaining([assistant('kind words'), assistant('kinder words')]),
    )
    for (const { provenance } of rows) expect(provenance.agreement).toBe(1)
    expect(JSON.stringify(rows)).not.toContain('key_')
    expect(rows.find(({ provenance }) => provenance.source === 'review')?.provenance.people).toHaveLength(2)
  })

  test('a discarded or redacted answer, equal sides, doubles and images teach nothing', async () => {
    const p = project()
    const discarded = await asked(p, 'd')
    await say(p, discarded.record, { kind: 'flag', category: 'spam', people: 1 })
    await say(p, discarded.record, { kind: 'correction', text: 'x' })
    await judge(p, 'a', { label: 'discard' })
    const same = await asked(p, 'same')
    await say(p, same.id, { kind: 'correction', text: 'answer to same' })
    const image = await asked(p, 'i', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] })
    await say(p, image.id, { kind: 'correction', text: 'x' })
    const twice = await asked(p, 't')
    await say(p, twice.id, { kind: 'correction', text: 'x' })
    await say(p, twice.id, { kind: 'correction', text: 'x' })
    const redacted = await asked(p, 'r')
    await say(p, redacted.id, { kind: 'correction', text: 'x' })
    await store().erase({
      project: p,
      target: redacted.record,
      kind: 'record',
      mode: 'redact',
      at: '2027-01-01T00:00:00Z',
    })
    const { counts, rows } = await read({ kind: 'preferences', project: p })
    expect(rows.map(({ prompt }) => prompt)).toEqual([user('t')])
    expect(counts).toEqual({ rows: 1, withheld: 0, unsettled: 1, unfit: 3 })
  })

  test('all rows of a prompt are in one split, a tenth of the prompts for measuring', async () => {
    const p = project()
    for (let i = 0; i < 120; i++) {
      const row = await asked(p, `prompt ${i % 60}`)
      await say(p, row.record, { kind: 'correction', text: `better ${i}` })
    }
    const { rows } = await read({ kind: 'preferences', project: p })
    const splits = Map.groupBy(rows, ({ prompt }) => JSON.stringify(prompt))
    expect(splits.size).toBe(60)
    const ofPrompts = [...splits.values()].map((group) => new Set(group.map(({ provenance }) => provenance.split)))
    expect(ofPrompts.every(({ size }) => size === 1)).toBe(true)
    expect(ofPrompts.filter((split) => split.has('eval')).length).toBeGreaterThan(0)
    expect(ofPrompts.filter((split) => split.has('eval')).length).toBeLessThan(15)
  })
})
