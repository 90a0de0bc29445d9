import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import type { Database } from './database.ts'
import { isDataError } from './database.ts'
import { migrate, migrationHash } from './migrate.ts'
import { migrations } from './migrations.ts'
import { openPglite } from './pglite.ts'
import { recordRow } from './record-row.test-support.ts'
import { createStore, openStore, type Store } from './store.ts'
import { describeStores } from './stores.test-support.ts'

describeStores('store', ({ name, open, ...suite }) => {
  let database: Database
  let store: Store
  beforeAll(() => {
    database = suite.database()
    store = suite.store()
  })

  test('records are written once, however often they are sent', async () => {
    const rows = [recordRow(), recordRow(), recordRow()]
    expect(await store.insertInteractions(rows.slice(0, 2))).toBe(2)
    expect(await store.insertInteractions(rows)).toBe(1)
    expect(await store.insertInteractions([...rows, ...rows])).toBe(0)
    const { data } = await store.listInteractions('default', { limit: 1000 })
    expect(data.map(({ record }) => record).filter((record) => rows.some((one) => one.record === record))).toHaveLength(
      3,
    )
  })

  test('two answers may say the same id: both are kept', async () => {
    const rows = [recordRow({ id: 'same', project: 'same-id' }), recordRow({ id: 'same', project: 'same-id' })]
    expect(await store.insertInteractions(rows)).toBe(2)
  })

  test('pages hold every record once, newest first', async () => {
    const project = 'pages'
    const rows = Array.from({ length: 23 }, () => recordRow({ project }))
    for (const one of rows) await store.insertInteractions([one])
    for (const limit of [1, 7, 22, 23, 24]) {
      const seen: string[] = []
      let after: string | undefined
      do {
        const page = await store.listInteractions(project, { limit, after })
        seen.push(...page.data.map(({ record }) => record))
        after = page.next ?? undefined
      } while (after !== undefined)
      expect(seen).toEqual(rows.map(({ record }) => record).reverse())
    }
  })

  test('a page is cut where it grows too large', async () => {
    const json = JSON.stringify({ text: 'x'.repeat(7 * 2 ** 20) })
    for (let i = 0; i < 4; i++) await store.insertInteractions([recordRow({ project: 'large', json })])
    const page = await store.listInteractions('large', { limit: 10 })
    expect(page.data).toHaveLength(2)
    expect((await store.listInteractions('large', { limit: 10, after: page.next! })).data).toHaveLength(2)
  })

  test('a project sees its own records only', async () => {
    await store.insertInteractions([recordRow({ project: 'ours' }), recordRow({ project: 'theirs' })])
    const { data } = await store.listInteractions('ours', { limit: 10 })
    expect(data).toHaveLength(1)
    expect((await store.listInteractions("ours' or '1'='1", { limit: 10 })).data).toEqual([])
  })

  test('any text comes back as it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.json(), async (text, value) => {
        const project = randomUUID()
        const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`
        await store.insertInteractions([recordRow({ json: deep })])
        const content = { text, value, awkward: `"'\\\u0000\ud800{},NULL` }
        await store.insertInteractions([recordRow({ project, id: text, json: JSON.stringify(content) })])
        const { data } = await store.listInteractions(project, { limit: 1 })
        expect(data).toEqual([content])
      }),
      { numRuns: 30 },
    )
  })

  test('what can never be written is told apart from a database that is away', async () => {
    const wrong = await store.insertInteractions([recordRow({ record: 'no uuid' })]).catch((error) => error)
    expect(isDataError(wrong)).toBe(true)
    expect((await store.listInteractions('none', { limit: 1 })).data).toEqual([])
  })

  test('keys come back without their secret; the same one twice is one', async () => {
    const key = {
      id: 'k1',
      sha256: 'ab'.repeat(32),
      scope: 'admin',
      project: 'default',
      isOperator: true,
      name: 'n',
      limits: { requests_per_minute: 5, concurrent: null },
    } as const
    await store.insertKey(key, '2026-01-01T00:00:00.000Z')
    await store.insertKey({ ...key, id: 'k2' }, '2026-01-02T00:00:00.000Z')
    expect(await store.listKeys()).toEqual([key])
    expect(await store.revokeKey('k1', 'other', '2026-01-03T00:00:00.000Z')).toBe(false)
    expect(await store.revokeKey('k1', 'default', '2026-01-03T00:00:00.000Z')).toBe(true)
    expect(await store.revokeKey('k1', undefined, '2026-01-03T00:00:00.000Z')).toBe(false)
    await store.insertKey(key, '2026-01-04T00:00:00.000Z')
    expect(await store.listKeys()).toEqual([])
  })

  test('secrets come back in their order, each purpose apart', async () => {
    const secret = (id: string, purpose: string, day: number) => ({
      id,
      purpose,
      secret: `${id}-secret`,
      createdAt: `2026-01-0${day}T03:04:05.678Z`,
    })
    const [first, second, other] = [secret('b', 'one', 1), secret('a', 'one', 2), secret('c', 'two', 1)]
    for (const one of [second, first, other]) await store.insertSecret(one)
    expect(await store.listSecrets('one')).toEqual([first, second])
    expect(await store.listSecrets('none')).toEqual([])
  })

  test('gaps are counted once', async () => {
    const gap = {
      record: randomUUID(),
      from: '2026-01-01T00:00:00.000Z',
      to: '2026-01-01T00:00:01.000Z',
      count: 5,
      reason: 'disk',
    }
    await store.insertGaps([gap])
    await store.insertGaps([gap, { ...gap, record: randomUUID(), count: 2 }])
    expect(await store.countGaps()).toBe(7)
  })

  test('a failed transaction leaves nothing', async () => {
    const failed = database.transaction(async (queries) => {
      await queries.query("insert into plumbline.gaps values ($1::uuid, now(), now(), 100, 'x')", [randomUUID()])
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(await store.countGaps()).toBe(7)
  })

  test('migrations: again changes nothing; a newer or another store is refused', async () => {
    await migrate(database)
    await expect(migrate(database, migrations.slice(0, -1))).rejects.toMatchObject({
      code: 'STORE_NEWER',
      hint: expect.stringContaining('Run that version or a later one'),
    })
    const changed = migrations.map((one, i) =>
      i === 1 ? { ...one, statements: [...one.statements, 'select 1'] } : one,
    )
    await expect(migrate(database, changed)).rejects.toMatchObject({ code: 'STORE_CHANGED' })
    const broken = [...migrations, { name: 'broken', statements: ['create table plumbline.half (a text)', 'bad sql'] }]
    await expect(migrate(database, broken)).rejects.toThrow('syntax error')
    await expect(database.query('select * from plumbline.half')).rejects.toThrow('does not exist')
    await migrate(database)
  })

  test('several processes may open the same new database', async () => {
    if (name === 'PGlite') return
    await database.query('drop schema plumbline cascade')
    const others = await Promise.all([open(), open(), open()])
    await Promise.all(others.map((one) => migrate(one)))
    for (const one of others) await one.close()
  })
})

