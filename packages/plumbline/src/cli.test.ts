import { setTimeout as sleep } from 'node:timers/promises'
import { PlumblineError } from '@plumbline/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { runCli } from './cli.ts'
import { defineCommand } from './command.ts'
import { takeGlobals } from './flags.ts'
import { createMemoryWorld } from './memory-world.ts'
import { wantsColor } from './terminal-text.ts'

const kinds = ['rows', 'user', 'bug', 'disk', 'hostile'] as const

const probe = defineCommand({
  name: 'probe it',
  summary: 'does what the test wants',
  examples: [{ line: 'plumb probe it --kind rows', does: 'print rows' }],
  config: z.object({ kind: z.enum(kinds).describe('what to do') }),
  async run({ kind }, world) {
    world.log.info('a note')
    world.log.warn('a warning')
    world.log.debug('a detail')
    world.progress('work', 3, { unit: 'rows' }).end()
    if (kind === 'user')
      throw new PlumblineError('MODEL_MISSING', 'no such model.', { hint: 'Pull it.', cause: new Error('inner') })
    if (kind === 'bug') throw new TypeError('undefined is not a function')
    if (kind === 'hostile') throw new PlumblineError('NAME', 'bad \u001b[31mname\u0007')
    if (kind === 'disk')
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' })
    world.stdout.write('for people\n')
    if (world.json) world.emit({ for: 'programs' })
    await sleep(0)
  },
})

const registry = { 'probe it': async () => probe }

async function plumb(line: string, signal?: AbortSignal) {
  const { globals, rest } = takeGlobals(line === '' ? [] : line.split(' '))
  const memory = createMemoryWorld(globals, signal === undefined ? {} : { signal })
  const status = await runCli(rest, globals, registry, memory.world)
  return { status, stdout: memory.stdout(), stderr: memory.stderr() }
}

test('results on stdout, notes on stderr, and --quiet leaves results and warnings', async () => {
  expect(await plumb('probe it --kind rows')).toEqual({
    status: 0,
    stdout: 'for people\n',
    stderr: 'a note\nwarning: a warning\nwork: 0 % (0 of 3 rows)\n',
  })
  expect(await plumb('--quiet probe it --kind rows')).toEqual({
    status: 0,
    stdout: 'for people\n',
    stderr: 'warning: a warning\n',
  })
  expect((await plumb('probe it --kind rows --verbose')).stderr).toContain('a detail\n')
})

test('with --json stdout holds JSON lines and nothing else, for results, errors, help and version', async () => {
  const lines = ['--kind rows', '--kind user', '--kind bug', '--kind nothing', '--bogus', '--help', '--version', 'more']
  for (const words of lines) {
    const { stdout } = await plumb(`probe it ${words} --json`)
    expect(stdout).toMatch(/^\{.*\}\n$/)
    expect(() => JSON.parse(stdout)).not.toThrow()
  }
  expect((await plumb('probe it --kind rows --json')).stderr).toContain('for people\n')
  expect(JSON.parse((await plumb('probe it --kind user --json')).stdout)).toEqual({
    error: { code: 'MODEL_MISSING', message: 'no such model.', hint: 'Pull it.' },
  })
  expect(JSON.parse((await plumb('--help --json')).stdout)).toEqual([{ name: 'probe it', summary: probe.summary }])
})

test('exit statuses tell whose fault it is; a stack only with --verbose', async () => {
  const user = await plumb('probe it --kind user --quiet')
  expect(user.status).toBe(1)
  expect(user.stderr).toBe('warning: a warning\nerror[MODEL_MISSING]: no such model.\nhint: Pull it.\n')
  expect((await plumb('probe it --kind user --verbose')).stderr).toMatch(
    /PlumblineError: .*\n +at [\s\S]*caused by: Error: inner/,
  )
  const bug = await plumb('probe it --kind bug')
  expect(bug.status).toBe(70)
  expect(bug.stderr).toContain('this is a bug in Plumbline: TypeError')
  expect(bug.stderr).not.toMatch(/\n +at /)
  expect(await plumb('probe it --kind disk')).toMatchObject({ status: 1 })
  expect((await plumb('probe it --kind disk')).stderr).toContain('error[ENOSPC]: no space left on device, write.')
  expect((await plumb('probe it --kind nothing')).status).toBe(2)
})

test('an interrupted command ends with 130 and says no more', async () => {
  const stopped = AbortSignal.abort(new PlumblineError('INTERRUPTED', 'Stopped by SIGINT.', { cause: { status: 130 } }))
  expect((await plumb('probe it --kind rows', stopped)).status).toBe(130)
  const failed = await plumb('probe it --kind user', stopped)
  expect(failed.status).toBe(130)
  expect(failed.stderr).not.toContain('error[')
})

test('control characters of hostile names are shown, not sent', async () => {
  expect((await plumb('probe it --kind hostile')).stderr).toContain('bad \\x1b[31mname\\x07')
})

test('unknown commands name the nearest; a group lists its own', async () => {
  expect((await plumb('prob it')).stderr).toBe(
    'error[USAGE_UNKNOWN_COMMAND]: There is no command "prob".\nhint: Did you mean plumb probe?\n',
  )
  expect((await plumb('probe its')).stderr).toContain('Did you mean plumb probe it?')
  expect(await plumb('probe')).toMatchObject({ status: 2 })
  expect((await plumb('probe')).stderr).toContain('Commands: probe it.')
  expect((await plumb('probe --help')).stdout).toContain('probe it  does what the test wants')
  expect((await plumb('--kind rows')).stderr).toContain('a command comes first')
  expect((await plumb('toString')).status).toBe(2)
})

test('help in every place it is looked for', async () => {
  const { stdout } = await plumb('probe it --help')
  expect(stdout).toContain('--kind CHOICE')
  for (const line of ['help probe it', '--help probe it', 'probe it -h', 'probe it --kind nothing --help']) {
    expect(await plumb(line)).toEqual({ status: 0, stdout, stderr: '' })
  }
  expect((await plumb('')).stdout).toBe((await plumb('help')).stdout)
})

test('switches are read anywhere before --, with words or negated', () => {
  expect(takeGlobals(['--json', 'a', '--quiet', 'false', '--no-verbose', '--', '--help'])).toEqual({
    globals: { help: false, version: false, json: true, quiet: false, verbose: false },
    rest: ['a', '--', '--help'],
  })
})

test('colour: NO_COLOR, then FORCE_COLOR, then a terminal', () => {
  expect(wantsColor({}, true)).toBe(true)
  expect(wantsColor({}, false)).toBe(false)
  expect(wantsColor({ NO_COLOR: '1', FORCE_COLOR: '1' }, true)).toBe(false)
  expect(wantsColor({ NO_COLOR: '' }, true)).toBe(true)
  expect(wantsColor({ FORCE_COLOR: '1' }, false)).toBe(true)
  expect(wantsColor({ FORCE_COLOR: '0' }, true)).toBe(false)
  expect(wantsColor({ TERM: 'dumb' }, true)).toBe(false)
})
