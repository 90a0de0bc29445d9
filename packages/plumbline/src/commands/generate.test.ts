import { expect, test } from 'vitest'
import { runCli } from '../cli.ts'
import { commands } from '../commands.ts'
import { takeGlobals } from '../flags.ts'
import { createMemoryWorld } from '../memory-world.ts'

test.each([
  ['generate', /^error\[USAGE_MISSING\]: There is no prompt\.\nhint: .*--prompt/],
  ['generate --prompt a --data b', /^error\[USAGE_CONFLICT\]: --prompt and --data are both given\./],
])('%s is a mistake of the command line', async (line, expected) => {
  const { globals, rest } = takeGlobals(line.split(' '))
  const memory = createMemoryWorld(globals)
  expect(await runCli(rest, globals, commands, memory.world)).toBe(2)
  expect(memory.stderr()).toMatch(expected)
})
