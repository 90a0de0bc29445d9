import { existsSync, fstatSync, fsyncSync, type Stats } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'
import { emptyCluster } from './empty-cluster.ts'

/** What of Emscripten's file system is used here. */
interface NodeFiles {
  readonly stream_ops: { fsync?(stream: { readonly nfd: number }): number }
  /** Turns an error of Node into a number that PostgreSQL knows. */
  tryFSOperation(operation: () => void): void
}

/** Kernels write what has changed by themselves, after half a minute in most. */
const writtenBackMs = 3_600_000
/** Files of a new cluster are synced when its first seconds, in which most is read and compiled, are over. */
const firstSyncMs = 10_000

/** PostgreSQL in this thread, in a folder or (without one) in memory. What is committed in a folder outlasts a power cut. */
export async function openCluster(folder: string | undefined): Promise<PGlite> {
  const isNew = folder === undefined || !existsSync(join(folder, 'PG_VERSION'))
  const empty = isNew ? await emptyCluster() : undefined
  const files = folder === undefined ? undefined : new SyncedFiles(folder, isNew)
  try {
    const database = await PGlite.create({ ...(files && onFiles(files)), ...(empty && { loadDataDir: empty.files }) })
    if (files !== undefined) files.isStarting = false
    if (isNew && folder !== undefined) syncLater(database, folder)
    return database
  } catch (error) {
    empty?.forget()
    throw error
  }
}

/** Without `-F`, PostgreSQL syncs; Emscripten knows fdatasync, its usual way to do that, but does nothing then. */
const onFiles = (fs: SyncedFiles) => ({
  fs,
  startParams: [...PGlite.defaultStartParams.filter((flag) => flag !== '-F'), '-c', 'wal_sync_method=fsync'],
})

/** Emscripten's files of Node have no fsync: what PostgreSQL asks to be synced would be left to the kernel. */
class SyncedFiles extends NodeFS {
  /** PostgreSQL begins with a sync of all files, a thousand, as a kill may have left any of them written and not synced. */
  isStarting = true
  readonly #isNew: boolean

  constructor(folder: string, isNew: boolean) {
    super(folder)
    this.#isNew = isNew
  }

  override async init(...given: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const { emscriptenOpts } = await super.init(...given)
    const preRun = [...(emscriptenOpts.preRun ?? [])]
    preRun.push((module) => {
      const files = module.NODEFS as unknown as NodeFiles
      files.stream_ops.fsync = ({ nfd }) => {
        files.tryFSOperation(() => this.#sync(nfd))
        return 0
      }
    })
    return { emscriptenOpts: { ...emscriptenOpts, preRun } }
  }

  #sync(descriptor: number): void {
    const stats = fstatSync(descriptor)
    if (this.isStarting && this.#isLeftOut(stats)) return
    // Windows has no sync of a folder.
    if (stats.isDirectory() && process.platform === 'win32') return
    fsyncSync(descriptor)
  }

  /** Files of a new cluster are synced later, and those that are old the kernel has written since. */
  #isLeftOut({ mtimeMs }: Stats): boolean {
    return this.#isNew || mtimeMs < Date.now() - writtenBackMs
  }
}

/** The copied files of a new cluster: nobody has asked for their sync yet. They are a thousand, which may take seconds. */
function syncLater(database: PGlite, folder: string): void {
  const sync = async () => {
    await sleep(firstSyncMs, undefined, { ref: false })
    if (!database.closed) await syncFiles(folder)
  }
  // A disk that fails says so at the next commit.
  sync().catch(() => {})
}

/** Every file and folder in a folder, and itself. What goes meanwhile needs no sync. */
export async function syncFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await syncFiles(path)
    else if (entry.isFile()) await syncPath(path, 'r+')
  }
  if (process.platform !== 'win32') await syncPath(folder, 'r')
}

async function syncPath(path: string, flags: string): Promise<void> {
  try {
    await using file = await open(path, flags)
    await file.sync()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
