import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Database } from './database.ts'
import type { Erasure } from './erasure.ts'
import { feedbackRow } from './feedback/feedback-row.test-support.ts'
import type { RecordRow } from './interactions.ts'
import { recordRow } from './record-row.test-support.ts'
import { interactionPayload, startShipper } from './spool/shipper.ts'
import { openSpool } from './spool/spool.ts'
import { createStore, type Store } from './store.ts'
import { describeStores } from './stores.test-support.ts'

const asked = 'what only Anna would ask'
const about = (project: string, subjects: string[], createdAt = '2026-01-01T00:00:00.000Z'): RecordRow => {
  const record = randomUUID()
  const fields = { request: { prompt: asked }, text: asked, choices: [{ text: asked }], error: { message: asked } }
  const json = JSON.stringify({ record, model: 'm', subjects, ...fields })
  return recordRow({ record, project, subjects, createdAt, json })
}
const erasure = (fields: Partial<Erasure> & Pick<Erasure, 'project' | 'target'>): Erasure => ({
  kind: 'subject',
  mode: 'delete',
  at: '2026-06-01T00:00:00.000Z',
  ...fields,
})

async function noteAndErase(store: Store, one: Erasure): Promise<number> {
  await store.noteErasure(one)
  return store.erase(one)
}

describeStores('erasure and retention', (suite) => {
  let store: Store
  let database: Database
  beforeAll(() => {
    store = suite.store()
    database = suite.database()
  })
  const left = async (project: string) => (await store.listInteractions(project, { limit: 1000 })).data

  test('one person’s records go, in batches; those of others and of other projects stay', async () => {
    const [anna, ben, foreign] = [
      Array.from({ length: 25 }, () => about('erase', ['anna'])),
      [about('erase', ['ben']), about('erase', [])],
      [about('erase-not', ['anna'])],
    ]
    await store.insertInteractions([...anna, ...ben, ...foreign, about('erase', ['ben', 'anna'])])
    const one = erasure({ project: 'erase', target: 'anna' })
    await store.noteErasure(one)
    expect(await store.erase(one, { batchRows: 10 })).toBe(26)
    expect((await left('erase')).map(({ record }) => record).sort()).toEqual(ben.map(({ record }) => record).sort())
    expect(await left('erase-not')).toHaveLength(1)
  })

  test('what comes out of the spool after a deletion does not come back; what is asked later is new', async () => {
    const before = about('late', ['anna'], '2026-05-31T00:00:00.000Z')
    const after = about('late', ['anna'], '2026-06-02T00:00:00.000Z')
    const folder = await mkdtemp(join(tmpdir(), 'erasure-'))
    const warn = () => {}
    const spool = await openSpool(folder, { warn })
    for (const row of [before, after, about('late', ['ben'])]) await spool.append(interactionPayload(row))
    const one = erasure({ project: 'late', target: 'anna' })
    await noteAndErase(store, one)
    await startShipper(spool, store, { warn, folder }).stop(60_000)
    await spool.close(1000)
    await rm(folder, { recursive: true })
    expect((await left('late')).map(({ subjects }) => subjects)).toEqual([['ben'], ['anna']])
    // A spool that lost its note of what was shipped sends everything again.
    expect(await store.insertInteractions([before, after])).toBe(0)
  })

  test('a clock that was set back: what was there goes, though it is dated later; what is asked afterwards stays', async () => {
    for (const mode of ['delete', 'redact'] as const) {
      const project = `clock-${mode}`
      const late = '2026-06-30T00:00:00.000Z'
      await store.insertInteractions([about(project, ['anna'], late), about(project, ['ben'], late)])
      await store.insertFeedback([feedbackRow({ project, actor: 'anna', at: late })])
      const noted = await store.noteErasure(erasure({ project, target: 'anna', mode }))
      await store.insertInteractions([about(project, ['anna'], late)])
      expect(await store.erase(noted)).toBe(1)
      const people = (await left(project)).map(({ subjects }) => subjects)
      expect(people).toEqual(mode === 'delete' ? [['anna'], ['ben']] : [['anna'], ['ben'], []])
      expect((await store.listFeedback(project, { limit: 9 })).data).toEqual([])
    }
  })

  test('redaction takes the words and the person out, of late records too', async () => {
    const rows = [about('redact', ['anna']), about('redact', ['anna'])]
    await store.insertInteractions(rows.slice(0, 1))
    expect(await noteAndErase(store, erasure({ project: 'redact', target: 'anna', mode: 'redact' }))).toBe(1)
    await store.insertInteractions(rows)
    const records = await left('redact')
    expect(records).toHaveLength(2)
    const redaction = { at: '2026-06-01T00:00:00.000Z', reason: 'subject' }
    for (const record of records) {
      expect(record).toMatchObject({ model: 'm', request: null, text: '', choices: [], subjects: [], redaction })
    }
    expect(JSON.stringify(records)).not.toMatch(/Anna|anna/)
    expect((await store.listInteractions('redact', { limit: 9, subject: 'anna' })).data).toEqual([])
  })

  test('one record by its id; its person can still be deleted', async () => {
    const [one, other] = [about('single', ['anna']), about('single', ['anna'])]
    await store.insertInteractions([one, other])
    const redact = erasure({ project: 'single', target: one.record, kind: 'record', mode: 'redact' })
    expect(await noteAndErase(store, redact)).toBe(1)
    expect(await noteAndErase(store, redact)).toBe(0)
    expect(await store.findInteraction('single', one.record)).toMatchObject({
      text: '',
      redaction: { reason: 'record' },
    })
    expect(await store.findInteraction('single', other.record)).toMatchObject({ text: asked })
    expect(await noteAndErase(store, erasure({ project: 'single', target: 'anna' }))).toBe(2)
  })

  test('no record slips in between the note and the deletion, whoever writes at the same time', async () => {
    const writer = suite.name === 'PostgreSQL' ? createStore(await suite.open()) : store
    const one = erasure({ project: 'race', target: 'anna' })
    const writing = Array.from({ length: 40 }, () => writer.insertInteractions([about('race', ['anna'])]))
    const erasing = noteAndErase(store, one)
    await Promise.all([...writing, erasing])
    expect(await left('race')).toEqual([])
  })

  test('retention: content first, then the record; each project or all', async () => {
    const now = Date.parse('2026-03-01T00:00:00.000Z')
    const day = (days: number) => new Date(now - days * 86_400_000).toISOString()
    const rows = [1, 40, 41, 400].map((age) => about('ages', ['anna'], day(age)))
    await store.insertInteractions([...rows, about('ages-not', [], day(400))])
    const policy = { contentDays: 30, metadataDays: 365 }
    const result = await store.retain(policy, { now, project: 'ages', batchRows: 1 })
    expect(result).toEqual({ redacted: 2, deleted: 1 })
    const byAge = await Promise.all(rows.map(({ record }) => store.findInteraction('ages', record)))
    expect(byAge[0]).toMatchObject({ text: asked })
    for (const old of [byAge[1], byAge[2]]) {
      expect(old).toMatchObject({ text: '', subjects: ['anna'], redaction: { reason: 'retention' } })
    }
    expect(byAge[3]).toBeUndefined()
    expect(await left('ages-not')).toHaveLength(1)
    expect(await store.retain(policy, { now, project: 'ages' })).toEqual({ redacted: 0, deleted: 0 })
    expect((await store.retain(policy, { now })).deleted).toBeGreaterThanOrEqual(1)
    expect(await left('ages-not')).toEqual([])
    expect(await store.retain({}, { now })).toEqual({ redacted: 0, deleted: 0 })
  })

  test('batches stop when they are told to', async () => {
    await store.insertInteractions([about('stop', ['anna'])])
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(store.erase(erasure({ project: 'stop', target: 'anna' }), { signal })).rejects.toThrow('stopped')
    expect(await left('stop')).toHaveLength(1)
  })

  test('the secret is made once, and hashes differ by name and by project', async () => {
    const hash = await store.subjectHasher()
    const again = await store.subjectHasher()
    expect(hash('p', 'anna')).toBe(again('p', 'anna'))
    expect(new Set([hash('p', 'anna'), hash('q', 'anna'), hash('p', 'ben')]).size).toBe(3)
    const [row] = await database.query('select count(*)::integer as count from plumbline.subject_secret')
    expect(row.count).toBe(1)
  })
})
