import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { recordRow } from '../record-row.test-support.ts'
import { interactionPayload } from '../spool/shipper.ts'
import { until } from '../spool/spool.test-support.ts'
import { openSpool, type Spool } from '../spool/spool.ts'
import { openShippedStore, type Store } from '../store.ts'
import { startStoreProcess } from './store-process.ts'

// Each starts databases one after the other, some seconds of a core each.
vi.setConfig({ testTimeout: 120_000 })

let folder: string
let warnings: string[]
let pids: number[]
const warn = (text: string) => void warnings.push(text)
const hold = async (pid: number) => void pids.push(pid)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'store-process-'))
  warnings = []
  pids = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const place = () => ({ folder: join(folder, 'store') })
const rowsOf = (count: number) => Array.from({ length: count }, () => recordRow())
const idsOf = (rows: readonly { readonly record: string }[]) => rows.map(({ record }) => record).sort()

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Every record, shipped or read again after a while in which the store was away. */
async function recordsIn(store: Store, count: number): Promise<string[]> {
  for (;;) {
    const page = await store.listInteractions('default', { limit: 1000 }).catch(() => undefined)
    if (page !== undefined && page.data.length >= count) return idsOf(page.data)
    await sleep(20)
  }
}

test('a transaction is alone, all of it or nothing of it; an error crosses with its code', async () => {
  const { database } = startStoreProcess(undefined, { warn, hold })
  await database.query('create table numbers (number integer primary key)')
  const first = database.transaction(async ({ query }) => {
    await query('insert into numbers values (1)')
    await sleep(50)
    await query('insert into numbers values (2)')
  })
  const count = async () => (await database.query('select count(*)::integer as count from numbers'))[0].count
  const seen = await Promise.all([first, count()])
  expect(seen[1]).toBe(2)
  const failing = database.transaction(async ({ query }) => {
    await query('insert into numbers values (3)')
    await query('insert into numbers values (1)')
  })
  await expect(failing).rejects.toMatchObject({ code: '23505', message: expect.stringContaining('duplicate key') })
  const given = database.transaction(async ({ query }) => {
    await query('insert into numbers values (4)')
    throw new Error('changed our mind')
  })
  await expect(given).rejects.toThrow('changed our mind')
  expect(await count()).toBe(2)
  await database.close()
  expect(isAlive(pids[0])).toBe(false)
  expect(warnings).toEqual([])
})

test('records go from the spool into the store, those in memory too while the disk takes nothing; a stop loses none', async () => {
  const { store, ship } = await openShippedStore(place(), { warn, hold })
  let isFull = false
  const spool = await openSpool(join(folder, 'spool'), {
    warn,
    segmentBytes: 2_000,
    retryMs: 10,
    open: (...args) => (isFull ? Promise.reject(new Error('no space left')) : open(...args)),
  })
  const shipper = ship(spool, { warn, folder: join(folder, 'spool'), retryMs: 10 })
  const rows = rowsOf(40)
  for (const row of rows.slice(0, 20)) await spool.append(interactionPayload(row))
  isFull = true
  // These wait until the store has them: no new segment can be begun.
  await Promise.all(rows.slice(20, 30).map((row) => spool.append(interactionPayload(row))))
  expect(warnings.join()).toContain('no space left')
  isFull = false
  for (const row of rows.slice(30)) await spool.append(interactionPayload(row))
  await shipper.stop(60_000)
  expect(spool.state()).toMatchObject({ bytes: 0, pendingRecords: 0 })
  // One may have gone from memory, and again from a file that could not be synced.
  expect(shipper.state()).toMatchObject({ refused: 0, isStoreAway: false })
  expect(await recordsIn(store, 40)).toEqual(idsOf(rows))
  await spool.close(0)
  await store.close()
})

async function appendSlowly(spool: Spool, rows: readonly ReturnType<typeof recordRow>[]): Promise<void> {
  for (const row of rows) {
    await spool.append(interactionPayload(row), 'written')
    await sleep(2)
  }
}

