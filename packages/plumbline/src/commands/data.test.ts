import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { interactionPayload, openSpool, openStore, type RecordRow, recordFacts } from '@plumbline/store'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { runCli } from '../cli.ts'
import { commands } from '../commands.ts'
import { lockData } from '../data-place.ts'
import { takeGlobals } from '../flags.ts'
import { createMemoryWorld } from '../memory-world.ts'

const now = Date.parse('2026-06-01T00:00:00.000Z')
const timeout = 600_000

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plumb-data-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function plumb(line: string) {
  const { globals, rest } = takeGlobals(line.split(' '))
  const memory = createMemoryWorld(globals, { cwd: folder, now: () => now })
  const status = await runCli(rest, globals, commands, memory.world)
  return { status, out: memory.stdout(), err: memory.stderr() }
}

async function json(line: string): Promise<Record<string, unknown>> {
  const { status, out, err } = await plumb(`${line} --json`)
  expect([status, err]).toEqual([0, expect.any(String)])
  return JSON.parse(out.trim().split('\n').at(-1)!)
}

/** A folder as `plumb serve` leaves it when it is killed: some records in the store, one in the spool. */
async function makeData(): Promise<string[]> {
  const store = await openStore({ folder: join(folder, 'data', 'store') })
  const subject = (await store.subjectHasher())('default', 'anna')
  const row = (createdAt: string, subjects: string[]): RecordRow => {
    const record = randomUUID()
    const body = { record, id: record, text: `words of ${createdAt}`, subjects, created_at: createdAt, error: null }
    const columns = { keyId: null, model: 'm', termination: 'completed', ...recordFacts({ choices: [], guards: [] }) }
    return { record, id: record, project: 'default', createdAt, ...columns, subjects, json: JSON.stringify(body) }
  }
  const rows = [
    row('2025-01-01T00:00:00.000Z', []),
    row('2026-04-01T00:00:00.000Z', [subject]),
    row('2026-05-31T00:00:00.000Z', [subject]),
  ]
  await store.insertInteractions(rows.slice(0, 2))
  await store.close()
  const spool = await openSpool(join(folder, 'data', 'spool'), { warn: () => {} })
  await spool.append(interactionPayload(rows[2]))
  await spool.close(1_000)
  return rows.map(({ record }) => record)
}

test('export takes what waits in the spool too; one person is deleted for good', { timeout }, async () => {
  const records = await makeData()
  const exported = async (name: string, more = '') => {
    await json(`data export --data data --kind interactions --format jsonl --output ${name}${more}`)
    const lines = (await readFile(join(folder, name), 'utf8')).split('\n').filter(Boolean)
    return lines.map((line) => JSON.parse(line).record)
  }
  expect(await exported('all.jsonl')).toEqual(records)
  expect(await exported('some.jsonl', ' --since 2026-01-01 --until 2026-05-01')).toEqual([records[1]])
  expect((await stat(join(folder, 'all.jsonl'))).mode & 0o777).toBe(0o600)
  const again = await plumb('data export --data data --kind interactions --format jsonl --output all.jsonl')
  expect(again).toMatchObject({ status: 1, err: expect.stringContaining('error[FILE_EXISTS]') })
  const parquet = await json('data export --data data --kind interactions --format parquet --output all.parquet')
  expect(parquet.rows).toBe(3)
  expect((await readFile(join(folder, 'all.parquet'))).subarray(0, 4).toString()).toBe('PAR1')

  expect(await json('data retain --data data --content-days 30 --metadata-days 365')).toEqual({
    redacted: 1,
    deleted: 1,
  })
  expect(await json('data delete --data data --subject anna')).toMatchObject({ records: 2 })
  expect(await exported('none.jsonl')).toEqual([])
  const store = await openStore({ folder: join(folder, 'data', 'store') })
  const { data } = await store.audit.list(undefined, { limit: 9 })
  expect(data.map(({ action, actor }) => [action, actor])).toEqual([
    ['subject.delete', 'command line'],
    ['data.retain', 'command line'],
  ])
  await store.close()
  expect(await readdir(join(folder, 'data', 'spool'))).not.toContainEqual(expect.stringMatching(/\.spool$/))
})

