import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { checkCommandLine } from 'plumbline'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Texts for users: what they copy from these must work. */
const texts = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
  ...readdirSync(join(root, 'packages')).map((name) => join('packages', name, 'README.md')),
].filter((path) => {
  try {
    return read(path) !== ''
  } catch {
    return false
  }
})

/** `plumb …` lines of the code blocks (sh and plain sessions) and of inline code. */
function plumbLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(sh|console)?\n([\s\S]*?)^```/gm)].flatMap(([, , body]) =>
    body.replaceAll(/\\\n\s*/g, ' ').split('\n'),
  )
  const inline = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, body]) => body)
  const lines = [...blocks, ...inline].map((line) => line.trim().replace(/^(\$ )?(npx )?/, ''))
  // Capitals stand for what the reader fills in: such a line is a form, not a command.
  const forms = lines.filter((line) => /^plumb( |$)/.test(line) && !/ [A-Z]{3,}/.test(line) && !line.includes('…'))
  // Inline, a command without flags is a name.
  return forms.map((line) => (inline.includes(line) && !line.includes(' --') ? `${line} --help` : line))
}

test('the two commands of the README are those that package.json and .ci/run know', () => {
  const readme = read('README.md')
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const found = [...readme.matchAll(/^npm ci && npm (\w+)$/gm)].map(([, script]) => script)
  expect(found).toEqual(['start', 'test'])
  for (const script of found) expect(scripts).toHaveProperty(script)
  expect(read('.ci/run').split('\n')).toContain('npm ci && npm test || exit 1')
})

test.each(['ci', 'test', 'run types'])('.ci/run ends where npm %s fails', (failing) => {
  const folder = mkdtempSync(join(tmpdir(), 'ci-run-'))
  const log = join(folder, 'log')
  writeFileSync(join(folder, 'npm'), `#!/bin/sh\necho "$*" >> "${log}"\n[ "$*" != "${failing}" ]\n`, { mode: 0o755 })
  const { status } = spawnSync('bash', [join(root, '.ci/run')], {
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  })
  const called = readFileSync(log, 'utf8').trim().split('\n')
  rmSync(folder, { recursive: true })
  expect(status).not.toBe(0)
  expect(called.at(-1)).toBe(failing)
})

test('every npm script that the texts name exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = texts.flatMap((path) => [...read(path).matchAll(/npm run ([\w:]+)/g)].map(([, script]) => script))
  expect(named.length).toBeGreaterThan(1)
  expect(named.filter((script) => scripts[script] === undefined)).toEqual([])
})

test('every plumb line in the texts has existing commands and flags', async () => {
  const lines = texts.flatMap((path) => plumbLines(read(path)).map((line) => ({ path, line })))
  expect(lines.length).toBeGreaterThan(2)
  for (const { path, line } of lines) await expect(checkCommandLine(line), `${path}: ${line}`).resolves.not.toThrow()
})

test('links between the texts lead somewhere', () => {
  const links = texts.flatMap((path) =>
    [...read(path).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target]) => resolve(root, path, '..', target)),
  )
  expect(links.length).toBeGreaterThan(3)
  for (const target of links) expect(() => readdirOrFile(target)).not.toThrow()
})

function readdirOrFile(path: string): unknown {
  try {
    return readFileSync(path)
  } catch {
    return readdirSync(path)
  }
}
