import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { readEmptyCluster } from './empty-cluster.ts'
import { openPglite } from './pglite.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'empty-cluster-'))
  vi.stubEnv('TMPDIR', folder)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

const kept = () => join(folder, `plumbline-${process.getuid?.()}`)

/** initdb gives each cluster a number, by the clock. */
async function numberOf(place: string | undefined): Promise<string> {
  const database = openPglite(place)
  const [row] = await database.query('select system_identifier::text as number from pg_control_system()')
  await database.query('create table ours (text text)')
  await database.close()
  return String(row.number)
}

test.skipIf(process.platform === 'win32')(
  'the first cluster is kept while it is empty, later ones are copies',
  async () => {
    const first = await numberOf(undefined)
    expect(await readdir(kept())).toEqual([expect.stringMatching(/^empty-cluster-[\d.]+\.tar\.zst$/)])
    expect((await stat(kept())).mode & 0o777).toBe(0o700)
    const place = join(folder, 'store')
    // `create table` would fail on one that somebody has used.
    expect(await numberOf(undefined)).toBe(first)
    expect(await numberOf(place)).toBe(first)
    await expect(numberOf(place)).rejects.toThrow('already exists')

    // One that others can write, or that is damaged, is not taken.
    await chmod(kept(), 0o777)
    expect(readEmptyCluster()).toBeUndefined()
    await chmod(kept(), 0o700)
    expect(readEmptyCluster()).toBeDefined()
    const file = join(kept(), (await readdir(kept()))[0])
    const bytes = await readFile(file)
    bytes[bytes.length >> 1] ^= 1
    await writeFile(file, bytes)
    expect(readEmptyCluster()).toBeUndefined()
  },
)