test('a backup comes back in another folder, and never over anything', { timeout }, async () => {
  const records = await makeData()
  const { rows } = await json('backup --data data --output backup.jsonl.gz')
  expect(rows).toMatchObject({ interactions: 3 })
  // PGlite leaves its files to everybody, so nobody else may enter.
  await mkdir(join(folder, 'other'), { mode: 0o755 })
  expect((await json('restore --input backup.jsonl.gz --data other')).rows).toEqual(rows)
  expect((await json('restore --input backup.jsonl.gz --data new')).rows).toEqual(rows)
  for (const path of ['other/store', 'new/store', 'new'])
    expect((await stat(join(folder, path))).mode & 0o777, path).toBe(0o700)
  const again = await plumb('restore --input backup.jsonl.gz --data other')
  expect(again).toMatchObject({ status: 1, err: expect.stringContaining('error[STORE_NOT_EMPTY]') })
  expect(await json('data redact --data other --subject anna')).toMatchObject({ records: 2 })
  expect(await json(`data delete --data other --record ${records[0]}`)).toEqual({ records: 1, target: records[0] })
  const bytes = await readFile(join(folder, 'backup.jsonl.gz'))
  await writeFile(join(folder, 'cut.jsonl.gz'), bytes.subarray(0, bytes.length - 20))
  const cut = await plumb('restore --input cut.jsonl.gz --data third')
  expect(cut).toMatchObject({ status: 1, err: expect.stringMatching(/error\[BACKUP_BROKEN\]: .*\nhint: /) })
  expect(await readdir(join(folder, 'third'))).not.toContain('store')
})

test('what is wrong is said, with the next step', { timeout }, async () => {
  const wrong = async (line: string, status: number, code: string) => {
    const result = await plumb(line)
    expect(result, line).toMatchObject({
      status,
      err: expect.stringMatching(new RegExp(`error\\[${code}\\]: .*\nhint: `)),
    })
  }
  await wrong('backup --output x', 2, 'USAGE_MISSING')
  await wrong('backup --data nowhere --output x', 1, 'DATA_MISSING')
  await wrong('restore --input nowhere --data new', 1, 'BACKUP_MISSING')
  await wrong('data delete --data data', 2, 'USAGE_MISSING')
  await wrong('data delete --data data --subject a --record 0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee', 2, 'USAGE_CONFLICT')
  await wrong('data delete --data data --record chatcmpl-1', 2, 'USAGE_VALUE')
  await wrong('data retain --data data', 2, 'USAGE_MISSING')
  await wrong('data export --data data --kind interactions --format jsonl --output x --since soon', 2, 'USAGE_VALUE')
  expect(await readdir(folder)).toEqual([])
  await mkdir(join(folder, 'data', 'store'), { recursive: true })
  const { world } = createMemoryWorld(takeGlobals([]).globals, { cwd: folder })
  const lock = await lockData(join(folder, 'data'), world)
  await wrong('backup --data data --output x', 1, 'DATA_IN_USE')
  await lock.release()
})

/** The lock of a process whose life cannot be seen from here. */
async function leaveLock(data: string): Promise<{ file: string; pid: number }> {
  const file = join(data, '.lock')
  const gone = { id: 'gone', pid: 2 ** 22 + 1, host: 'elsewhere' }
  await mkdir(data)
  await writeFile(file, JSON.stringify(gone))
  return { file, pid: gone.pid }
}

test('a wait for what an earlier process left behind is told', async () => {
  const data = join(folder, 'data')
  const { file, pid } = await leaveLock(data)
  const info = vi.fn(() => rm(file))
  const { world } = createMemoryWorld(takeGlobals([]).globals, { cwd: folder })
  const lock = await lockData(data, { ...world, log: { ...world.log, info } })
  expect(info).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(`process ${pid} on elsewhere. Waiting`))
  await lock.release()
})

test('an interrupt ends that wait, and the lock stays', async () => {
  const data = join(folder, 'data')
  const { file } = await leaveLock(data)
  const left = await readFile(file, 'utf8')
  const stop = new AbortController()
  const { world } = createMemoryWorld(takeGlobals([]).globals, { cwd: folder })
  const interrupted = new PlumblineError('INTERRUPTED', 'Stopped by SIGINT.')
  const log = { ...world.log, info: () => stop.abort(interrupted) }
  await expect(lockData(data, { log, signal: stop.signal })).rejects.toBe(interrupted)
  expect(await readFile(file, 'utf8')).toBe(left)
})
