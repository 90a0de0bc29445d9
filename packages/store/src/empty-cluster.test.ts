import { chmod, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { emptyCluster } from './empty-cluster.ts'
import { openPglite } from './pglite.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'empty-cluster-'))
  vi.stubEnv('TMPDIR', folder)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

const kept = () => join(folder, `plumbline-${process.getuid?.()}`)

/** initdb gives each cluster a number, by the clock. */
async function numberOf(place: string | undefined): Promise<string> {
  const database = openPglite(place)
  try {
    const [row] = await database.query('select system_identifier::text as number from pg_control_system()')
    await database.query(`create table ours as select 'a secret' as text`)
    return String(row.number)
  } finally {
    await database.close()
  }
}

/** What is kept, as it is read. */
async function contents(): Promise<string> {
  return Buffer.from(await (await emptyCluster())!.files.arrayBuffer()).toString('latin1')
}

test.skipIf(process.platform === 'win32')('new stores are copies of a cluster that nobody has used', async () => {
  const place = join(folder, 'store')
  await mkdir(place)
  await writeFile(join(place, 'note'), 'a secret')
  const first = await numberOf(place)
  expect(await readdir(kept())).toEqual([expect.stringMatching(/^empty-cluster-[\d.]+\.tar\.zst$/)])
  expect((await stat(kept())).mode & 0o777).toBe(0o700)
  // `create table` would fail on one that somebody has used.
  expect(await numberOf(undefined)).toBe(first)
  await expect(numberOf(place)).rejects.toThrow('already exists')
  expect(await contents()).not.toContain('a secret')
  expect(await contents()).toContain('PG_VERSION')
})

test.skipIf(process.platform === 'win32')(
  'one that others can write is not taken, one that is no good only once',
  async () => {
    const first = await numberOf(undefined)
    const file = join(kept(), (await readdir(kept()))[0])
    await chmod(kept(), 0o777)
    expect(await emptyCluster()).toBeUndefined()
    await chmod(kept(), 0o700)
    await chmod(file, 0o666)
    await writeFile(`${file}.half`, '')
    await utimes(`${file}.half`, 0, 0)
    // Made anew, and what a kill has left is gone.
    expect(await numberOf(undefined)).not.toBe(first)
    expect(await readdir(kept())).toHaveLength(1)

    await writeFile(file, zstdCompressSync(Buffer.from('hello')))
    await expect(numberOf(undefined)).rejects.toThrow()
    expect(await readdir(kept())).toEqual([])
  },
)
