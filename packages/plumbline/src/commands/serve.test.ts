import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCli } from '../cli.ts'
import { commands } from '../commands.ts'
import { takeGlobals } from '../flags.ts'
import { startLocal } from '../local-model.ts'
import { createMemoryWorld } from '../memory-world.ts'

test('an upstream and a model of this machine exclude each other', async () => {
  const config = { upstream: 'http://127.0.0.1:9', model: 'm', upstreams: [], batch_size: 1, max_waiting: 1 }
  await expect(startLocal(config, createMemoryWorld().world)).rejects.toMatchObject({ code: 'USAGE_CONFLICT' })
})

test('with an upstream, no model is loaded', async () => {
  const config = { upstream: 'http://127.0.0.1:9', upstreams: [], batch_size: 1, max_waiting: 1 }
  expect(await startLocal(config, createMemoryWorld().world)).toBeUndefined()
})

test('the folder of the records is asked for first', async () => {
  const { globals, rest } = takeGlobals(['serve'])
  const memory = createMemoryWorld(globals)
  expect(await runCli(rest, globals, commands, memory.world)).toBe(2)
  expect(memory.stderr()).toMatch(/--data/)
})

test('a folder of records that cannot be made is told, and no model is loaded for it', async () => {
  for (const data of [import.meta.filename, join(import.meta.filename, 'deeper')]) {
    const { globals, rest } = takeGlobals(['serve', '--data', data, '--upstream', 'http://127.0.0.1:9/v1'])
    const memory = createMemoryWorld(globals)
    expect(await runCli(rest, globals, commands, memory.world)).toBe(2)
    expect(memory.stderr()).toMatch(/--data .*serve\.test\.ts.*there is a file in its place/)
  }
})

test('a folder of runs that is not there, or is a file, is told before anything is made', async () => {
  for (const [runs, code] of [
    ['none', /none: no such file/],
    [import.meta.filename, /is a file; --runs is the folder/],
  ] as const) {
    const { globals, rest } = takeGlobals(['serve', '--data', 'never-made', '--upstream', 'http://127.0.0.1:9/v1'])
    const memory = createMemoryWorld(globals)
    expect(await runCli([...rest, '--runs', runs], globals, commands, memory.world)).toBe(2)
    expect(memory.stderr()).toMatch(code)
    expect(existsSync(join(memory.world.cwd, 'never-made'))).toBe(false)
  }
})
