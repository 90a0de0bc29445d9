import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkCommandLine } from './check-command-line.ts'
import { commands } from './commands.ts'
import { alternatives, fieldsOf } from './fields.ts'

const globalKeys = ['help', 'version', 'json', 'quiet', 'verbose', 'config', 'plumbline']

test.each(Object.entries(commands))('%s follows the rules of a command', async (name, load) => {
  const command = await load()
  expect(command.name).toBe(name)
  expect(command.summary).toMatch(/^[^\n]{5,90}$/)
  for (const field of fieldsOf(command.config)) {
    expect(field.name).toMatch(/^[a-z][a-z0-9_]*$/)
    expect(globalKeys).not.toContain(field.name)
    expect(field.shape.description, `${name}: ${field.name} needs .describe()`).toBeTruthy()
    expect(alternatives(field.shape).map(({ type }) => type)).not.toContain('object')
  }
  for (const { line } of command.examples) expect(await checkCommandLine(line)).toBe(name)
})

test('a command line in a text is held to the real commands and flags', async () => {
  expect(await checkCommandLine('$ plumb env --json | head -1')).toBe('env')
  expect(await checkCommandLine('plumb --help  # all commands')).toBeUndefined()
  await expect(checkCommandLine('plumb envy')).rejects.toThrow('There is no command "envy"')
  await expect(checkCommandLine('plumb env --jsn')).rejects.toThrow('There is no flag --jsn')
})

test('the command that the README shows is the one that is there', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
  const [, sample] = /```ts\n([\s\S]*?)\n *```/.exec(read('../README.md'))!
  expect(read('./commands/models.ts')).toContain(sample.replaceAll(/^ {3}/gm, ''))
  const [, line] = /`('models rm': .*)`/.exec(read('../README.md'))!
  expect(read('./commands.ts')).toContain(line)
})
