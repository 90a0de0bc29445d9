import { PlumblineError } from '@plumbline/contracts'
import { expect, test } from 'vitest'
import { reportFailure } from './failure.ts'
import { createMemoryWorld } from './memory-world.ts'
import { assembleWorld } from './world.ts'

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

/** A world on a terminal, and the lines that are to be seen on it. */
function terminalWorld() {
  let time = 0
  let screen = ''
  const terminal = {
    isTerminal: true,
    columns: 0,
    write: (text: string) => {
      // The bar takes its own line and no more: what \r and the code after it take away.
      for (const part of text.split(/(?=\r)/))
        screen = part.startsWith('\r') ? screen.slice(0, screen.lastIndexOf('\n') + 1) + part.slice(4) : screen + part
    },
  }
  const { world: memory } = createMemoryWorld()
  const world = assembleWorld(
    { help: false, version: false, json: false, quiet: false, verbose: false },
    {
      ...memory,
      stdin: memory.stdin,
      userFolder: '/nobody',
      env: { NO_COLOR: '1' },
      stdout: terminal,
      stderr: terminal,
      now: () => time,
    },
  )
  const wait = (milliseconds: number) => {
    time += milliseconds
  }
  return { world, wait, screen: () => screen }
}

test('results and a bar on one terminal do not run into each other', () => {
  const { world, wait, screen } = terminalWorld()
  const progress = world.progress('work', 2, { unit: 'answers' })
  wait(1000)
  progress.advance()
  world.stdout.write('first\n')
  expect(screen()).toMatch(/^first\nwork █+░+ 50 % \(1 of 2 answers\).*$/)
  world.log.warn('careful')
  progress.advance()
  progress.end()
  world.stdout.write('second\n')
  expect(screen()).toMatch(/^first\nwarning: careful\nwork █+ 100 % \(2 of 2 answers\).*\nsecond\n$/)
})

test('a failure leaves no bar behind', () => {
  const { world, wait, screen } = terminalWorld()
  const progress = world.progress('work', 2, { unit: 'answers' })
  wait(1000)
  progress.advance()
  reportFailure(new PlumblineError('DATA', 'bad.'), world)
  expect(screen()).toBe('error[DATA]: bad.\n')
})
