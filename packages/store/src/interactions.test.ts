import { randomUUID } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import type { RecordRow } from './interactions.ts'
import { recordRow } from './record-row.test-support.ts'
import type { Store } from './store.ts'
import { describeStores } from './stores.test-support.ts'

describeStores('finding interactions', (suite) => {
  let store: Store
  beforeAll(() => {
    store = suite.store()
  })

  test('one record by its own id or by that of its answer, in its project only', async () => {
    const [older, newer] = [recordRow({ id: 'answer', project: 'one' }), recordRow({ id: 'answer', project: 'one' })]
    for (const row of [older, newer]) await store.insertInteractions([row])
    expect(await store.findInteraction('one', 'answer')).toMatchObject({ record: newer.record })
    expect(await store.findInteraction('one', older.record)).toMatchObject({ record: older.record })
    for (const id of ['answer', older.record]) expect(await store.findInteraction('other', id)).toBeUndefined()
    expect(await store.findInteraction('one', "' or true --")).toBeUndefined()
  })

  test('bodies come back as they were, whatever characters they hold, and writing twice changes nothing', async () => {
    const project = 'characters'
    const texts = ['"quotes" \\ and {braces}', 'line\nline\ttab', 'naïve 🗼 \u2028', "it's $1 ||", '\u001e \u0000', '']
    const rows = texts.map((text) => {
      const record = randomUUID()
      return recordRow({ record, project, json: JSON.stringify({ record, text }) })
    })
    expect(await store.insertInteractions(rows)).toBe(texts.length)
    expect(await store.insertInteractions([...rows, recordRow({ project })])).toBe(1)
    const { data } = await store.listInteractions(project, { limit: 10 })
    expect(data.toReversed().map(({ text }) => text)).toEqual([...texts, undefined])
  })

  test('a body that is no JSON and would be taken for two is refused, and no other gets its place', async () => {
    const rows = [recordRow({ project: 'two' }), recordRow({ project: 'two', json: '{}\u001e{}' })]
    await expect(store.insertInteractions(rows)).rejects.toMatchObject({ code: '23502' })
    expect((await store.listInteractions('two', { limit: 10 })).data).toEqual([])
  })

  test('bodies of any length come back whole, the short ones after a long one and after a refused batch too', async () => {
    const project = 'lengths'
    const texts = [40, 9 * 2 ** 20, 300_000, 0].map((length, i) => `${i}`.repeat(length))
    for (const text of texts) {
      const record = randomUUID()
      const refused = recordRow({ project, json: '{}\u001e{}' })
      await expect(store.insertInteractions([refused])).rejects.toMatchObject({ code: '23502' })
      await store.insertInteractions([recordRow({ record, project, json: JSON.stringify({ record, text }) })])
    }
    const { data } = await store.listInteractions(project, { limit: 10 })
    expect(data.toReversed().map(({ text }) => text === texts.shift())).toEqual([true, true, true, true])
  })

  test('a statement with bytes takes parameters of every kind beside them', async () => {
    const sql = `select $1::text as bytes, $2::uuid::text as id, $3::interval::text as span, $4::text[] as list,
      $5::integer as number, $6::boolean as flag, $7::text as nothing`
    const id = randomUUID()
    const values = ['naïve 🗼 "', '', 'a'.repeat(100_000)]
    for (const text of values) {
      const rows = await suite
        .database()
        .query(sql, [Buffer.from(text), id, '36:00:00', ['a', null, '"'], 7, true, null])
      expect(rows).toEqual([
        { bytes: text, id, span: '36:00:00', list: ['a', null, '"'], number: 7, flag: true, nothing: null },
      ])
    }
  })

  test('a record whose answer claims the id of another one does not hide it', async () => {
    const victim = recordRow({ project: 'claim' })
    await store.insertInteractions([victim])
    await store.insertInteractions([recordRow({ project: 'claim', id: victim.record })])
    expect(await store.findInteraction('claim', victim.record)).toMatchObject({ id: victim.id })
  })

  test('each filter finds what it is about, and all together', async () => {
    const project = 'filters'
    const spread: Partial<RecordRow>[] = [
      { model: 'small', termination: 'completed', keyId: 'key_a', subjects: ['anna'] },
      { model: 'large', termination: 'client_abort', keyId: 'key_a', subjects: ['anna', 'ben'] },
      { model: 'large', termination: 'completed', keyId: 'key_b', subjects: [] },
    ]
    const rows = spread.map((fields, day) => {
      const record = randomUUID()
      const json = JSON.stringify({ record, text: ['A "Quoted" word', 'naïve 100 % _x', 'plain'][day] })
      return recordRow({ ...fields, record, project, createdAt: `2026-01-0${day + 1}T00:00:00.000Z`, json })
    })
    await store.insertInteractions(rows)
    await store.insertInteractions([{ ...recordRow(rows[0]), record: randomUUID(), project: 'foreign' }])
    const find = async (filter: object) => {
      const { data, next } = await store.listInteractions(project, { limit: 10, ...filter })
      expect(next).toBeNull()
      return data.map(({ record }) => rows.findIndex((row) => row.record === record))
    }
    expect(await find({ model: 'large' })).toEqual([2, 1])
    expect(await find({ termination: 'completed' })).toEqual([2, 0])
    expect(await find({ key: 'key_a' })).toEqual([1, 0])
    expect(await find({ subject: 'anna' })).toEqual([1, 0])
    expect(await find({ subject: 'ben' })).toEqual([1])
    expect(await find({ since: '2026-01-02T00:00:00.000Z' })).toEqual([2, 1])
    expect(await find({ until: '2026-01-02T00:00:00.000Z' })).toEqual([0])
    expect(await find({ text: '"quoted"' })).toEqual([0])
    expect(await find({ text: 'NAÏVE 100 % _' })).toEqual([1])
    expect(await find({ text: '%' })).toEqual([1])
    expect(await find({ model: 'large', termination: 'completed', text: 'plain' })).toEqual([2])
    expect(await find({ model: 'none' })).toEqual([])
  })

  test('filtered pages hold every record once', async () => {
    const project = 'filtered-pages'
    const rows = Array.from({ length: 30 }, (_, i) => recordRow({ project, model: i % 3 === 0 ? 'm' : 'n' }))
    for (const one of rows) await store.insertInteractions([one])
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await store.listInteractions(project, { limit: 4, after, model: 'm' })
      seen.push(...page.data.map(({ record }) => record))
      after = page.next ?? undefined
    } while (after !== undefined)
    const wanted = rows.filter(({ model }) => model === 'm').map(({ record }) => record)
    expect(seen).toEqual(wanted.reverse())
  })

  test('a search that finds nothing for long gives an empty page, and the next one goes on', async () => {
    const project = 'long-search'
    const needle = randomUUID()
    await store.insertInteractions([recordRow({ project, json: JSON.stringify({ record: needle, text: 'needle' }) })])
    await store.insertInteractions(Array.from({ length: 5_500 }, () => recordRow({ project })))
    const first = await store.listInteractions(project, { limit: 10, text: 'needle' })
    expect(first.data).toEqual([])
    const second = await store.listInteractions(project, { limit: 10, text: 'needle', after: first.next! })
    expect(second).toEqual({ data: [{ record: needle, text: 'needle' }], next: null })
  })
})
