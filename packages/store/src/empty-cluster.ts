import { randomUUID } from 'node:crypto'
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { PGlite } from '@electric-sql/pglite'

/**
 * PostgreSQL's initdb, which makes an empty cluster of databases, takes seconds of two cores and comes to the same each time.
 * So the first one of this user on this machine is kept, for as long as the system keeps such files, and later ones are copies
 * of it. Whatever goes wrong with it costs the time alone.
 */

/** 40 MB as it is; a larger one is none of ours. */
const maxBytes = 256 * 2 ** 20
const compression = { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 }

/** The one that is kept, as `loadDataDir` takes it. */
export function readEmptyCluster(): Blob | undefined {
  try {
    return new Blob([zstdDecompressSync(readFileSync(keptFile()), { maxOutputLength: maxBytes })])
  } catch {
    return undefined
  }
}

/** Keeps that of a database in which nobody has done anything yet. */
export async function keepEmptyCluster(database: PGlite): Promise<void> {
  try {
    const file = keptFile()
    await database.query('checkpoint')
    const files = Buffer.from(await (await database.dumpDataDir('none')).arrayBuffer())
    const half = `${file}.${randomUUID()}`
    try {
      writeFileSync(half, zstdCompressSync(files, { params: compression }), { mode: 0o600 })
      renameSync(half, file)
    } finally {
      rmSync(half, { force: true })
    }
  } catch {
    // The next one is made by initdb again.
  }
}

/** In a folder where nobody else can write: what stands there becomes a part of stores. Throws where there is none. */
function keptFile(): string {
  const folder = join(tmpdir(), `plumbline-${process.getuid?.() ?? 'user'}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = lstatSync(folder)
  const isOthers = process.getuid !== undefined && (found.uid !== process.getuid() || (found.mode & 0o022) !== 0)
  if (!found.isDirectory() || isOthers) throw new Error(`${folder} is not ours alone`)
  const manifest = join(dirname(createRequire(import.meta.url).resolve('@electric-sql/pglite')), '..', 'package.json')
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
  return join(folder, `empty-cluster-${version}.tar.zst`)
}
