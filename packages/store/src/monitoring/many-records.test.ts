import { expect, test } from 'vitest'
import { recordRow } from '../record-row.test-support.ts'
import { describeStores } from '../stores.test-support.ts'
import type { EvaluationRow } from './settle.ts'

const at = '2026-01-02T03:04:05.678Z'
const project = 'default'
const recordCount = 4_000
const batchSize = 100
const verdictsBefore = 4
/** Of a usual length: a table of a few pages is rightly read whole. */
const json = JSON.stringify({ request: 'x'.repeat(2_000) })

describeStores('monitoring among many records', (suite) => {
  test('a batch reads no table whole, nor retention what was found or asked, also where nobody has made statistics', async () => {
    const database = suite.database()
    const store = suite.store()
    const { monitoring } = store
    const rows = Array.from({ length: recordCount }, () => recordRow({ project, json }))
    await store.insertInteractions(rows)
    await database.query(
      `insert into plumbline.evaluations (record, evaluator, version, project, outcome, probability, record_at, at)
      select record, 'e' || i, '1', project, 'passed', 1, created_at, created_at
      from plumbline.interactions, generate_series(1, ${verdictsBefore}) as i`,
    )
    await database.query(
      `insert into plumbline.review_items (id, project, interaction, reasons, priority, wanted, state, created_at)
      select gen_random_uuid(), project, id, '{}', 1, 1, 'open', created_at from plumbline.interactions`,
    )
    await database.query(
      `insert into plumbline.feedback
        (project, id, interaction, kind, actor_kind, actor, people, content, created_at, updated_at)
      select project, gen_random_uuid(), id, 'correction', 'user', 'u', 1, repeat('x', 200), created_at, created_at
      from plumbline.interactions`,
    )
    const rowsReadWhole = async () => {
      await database.query('select pg_stat_force_next_flush()')
      const tables = await database.query(
        `select relname as name, seq_tup_read::integer as rows from pg_stat_user_tables
        where relname in ('interactions', 'evaluations', 'feedback', 'review_items')`,
      )
      return Object.fromEntries(tables.map(({ name, rows: read }) => [String(name), Number(read)]))
    }

    const before = await rowsReadWhole()
    const taken = (await monitoring.take('answers', batchSize))!
    const records = taken.heads.map(({ record }) => record)
    expect(await monitoring.readBodies(records)).toHaveLength(batchSize)
    const evaluations = records.map((record): EvaluationRow => {
      const facts = { label: null, category: null, score: 0.5, error: null, probability: 1 }
      return { record, project, recordAt: at, evaluator: 'e', version: '1', outcome: 'flagged', ...facts }
    })
    let verdicts = 0
    await monitoring.settle(taken, {
      evaluations,
      ...{ traffic: [], rates: [], cohorts: [], marks: [], review: [], detectors: [], notify: [] },
      reviewMore: (all) => {
        verdicts = all.length
        return []
      },
      reviewSample: () => [],
      reviewsPerDay: 1,
      decide: () => ({ detectors: [], alarms: [] }),
      at,
    })
    expect(verdicts).toBe((verdictsBefore + 1) * batchSize)
    expect(await rowsReadWhole()).toEqual(before)

    const { deleted } = await store.retain({ metadataDays: 1 }, { now: Date.parse('2026-02-01T00:00:00Z') })
    expect(deleted).toBe(recordCount)
    const after = await rowsReadWhole()
    expect({ ...after, interactions: 0, feedback: 0 }).toEqual({ ...before, interactions: 0, feedback: 0 })
    for (const table of ['evaluations', 'feedback', 'review_items']) {
      const [left] = await database.query(`select count(*)::integer as count from plumbline.${table}`)
      expect(left, table).toEqual({ count: 0 })
    }
  })
})
