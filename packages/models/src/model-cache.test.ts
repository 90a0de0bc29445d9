import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  isOtherFile,
  listModels,
  localModel,
  type Manifest,
  parseModelName,
  partialFolder,
  plumblineHome,
  removeModel,
  resolveModel,
  writeManifest,
} from './model-cache.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'plumbline-cache-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

async function cached(name: string, file: string): Promise<string> {
  const folder = join(home, 'models', parseModelName(name)?.folder ?? '')
  const source: Manifest['source'] = { kind: 'hub', repo: name, commit: 'c' }
  const files = [{ path: file, bytes: 5, sha256: '' }]
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, file), 'hello')
  await writeManifest(folder, { version: 1, name, source, pulledAt: '1970-01-01T00:00:00.000Z', files })
  return folder
}

test('the cache is where PLUMBLINE_HOME says, else below the home folder', () => {
  expect(plumblineHome({ PLUMBLINE_HOME: '/data/cache' })).toBe('/data/cache')
  expect(plumblineHome({})).toBe(join(homedir(), '.cache', 'plumbline'))
})

test('names are short names or org/name, with a GGUF file where one is meant', () => {
  expect(parseModelName('SmolLM2-135M-Instruct')?.folder).toBe('smollm2-135m-instruct')
  expect(parseModelName('Qwen/Qwen2.5-0.5B')?.folder).toBe('Qwen--Qwen2.5-0.5B')
  expect(parseModelName('a/b:m.gguf')).toEqual({
    name: 'a/b:m.gguf',
    repo: 'a/b',
    gguf: 'm.gguf',
    folder: 'a--b--m.gguf',
  })
  expect(parseModelName('a/b@refs/pr/1:m.gguf')).toEqual({
    name: 'a/b@refs/pr/1:m.gguf',
    repo: 'a/b',
    revision: 'refs/pr/1',
    gguf: 'm.gguf',
    folder: 'a--b@refs+pr+1--m.gguf',
  })
  for (const bad of [
    'constructor',
    'a/b@',
    'a/b@../c',
    'a/b@/etc',
    'a/b@x@y',
    'smollm2-135m-instruct@main',
    'a',
    'a/b/c',
    'a/b:../m.gguf',
    'a/b:m.bin',
    '.a/b',
    'a/..',
    'a--b/c',
    'a b/c',
    '/a/b',
  ]) {
    expect(parseModelName(bad)).toBeUndefined()
  }
})

test('a name never leads out of the cache, and two names never share a folder', () => {
  const word = fc.string({
    unit: fc.constantFrom('a', 'B', '-', '.', '_', '/', '\\', ':', '@', '+', '0'),
    minLength: 1,
    maxLength: 6,
  })
  const name = fc.tuple(word, word).map(([org, model]) => `${org}/${model}`)
  fc.assert(
    fc.property(name, name, (one, two) => {
      const [first, second] = [parseModelName(one), parseModelName(two)]
      if (first) expect(first.folder).toMatch(/^[A-Za-z0-9][\w.@+-]*$/)
      if (first && second) expect(first.folder === second.folder).toBe(one === two)
    }),
    { numRuns: 2000 },
  )
})

test('a pulled model is listed, resolved and removed', async () => {
  const folder = await cached('acme/tiny', 'model.safetensors')
  const gguf = await cached('acme/small', 'small.gguf')
  expect((await listModels({ home })).map(({ name, bytes, path }) => ({ name, bytes, path }))).toEqual([
    { name: 'acme/small', bytes: 5, path: join(gguf, 'small.gguf') },
    { name: 'acme/tiny', bytes: 5, path: folder },
  ])
  expect(await resolveModel('acme/tiny', { home })).toBe(folder)
  expect(await removeModel('acme/tiny', { home })).toEqual({ name: 'acme/tiny', bytes: 5 })
  expect(existsSync(folder)).toBe(false)
  expect((await listModels({ home })).map((model) => model.name)).toEqual(['acme/small'])
})

test('removing takes what an unfinished pull left', async () => {
  await mkdir(join(partialFolder(home, 'acme--tiny'), 'hub'), { recursive: true })
  await removeModel('acme/tiny', { home })
  expect(existsSync(partialFolder(home, 'acme--tiny'))).toBe(false)
})

test('what is not there is named, with the nearest name', async () => {
  await cached('acme/tiny', 'model.safetensors')
  await expect(resolveModel('acme/tinny', { home })).rejects.toMatchObject({
    code: 'MODEL_NOT_FOUND',
    hint: 'Did you mean acme/tiny? plumb models pull acme/tinny',
  })
  await expect(resolveModel('smollm2-135m-instruct', { home })).rejects.toMatchObject({
    hint: 'plumb models pull smollm2-135m-instruct',
  })
  await expect(removeModel('../..', { home })).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  expect(await listModels({ home: join(home, 'absent') })).toEqual([])
})

test('a path is resolved without a cache', async () => {
  const path = join(home, 'mine.gguf')
  await writeFile(path, 'GGUF')
  expect(await resolveModel(path, { home })).toBe(path)
})

test('an empty folder called like a known model does not hide it; one with weights does, and so does a path', async () => {
  const name = 'smollm2-135m-instruct'
  const before = process.cwd()
  const there = await mkdtemp(join(tmpdir(), 'cwd-'))
  await mkdir(join(there, name))
  process.chdir(there)
  try {
    expect(localModel(name)).toBeUndefined()
    expect(localModel(`./${name}`)).toBe(join(process.cwd(), name))
    await writeFile(join(there, name, 'model.safetensors'), '')
    expect(localModel(name)).toBe(join(process.cwd(), name))
  } finally {
    process.chdir(before)
    await rm(there, { recursive: true })
  }
})

test.each(['./nope.gguf', '/nowhere/at/all', '~/x', 'models/nope.gguf'])('%s is told as a path', async (path) => {
  await expect(resolveModel(path, { home })).rejects.toMatchObject({
    code: 'MODEL_NOT_FOUND',
    message: `${path}: There is no such file or folder.`,
    hint: expect.stringContaining('smollm2-135m-instruct'),
  })
})

test('an ordinary file is told as one, not looked for on the hub', async () => {
  const path = join(home, 'config.json')
  await writeFile(path, '{}')
  const before = process.cwd()
  process.chdir(join(home, '..'))
  try {
    const name = `${basename(home)}/config.json`
    expect(parseModelName(name)).toBeDefined()
    expect(isOtherFile(name)).toBe(true)
    await expect(resolveModel(name, { home })).rejects.toMatchObject({
      message: `${name}: It is a file of a model, not the model.`,
      hint: `Give the folder that it lies in: ${basename(home)}.`,
    })
    await rename(path, join(home, 'notes.json'))
    await expect(resolveModel(`${basename(home)}/notes.json`, { home })).rejects.toMatchObject({
      message: `${basename(home)}/notes.json: It is neither a folder nor a .gguf file.`,
    })
  } finally {
    process.chdir(before)
  }
  expect(isOtherFile(home)).toBe(false)
  expect(isOtherFile('a\0b')).toBe(false)
})

test('the beginning of a name is enough to suggest it', async () => {
  await expect(resolveModel('smollm2', { home })).rejects.toMatchObject({
    hint: expect.stringContaining('Did you mean smollm2-135m-instruct?'),
  })
})
