import { existsSync, fstatSync, fsyncSync, type Stats, writeFileSync } from 'node:fs'
import { open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PGlite, type PGliteOptions } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'
import { emptyCluster } from './empty-cluster.ts'
import { syncFolder } from './spool/segments.ts'

/** What of Emscripten's file system is used here. */
interface NodeFiles {
  readonly stream_ops: { fsync?(stream: { readonly nfd: number }): number }
  /** Turns an error of Node into a number that PostgreSQL knows. */
  tryFSOperation(operation: () => void): void
}

/** In a new cluster until its files, which are copies, have been synced. */
export const unsyncedMark = 'unsynced'
/** By then what is read and compiled at a start is over. */
const syncsAfterMs = 10_000
/** Kernels write what has changed by themselves, after half a minute in most. */
const writtenBackMs = 3_600_000

/**
 * PostgreSQL in this thread, in a folder that is there or (without one) in memory. What is committed in a folder outlasts a
 * power cut, once the files of a new one are synced.
 */
export async function openCluster(folder: string | undefined, times = { syncsAfterMs }): Promise<PGlite> {
  if (folder === undefined) return create({}, true)
  const mark = join(folder, unsyncedMark)
  const isNew = !existsSync(join(folder, 'PG_VERSION'))
  if (isNew) writeFileSync(mark, '')
  const isUnsynced = existsSync(mark)
  const { fs, started } = syncedFiles(folder, ({ ctimeMs }) => isUnsynced || ctimeMs < Date.now() - writtenBackMs)
  // Emscripten knows fdatasync, which PostgreSQL would take, but does nothing then.
  const flags = PGlite.defaultStartParams.filter((flag) => flag !== '-F')
  const database = await create({ fs, startParams: [...flags, '-c', 'wal_sync_method=fsync'] }, isNew)
  started()
  if (isUnsynced) void syncLater(database, folder, times.syncsAfterMs)
  return database
}

async function create(options: PGliteOptions, isNew: boolean): Promise<PGlite> {
  const empty = isNew ? await emptyCluster() : undefined
  try {
    return await PGlite.create({ ...options, ...(empty && { loadDataDir: empty.files }) })
  } catch (error) {
    empty?.forget()
    throw error
  }
}

/**
 * Emscripten's files of Node have no fsync: what PostgreSQL asks to be synced would be left to the kernel. It begins with all
 * files, a thousand, as a kill may have left any of them unsynced: until it has `started`, some are left out.
 */
function syncedFiles(folder: string, isLeftOut: (stats: Stats) => boolean) {
  let isStarting = true
  const sync = (descriptor: number) => {
    const stats = fstatSync(descriptor)
    if (isStarting && isLeftOut(stats)) return
    try {
      fsyncSync(descriptor)
    } catch (error) {
      if (!(stats.isDirectory() && isNotKnown(error))) throw error
    }
  }
  const fs = new NodeFS(folder)
  const init = fs.init.bind(fs)
  fs.init = async (...given) => {
    const { emscriptenOpts } = await init(...given)
    const preRun = [...(emscriptenOpts.preRun ?? [])]
    preRun.push((module) => {
      const files = module.NODEFS as unknown as NodeFiles
      files.stream_ops.fsync = ({ nfd }) => {
        files.tryFSOperation(() => sync(nfd))
        return 0
      }
    })
    return { emscriptenOpts: { ...emscriptenOpts, preRun } }
  }
  const started = () => {
    isStarting = false
  }
  return { fs, started }
}

/**
 * Nobody asks for the sync of copies, and it may take seconds. A failure ends the thread: what the disk has said once it does
 * not say again. The next start begins with the mark.
 */
async function syncLater(database: PGlite, folder: string, ms: number): Promise<void> {
  await sleep(ms, undefined, { ref: false })
  const isOver = () => database.closed
  await syncFiles(folder, isOver)
  if (isOver()) return
  await syncNames(dirname(folder))
  await rm(join(folder, unsyncedMark), { force: true })
}

/** Every file and folder in a folder, and itself. What goes meanwhile needs no sync. */
async function syncFiles(folder: string, isOver: () => boolean): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(orGone)
  for (const entry of entries ?? []) {
    if (isOver()) return
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await syncFiles(path, isOver)
    else if (entry.isFile()) await syncFile(path).catch(orGone)
  }
  await syncNames(folder)
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}

async function syncNames(folder: string): Promise<void> {
  await syncFolder(folder).catch((error) => {
    if (!isNotKnown(error)) throw error
  })
}

/** Some file systems, and all of Windows, know no sync of a folder, and say so in many ways. */
function isNotKnown(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code !== 'EIO'
}

function orGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