test('a process that is killed is followed by another: no record is lost or doubled, and what waited fails', async () => {
  const { store, ship } = await openShippedStore(place(), { warn, hold })
  const spool = await openSpool(join(folder, 'spool'), { warn })
  const shipper = ship(spool, { warn, folder: join(folder, 'spool') })
  const rows = rowsOf(300)
  const appended = appendSlowly(spool, rows)
  await until(() => shipper.state().shipped > 0)
  const waiting = store.listInteractions('default', { limit: 1000 })
  process.kill(pids[0], 'SIGKILL')
  await expect(waiting).rejects.toThrow('has ended')
  await until(() => shipper.state().isStoreAway)
  await appended
  await until(() => warnings.length === 2)
  expect(await recordsIn(store, rows.length)).toEqual(idsOf(rows))
  expect(warnings[0]).toContain('killed')
  await shipper.stop(60_000)
  expect(spool.state().bytes).toBe(0)
  await spool.close(0)
  await store.close()
})

test('a database that has hung is ended, and another one started', async () => {
  const { database, watch } = startStoreProcess(undefined, { warn, hold, patienceMs: 2_000 })
  await database.query('select 1 as one')
  watch()
  await expect(database.query('select count(*) from generate_series(1, 1e12::bigint)')).rejects.toThrow()
  await until(() => warnings.length === 2)
  expect(await database.query('select 1 as one')).toEqual([{ one: 1 }])
  expect(warnings).toEqual([expect.stringContaining('not answered a statement for 2 s'), expect.any(String)])
  await database.close()
})

test('a process that is stuck is ended, and another one started', async () => {
  const { database, watch } = startStoreProcess(undefined, { warn, hold, patienceMs: 2_000 })
  await database.query('select 1 as one')
  watch()
  process.kill(pids[0], 'SIGSTOP')
  await expect(database.query('select 1 as one')).rejects.toThrow('has ended')
  await until(() => warnings.length === 2)
  expect(await database.query('select 1 as one')).toEqual([{ one: 1 }])
  expect(warnings[0]).toContain('not answered for 2 s')
  await database.close()
})

test('while no process can be started what is asked fails at once, and a stop ends', async () => {
  const { store, ship } = await openShippedStore(place(), { warn, hold })
  const spool = await openSpool(join(folder, 'spool'), { warn })
  const shipper = ship(spool, { warn, folder: join(folder, 'spool') })
  await rename(place().folder, join(folder, 'away'))
  await writeFile(place().folder, '')
  process.kill(pids[0], 'SIGKILL')
  await until(() => warnings.some((text) => text.includes('does not start')))
  await expect(store.countGaps()).rejects.toThrow('started anew')
  const row = recordRow()
  await spool.append(interactionPayload(row))
  await shipper.stop(100)
  await spool.close(0)
  await store.close()
  for (const pid of pids) expect(isAlive(pid)).toBe(false)
  await rm(place().folder)
  await rename(join(folder, 'away'), place().folder)
  const again = await openShippedStore(place(), { warn, hold })
  const left = await openSpool(join(folder, 'spool'), { warn })
  await again.ship(left, { warn, folder: join(folder, 'spool') }).stop(60_000)
  expect(await recordsIn(again.store, 1)).toEqual([row.record])
  await left.close(0)
  await again.store.close()
})

test('a store that cannot be opened says why, and no process stays', async () => {
  await writeFile(place().folder, '')
  await expect(openShippedStore(place(), { warn, hold })).rejects.toMatchObject({ code: 'STORE_BROKEN' })
  expect(pids.map(isAlive)).toEqual([false])
})

test('it lets signals go by, which are for the gateway to heed, and ends at once when that is killed', async () => {
  const program = `
    import { startStoreProcess } from ${JSON.stringify(new URL('./store-process.ts', import.meta.url).href)}
    const { database } = startStoreProcess(${JSON.stringify(place().folder)}, { warn: console.log, hold: async (pid) => console.log(pid) })
    await database.query('select 1 as one')
    console.log('open')
    setInterval(() => {}, 1000)`
  const gateway = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  gateway.stdout.on('data', (bytes) => {
    said += bytes
  })
  await until(() => said.includes('open'))
  const pid = Number(said.split('\n')[0])
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal)
  await sleep(200)
  expect(isAlive(pid)).toBe(true)
  gateway.kill('SIGKILL')
  await once(gateway, 'exit')
  await until(() => !isAlive(pid))
})
