/**
 * A process that writes to a cluster until power goes: before one of its writes its files become what a power cut may leave. Of each
 * page that was written and not synced either the new or the last synced state is there. Names and sizes of files are there at
 * once, as most file systems see to that by themselves.
 *
 *   node power-cut.test-support.ts FOLDER SEED
 *
 * Power goes after some writes, be it in the middle of a start. With every third seed the process is killed instead: then what
 * is not synced goes on to the next process, which may lose it. With seed 0 that is right after the start of the new cluster.
 * Prints a line for each row that is found, that these are all, and a line for the rows of each commit.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { deserialize, serialize } from 'node:v8'

const [folder, seed] = process.argv.slice(2)
const PAGE = 4096
/** Some thirty commits. */
const MOST_WRITES = 900
const unsyncedFile = `${folder}.unsynced`

/** By inode and page what the page was when it was synced last; empty behind the end of the file. */
type Unsynced = Map<number, Map<number, Buffer>>

const fs = createRequire(import.meta.url)('node:fs') as typeof import('node:fs')
const real = { ...fs }
const random = createDice(Number(seed))
const unsynced = readUnsynced()
const isKilled = Number(seed) % 3 === 0
let left = Math.floor(random() * MOST_WRITES)

fs.writeSync = ((descriptor: number, data: Uint8Array, offset: number, length: number, position: number) => {
  // Pipes and the terminal are no disk.
  if (real.fstatSync(descriptor).isFile()) {
    keepPages(descriptor, position, length)
    if (left-- <= 0) stop()
  }
  return real.writeSync(descriptor, data, offset, length, position)
}) as typeof fs.writeSync
fs.fsyncSync = (descriptor) => {
  real.fsyncSync(descriptor)
  unsynced.delete(real.fstatSync(descriptor).ino)
}
fs.unlinkSync = (path) => {
  unsynced.delete(real.statSync(path).ino)
  real.unlinkSync(path)
}
syncBuiltinESMExports()

const handle = await fs.promises.open(import.meta.filename)
const { sync } = handle
Object.getPrototypeOf(handle).sync = async function (this: typeof handle) {
  await sync.call(this)
  unsynced.delete((await this.stat()).ino)
}
await handle.close()

const { openCluster, unsyncedMark } = await import('./cluster.ts')
fs.mkdirSync(folder, { recursive: true })
const isNew = fs.readdirSync(folder).length === 0
const planned = left
// The files of a new cluster are not safe before they have been synced once, and are not said to be.
const isSafe = () => !fs.existsSync(join(folder, unsyncedMark))
if (isNew || !isSafe()) left = Number.POSITIVE_INFINITY
const database = await openCluster(folder, { syncsAfterMs: isNew ? 60_000 : 0 })
if (isNew) {
  // As long ago as an empty cluster that was kept may have been made.
  for (const entry of fs.readdirSync(folder, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) fs.utimesSync(join(entry.parentPath, entry.name), 0, 0)
  stop()
}
while (!isSafe()) await sleep(10)
if (left === Number.POSITIVE_INFINITY) left = planned
const say = (text: string) => real.writeSync(1, `${text}\n`)
await database.query('create table if not exists rows (id text primary key, body text)')
for (const { id } of (await database.query<{ id: string }>('select id from rows')).rows) say(`found ${id}`)
say('all found')
for (let i = 0; ; i++) {
  const ids = Array.from({ length: 1 + Math.floor(random() * 20) }, (_, j) => `${seed}-${i}-${j}`)
  const bodies = ids.map(() => 'body '.repeat(random() * 2_000))
  await database.query('insert into rows select * from unnest($1::text[], $2::text[])', [ids, bodies])
  say(`committed ${ids.join(' ')}`)
  if (random() < 0.2) await database.query('update rows set body = body || $1 where id = $2', ['!', ids[0]])
  if (random() < 0.05) await database.query('checkpoint')
}

function keepPages(descriptor: number, position: number, length: number): void {
  const { ino, size } = real.fstatSync(descriptor)
  const pages = unsynced.get(ino) ?? new Map<number, Buffer>()
  unsynced.set(ino, pages)
  for (let page = Math.floor(position / PAGE); page * PAGE < position + length; page++) {
    if (pages.has(page)) continue
    const data = Buffer.alloc(Math.max(0, Math.min(PAGE, size - page * PAGE)))
    if (data.length > 0) readAll(descriptor, data, page * PAGE)
    pages.set(page, data)
  }
}

/** A descriptor that was opened for writing alone cannot be read. */
function readAll(descriptor: number, data: Buffer, position: number): void {
  const readable = real.openSync(`/proc/self/fd/${descriptor}`, 'r')
  real.readSync(readable, data, 0, data.length, position)
  real.closeSync(readable)
}

function stop(): void {
  left = Number.POSITIVE_INFINITY // what is written here is no write of the cluster
  if (isKilled) writeFileSync(unsyncedFile, serialize(unsynced))
  else losePages(folder)
  process.kill(process.pid, 'SIGKILL')
}

function losePages(place: string): void {
  for (const entry of real.readdirSync(place, { withFileTypes: true })) {
    const path = join(place, entry.name)
    if (entry.isDirectory()) losePages(path)
    else losePagesOf(path)
  }
}

function losePagesOf(path: string): void {
  const pages = unsynced.get(real.statSync(path).ino)
  if (pages === undefined) return
  const descriptor = real.openSync(path, 'r+')
  for (const [page, before] of pages) {
    if (random() < 0.5) continue
    // Behind the end of what was synced there are zeros.
    const size = Math.min(PAGE, real.fstatSync(descriptor).size - page * PAGE)
    if (size <= 0) continue
    const data = Buffer.alloc(size)
    before.copy(data)
    real.writeSync(descriptor, data, 0, size, page * PAGE)
  }
  real.closeSync(descriptor)
}

function readUnsynced(): Unsynced {
  try {
    const found = deserialize(readFileSync(unsyncedFile)) as Unsynced
    rmSync(unsyncedFile)
    return found
  } catch {
    return new Map()
  }
}

/** Numbers from 0 to 1 (Mulberry32). */
function createDice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
