import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Database } from '../database.ts'
import { readLines, writeFileWhole } from '../files.ts'
import { migrate } from '../migrate.ts'
import { migrations } from '../migrations.ts'
import { recordRow } from '../record-row.test-support.ts'
import { createStore, type Store } from '../store.ts'
import { describeStores } from '../stores.test-support.ts'
import { restore } from './restore.ts'

const now = Date.parse('2026-05-05T00:00:00.000Z')

async function* each(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = []
  for await (const line of lines) all.push(line)
  return all
}

/** The last line again, right for the lines before it. */
function sealed(lines: readonly string[], rows: object): string[] {
  const sha256 = createHash('sha256')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('hex')
  return [...lines, JSON.stringify({ rows, sha256 })]
}

describeStores('backup and restore', (suite) => {
  let store: Store
  let lines: string[]
  beforeAll(async () => {
    store = suite.store()
    const awkward = `"'\\\u0000\ud83d\ude00{},NULL\u2028\t`
    const rows = Array.from({ length: 120 }, (_, i) =>
      recordRow({
        project: `p${i % 3}`,
        subjects: i % 2 === 0 ? ['anna', 'ben'] : [],
        json: JSON.stringify({ awkward, i }),
      }),
    )
    await store.insertInteractions(rows)
    const key = {
      id: 'k',
      sha256: 'ab',
      scope: 'admin',
      project: 'p1',
      isOperator: true,
      name: 'NULL',
      limits: {},
    } as const
    const event = {
      actor: 'k',
      action: 'key.create',
      project: 'p1',
      target: null,
      outcome: 'done',
      at: new Date(now).toISOString(),
    } as const
    await store.audited(event, (inside) => inside.insertKey(key, event.at))
    await store.jobs.enqueue({ kind: 'x', project: null, payload: { awkward } })
    await store.noteErasure({ project: 'p1', target: 'carl', kind: 'subject', mode: 'delete', at: event.at })
    await store.subjectHasher()
    lines = await dump(store)
  })
  const dump = async (from: Store) => {
    const parts: string[] = []
    const write = async (text: string | Uint8Array) => void parts.push(String(text))
    expect(await from.backup(write, { now })).toMatchObject({
      rows: { interactions: 120, audit: 1 },
      auditBrokenAt: undefined,
    })
    return parts.join('').trimEnd().split('\n')
  }
  /** An empty place of the same kind; the one of PostgreSQL stands in for the store, which is put back afterwards. */
  const empty = async (): Promise<Database> => {
    const database = await suite.open()
    await database.query('drop schema if exists plumbline cascade')
    return database
  }

  test('a restored store is the same, goes on with its numbers, and its deletions hold', async () => {
    const hashed = (await store.subjectHasher())('p', 'anna')
    const database = await empty()
    expect(await restore(database, each(lines))).toMatchObject({ rows: { interactions: 120, api_keys: 1 } })
    const restored = createStore(database)
    expect(await dump(restored)).toEqual(lines)
    expect((await restored.subjectHasher())('p', 'anna')).toBe(hashed)
    expect((await restored.listInteractions('p1', { limit: 99, subject: 'anna' })).data).toHaveLength(20)
    const late = recordRow({ project: 'p1', subjects: ['carl'] })
    expect(await restored.insertInteractions([late, recordRow({ project: 'new' })])).toBe(1)
    expect((await restored.listInteractions('new', { limit: 9 })).data).toHaveLength(1)
    expect(await restored.audit.verify()).toBeUndefined()
  })

  test('a store with anything in it is refused; one that was only opened is not', async () => {
    const database = await empty()
    await migrate(database)
    await createStore(database).subjectHasher()
    await restore(database, each(lines))
    await expect(restore(database, each(lines))).rejects.toMatchObject({ code: 'STORE_NOT_EMPTY' })
  })

  test('whatever is wrong with a file, nothing of it is kept', async () => {
    const database = await empty()
    const refused = async (wrong: readonly string[], code: string) => {
      await expect(restore(database, each(wrong))).rejects.toMatchObject({ code })
      const [{ there }] = await database.query("select to_regnamespace('plumbline') is not null as there")
      expect(there).toBe(false)
    }
    const head = JSON.parse(lines[0])
    const { rows } = JSON.parse(lines.at(-1)!)
    const body = lines.slice(1, -1)
    await refused([], 'BACKUP_FORMAT')
    await refused(['no JSON'], 'BACKUP_FORMAT')
    await refused([JSON.stringify({ ...head, version: 2 }), ...lines.slice(1)], 'BACKUP_FORMAT')
    await refused(lines.slice(0, -1), 'BACKUP_BROKEN')
    await refused(lines.toSpliced(9, 1), 'BACKUP_BROKEN')
    await refused(lines.toSpliced(9, 1, lines[9].replace('2026', '2025')), 'BACKUP_BROKEN')
    await refused(lines.toSpliced(9, 1, 'half a li'), 'BACKUP_BROKEN')
    await refused([...lines, '{}'], 'BACKUP_BROKEN')
    await refused(sealed(lines.slice(0, -2), rows), 'BACKUP_BROKEN')
    await refused(sealed([lines[0], '{"t":"pg_class","r":["x"]}', ...body], rows), 'BACKUP_BROKEN')
    await refused(sealed([lines[0], '{"t":"gaps","r":["x","x","x","x","x"]}', ...body], rows), 'BACKUP_BROKEN')
    const newer = { ...head, migrations: [...head.migrations, { name: 'later', sha256: 'x' }] }
    await refused(sealed([JSON.stringify(newer), ...body], rows), 'STORE_NEWER')
    const other = { ...head, migrations: [{ name: 'another', sha256: 'x' }] }
    await refused(sealed([JSON.stringify(other), ...body], rows), 'STORE_CHANGED')
  })

  test('a backup of an earlier version is brought up to date', async () => {
    const later = [...migrations, { name: 'later', statements: ['alter table plumbline.gaps add column extra text'] }]
    const database = await empty()
    await restore(database, each(lines), { known: later })
    await database.query('select extra from plumbline.gaps')
    await expect(migrate(database)).rejects.toMatchObject({ code: 'STORE_NEWER' })
  })
})

test('files: whole or not at all, compressed by their name, never over another one unasked', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'files-'))
  try {
    const texts = [
      '',
      'a\n',
      'a\n\nb',
      `${'x'.repeat(300_000)}\n\u2028é\r\n`,
      ...Array.from({ length: 5 }, () => `${randomUUID()}\n`),
    ]
    for (const name of ['plain.jsonl', 'packed.jsonl.gz']) {
      const path = join(folder, name)
      const write = (overwrite: boolean) =>
        writeFileWhole(path, { overwrite }, async (put) => {
          for (const text of texts) await put(text)
        })
      await write(false)
      expect(await collect(readLines(path))).toEqual(texts.join('').split('\n').slice(0, -1))
      await expect(write(false)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
      const failing = writeFileWhole(path, { overwrite: true }, async (put) => {
        await put('half')
        throw new Error('stop')
      })
      await expect(failing).rejects.toThrow('stop')
      expect((await collect(readLines(path))).length).toBeGreaterThan(3)
      await write(true)
    }
    expect((await readdir(folder)).sort()).toEqual(['packed.jsonl.gz', 'plain.jsonl'])
  } finally {
    await rm(folder, { recursive: true })
  }
})