test('released migrations never change', () => {
  expect(migrations.map((migration) => [migration.name, migrationHash(migration).slice(0, 16)])).toEqual([
    ['interactions', '61b699ec6cae7f33'],
    ['gaps', 'e585013adb236026'],
    ['api keys', '8da7ef3e5a9090c2'],
    ['limits of keys', '44fe49ffe8b59fef'],
    ['secrets', '45b5fb9a7c559ea9'],
    ['columns to find interactions by', '333fda6cad42dd39'],
    ['erasures', 'fea70509efc49860'],
    ['jobs', 'ee09fd3b66d4975e'],
    ['audit log', 'ae14bd8ed067b737'],
    ['sessions', 'cda4539da85ee579'],
    ['feedback', '3431600067a9d22b'],
    ['review', '63684c3e1fc7d785'],
    ['bodies without compression', '7a05a08a18202246'],
    ['monitoring', 'd52c87b9aa8127de'],
    ['counterfactual pairs', 'e08a4c78b3f1a809'],
    ['what monitoring asks of a record', 'f5cfce5fe2db813a'],
    ['calibration on reviewers’ labels', '0cfdf0996e60a21b'],
    ['order of strata', '6e426d7dbc54a020'],
  ])
})

test('a key from before keys had limits has none', async () => {
  const database = await openPglite(undefined)
  await migrate(database, migrations.slice(0, 3))
  await database.query(
    "insert into plumbline.api_keys values ('k', 'ab', 'client', 'p', false, 'n', '2026-01-01T00:00:00Z', null)",
  )
  await migrate(database)
  const store = createStore(database)
  expect(await store.listKeys()).toMatchObject([{ id: 'k', limits: {} }])
  await store.close()
})

test('an embedded store keeps its records on disk', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  const place = { folder: join(folder, 'a', 'store') }
  const one = recordRow()
  const first = await openStore(place)
  await first.insertInteractions([one])
  await first.close()
  const second = await openStore(place)
  expect((await second.listInteractions('default', { limit: 9 })).data).toMatchObject([{ record: one.record }])
  await second.close()
  await rm(folder, { recursive: true })
})

test('a database that cannot be reached, and a URL that is none, say what to do', async () => {
  await expect(openStore({ url: 'postgres://u:secret@127.0.0.1:1/db' })).rejects.toMatchObject({ code: 'STORE_AWAY' })
  const wrong = await openStore({ url: 'mysql://u:secret@h/db' }).catch((error) => error)
  expect(wrong).toMatchObject({ code: 'USAGE_DATABASE' })
  expect(JSON.stringify([wrong.message, wrong.hint])).not.toContain('secret')
})

const canMount = process.platform === 'linux' && process.getuid?.() === 0

test.skipIf(!canMount)(
  'a store on a full disk (needs root and tmpfs) is not said to be broken for good',
  async (context) => {
    const disk = await mkdtemp(join(tmpdir(), 'store-'))
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]).status !== 0) {
      await rm(disk, { recursive: true })
      return context.skip('no tmpfs can be mounted here')
    }
    try {
      const failure = await openStore({ folder: join(disk, 'store') }).catch((error) => error)
      expect(failure).toMatchObject({
        code: 'STORE_BROKEN',
        hint: expect.stringMatching(/^Its disk has only \d MB left: make room first/),
      })
      expect(failure.message).not.toContain('undefined')
    } finally {
      spawnSync('umount', ['-l', disk])
      await rm(disk, { recursive: true })
    }
  },
)
