import { beforeAll, expect, test } from 'vitest'
import type { AuditEvent } from './audit.ts'
import type { Store } from './store.ts'
import { describeStores } from './stores.test-support.ts'

const event = (fields: Partial<AuditEvent> = {}): AuditEvent => ({
  actor: 'key_1',
  action: 'key.create',
  project: 'ours',
  target: 'key_2',
  outcome: 'done',
  at: '2026-01-01T00:00:00.000Z',
  ...fields,
})

describeStores('audit log and sessions', (suite) => {
  let store: Store
  beforeAll(() => {
    store = suite.store()
  })

  test('entries at the same time stand in one chain, without gaps', async () => {
    const targets = Array.from({ length: 20 }, (_, i) => `target ${i}`)
    await Promise.all(targets.map((target) => store.audit.append(event({ target }))))
    const { data, next } = await store.audit.list(undefined, { limit: 100 })
    expect(next).toBeNull()
    expect(data.map(({ position }) => position)).toEqual(Array.from({ length: 20 }, (_, i) => 20 - i))
    expect(data.map(({ target }) => target).sort()).toEqual([...targets].sort())
    expect(await store.audit.verify()).toBeUndefined()
  })

  test('pages, of one project or of all', async () => {
    await store.audit.append(event({ project: 'theirs', target: 'any\u0000text' }))
    const ours = await store.audit.list('ours', { limit: 15 })
    expect(ours.data).toHaveLength(15)
    expect((await store.audit.list('ours', { limit: 15, after: ours.next! })).data).toHaveLength(5)
    expect((await store.audit.list('theirs', { limit: 15 })).data).toMatchObject([{ project: 'theirs' }])
  })

  test('an act and its entry are there together or not at all', async () => {
    const key = {
      id: 'key_9',
      sha256: 'cd'.repeat(32),
      scope: 'admin',
      project: 'ours',
      isOperator: false,
      name: '',
      limits: {},
    } as const
    const at = '2026-01-01T00:00:00.000Z'
    const failing = store.audited(event({ target: 'never' }), async (inside) => {
      await inside.insertKey(key, at)
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await store.listKeys()).toEqual([])
    expect((await store.audit.list('ours', { limit: 1 })).data[0].target).not.toBe('never')
    expect(await store.audited(event({ target: 'key_9' }), (inside) => inside.revokeKey('none', 'ours', at))).toBe(
      false,
    )
    expect((await store.audit.list('ours', { limit: 1 })).data[0].target).toBe('key_9')
  })

  test('it takes no change, and one that is made all the same is found', async () => {
    const database = suite.database()
    for (const change of [
      "update plumbline.audit set entry = ''",
      'delete from plumbline.audit',
      'truncate plumbline.audit',
    ]) {
      await expect(database.query(change)).rejects.toThrow('append only')
    }
    await database.query('alter table plumbline.audit disable trigger append_only')
    await database.query(
      "update plumbline.audit set entry = replace(entry, 'target 3', 'target 4') where entry like '%target 3%'",
    )
    const broken = await store.audit.verify()
    expect(broken).toBeGreaterThanOrEqual(1)
    await database.query(
      "update plumbline.audit set entry = replace(entry, 'target 4', 'target 3') where position = $1::bigint",
      [broken!],
    )
    expect(await store.audit.verify()).toBeUndefined()
    await database.query('delete from plumbline.audit where position = 7')
    expect(await store.audit.verify()).toBe(7)
    await database.query('alter table plumbline.audit enable trigger append_only')
  })

  test('sessions end by time, by hand, and when a key has too many', async () => {
    const session = (name: string, expiresAt = '2026-01-02T00:00:00.000Z') => ({
      sha256: name,
      keyId: 'key_1',
      expiresAt,
    })
    const at = (minute: number) => `2026-01-01T00:${String(minute).padStart(2, '0')}:00.000Z`
    for (let i = 0; i < 25; i++) await store.sessions.insert(session(`s${i}`), at(i))
    await store.sessions.insert({ ...session('other'), keyId: 'key_2' }, at(26))
    const found = async (name: string, now: string) => (await store.sessions.find(name, now)) !== undefined
    expect(await Promise.all(['s0', 's4', 's5', 's24', 'other'].map((name) => found(name, at(30))))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ])
    expect(await store.sessions.find('s24', at(30))).toEqual(session('s24'))
    expect(await found('s24', '2026-01-02T00:00:00.000Z')).toBe(false)
    await store.sessions.remove('s24')
    expect(await found('s24', at(30))).toBe(false)
  })
})
