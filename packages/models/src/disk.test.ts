import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeCacheFolder, makeFolder } from './disk.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'disk-'))
})
afterAll(() => rm(root, { recursive: true }))

test('makes every folder on the way, also when two do it at once', async () => {
  const deep = join(root, 'a', 'b', 'c')
  await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(deep)])
  expect((await stat(deep)).isDirectory()).toBe(true)
  await makeFolder(deep)
})

const refused = (path: string) => ({
  code: 'CACHE_NOT_WRITABLE',
  message: expect.stringContaining(path),
  hint: expect.stringContaining('PLUMBLINE_HOME'),
})

test('a file in the way is named', async () => {
  const file = join(root, 'file')
  await writeFile(file, '')
  await expect(makeCacheFolder(join(file, 'models'))).rejects.toMatchObject(refused(file))
})

// Node's recursive mkdir never comes back here.
test.skipIf(process.platform !== 'linux')('a file system without room for folders is refused at once', async () => {
  await expect(makeFolder('/proc/nope/run')).rejects.toMatchObject({ code: 'ENOENT', path: '/proc/nope' })
  await expect(makeCacheFolder('/proc/nope/models/.partial')).rejects.toMatchObject(refused('/proc/nope'))
})
