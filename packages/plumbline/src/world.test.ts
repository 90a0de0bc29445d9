import { PlumblineError } from '@plumbline/contracts'
import { expect, test } from 'vitest'
import { reportFailure } from './failure.ts'
import { createMemoryWorld } from './memory-world.ts'

test('a styled note keeps its own codes and shows those that it was given', () => {
  const { world, stderr } = createMemoryWorld({}, { env: { FORCE_COLOR: '1' } })
  world.log.info('a \u001b[31mred\u001b[0m name', 'dim')
  expect(stderr()).toBe('\u001b[2ma \\x1b[31mred\\x1b[0m name\u001b[22m\n')
})

test('Ctrl-C that a command took for itself ends with 130 and no message', () => {
  const { world, stderr } = createMemoryWorld()
  expect(reportFailure(new PlumblineError('INTERRUPTED', 'Stopped by Ctrl-C.'), world)).toBe(130)
  expect(stderr()).toBe('')
})
