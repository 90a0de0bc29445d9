import { expect, test } from 'vitest'
import { runCli } from '../cli.ts'
import { commands } from '../commands.ts'
import { takeGlobals } from '../flags.ts'
import { createMemoryWorld } from '../memory-world.ts'
import { vectorFeatures } from './env.ts'

test('the vector instructions of a CPU, or null where the system does not say', () => {
  const epyc = 'processor\t: 0\nflags\t\t: fpu sse2 avx avx2 fma avx512f avx512_vnni amx_tile rdpid\n\nprocessor\t: 1\n'
  expect(vectorFeatures(epyc)).toEqual(['avx', 'avx2', 'fma', 'avx512f', 'avx512_vnni', 'amx_tile'])
  expect(vectorFeatures('Features\t: fp asimd asimddp sve crc32\n')).toEqual(['asimd', 'asimddp', 'sve'])
  expect(vectorFeatures('flags\t\t: fpu sse2\n')).toEqual([])
  expect(vectorFeatures('')).toBeNull()
})

test('plumb env says what a bug report needs', async () => {
  const { globals, rest } = takeGlobals(['env', '--json'])
  const memory = createMemoryWorld(globals, { env: { PLUMBLINE_HOME: '/nowhere' } })
  expect(await runCli(rest, globals, commands, memory.world)).toBe(0)
  const facts = JSON.parse(memory.stdout())
  expect(facts.onnxruntime).toMatch(/^\d+\.\d+\.\d+/)
  expect(facts.execution_providers).toContain('cpu')
  expect(facts.memory_available_gb).toBeLessThanOrEqual(facts.memory_gb)
  expect(facts).toMatchObject({ node: process.versions.node, home: '/nowhere', models: [] })
  expect(Object.keys(facts)).toContain('cpu_features')
})
