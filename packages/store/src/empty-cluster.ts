import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants as flags,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { PGlite } from '@electric-sql/pglite'

/**
 * PostgreSQL's initdb, which makes an empty cluster of databases, takes seconds of two cores and comes to the same each time.
 * So one of this user on this machine is kept, for as long as the system keeps such files, and new stores are copies of it. It
 * is made in memory, so nothing of a store gets into it.
 */
export interface EmptyCluster {
  /** As `loadDataDir` takes them. */
  readonly files: Blob
  /** The next one is made anew. */
  forget(): void
}

/** 40 MB as it is, 4 when it is packed; a larger one is none of ours. */
const maxBytes = 256 * 2 ** 20
const compression = { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 }
/** Nobody writes for so long: what is that old was left by a kill. */
const halfMs = 3_600_000

/** The one that is kept, made if need be. Undefined where none can be kept: it would be made each time. */
export async function emptyCluster(): Promise<EmptyCluster | undefined> {
  const path = keptPath()
  if (path === undefined) return undefined
  const forget = () => rmSync(path, { force: true })
  const kept = read(path)
  if (kept !== undefined) return { files: kept, forget }
  const database = await PGlite.create()
  await database.query('checkpoint')
  const made = await database.dumpDataDir('none')
  await database.close()
  await keep(path, made)
  return { files: made, forget }
}

function read(path: string): Blob | undefined {
  try {
    return new Blob([zstdDecompressSync(readOurs(path), { maxOutputLength: maxBytes })])
  } catch {
    return undefined
  }
}

/** The file that is looked at is the one that is read, whatever happens to its path. */
function readOurs(path: string): Buffer {
  const descriptor = openSync(path, flags.O_RDONLY | flags.O_NOFOLLOW)
  try {
    const { uid, mode, size } = fstatSync(descriptor)
    if (!isOurs({ uid, mode }) || size > maxBytes) throw new Error(`${path} is not ours alone`)
    return readFileSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Where that fails the next one is made again. */
async function keep(path: string, made: Blob): Promise<void> {
  try {
    const folder = dirname(path)
    for (const name of readdirSync(folder)) {
      const left = join(folder, name)
      if (name.startsWith(`${basename(path)}.`) && Date.now() - statSync(left).mtimeMs > halfMs) rmSync(left)
    }
    const half = `${path}.${randomUUID()}`
    try {
      const packed = zstdCompressSync(Buffer.from(await made.arrayBuffer()), { params: compression })
      writeFileSync(half, packed, { mode: 0o600 })
      renameSync(half, path)
    } finally {
      rmSync(half, { force: true })
    }
  } catch {
    // A full disk, or one that nobody may write to.
  }
}

/** In a folder where nobody else can write, as what stands there becomes a part of stores. Windows does not tell who can. */
function keptPath(): string | undefined {
  try {
    const folder = join(tmpdir(), `plumbline-${process.getuid!()}`)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const found = lstatSync(folder)
    if (!found.isDirectory() || !isOurs(found)) return undefined
    const manifest = join(dirname(createRequire(import.meta.url).resolve('@electric-sql/pglite')), '..', 'package.json')
    const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
    return join(folder, `empty-cluster-${version}.tar.zst`)
  } catch {
    return undefined
  }
}

const isOurs = ({ uid, mode }: { uid: number; mode: number }) => uid === process.getuid!() && (mode & 0o022) === 0
