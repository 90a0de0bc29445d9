import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readGuardsFile } from './guards-file.ts'
import type { World } from './world.ts'

let cwd: string
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'guards-file-'))
})
afterAll(() => rm(cwd, { recursive: true, force: true }))

async function read(text: string, env: World['env'] = {}) {
  await writeFile(join(cwd, 'guards.yaml'), text)
  return readGuardsFile('guards.yaml', { cwd, env } as World, undefined)
}

test('guards are read from YAML', async () => {
  const { guards, unreadable } = await read(
    'unreadable: allow\nguards:\n  - kind: personal-data\n    mode: redact\n    direction: input\n',
  )
  expect(guards).toMatchObject([{ name: 'personal-data', mode: 'redact', directions: ['input'] }])
  expect(unreadable).toBe('allow')
})

test.each([
  ['- kind: rule\n  mode: block\n', 'guards.yaml: guards[0]: there is no kind rule.', 'Did you mean rules?'],
  [
    '- kind: harm\n  mode: redact\n',
    'guards.yaml: guards[0]: kind harm cannot redact.',
    'It can: observe, block, replace.',
  ],
  ['- kind: rules\n  mode: block\n  patterns: [{ name: a, pattern: "(a)\\\\1" }]\n', 'is not one', 'RE2'],
  ['- kind: harm\n  mode: block\n- kind: harm\n  mode: observe\n', 'the name harm stands twice', ''],
  ['- kind: harm\n  mode: block\n  treshold: 1\n', 'treshold', ''],
  ['- kind: http\n  mode: block\n  url: https://x.example\n  key_env: NOT_SET\n', 'NOT_SET is not set', ''],
  ['- kind: reward\n  mode: block\n  threshold: 0\n', 'needs a reward model', '--reward-model'],
  [
    '- kind: reward\n  mode: block\n  threshold: 0\n  direction: input\n',
    'kind reward cannot look at input',
    'It looks at output.',
  ],
  ['guards: [', 'guards.yaml: not YAML: ', ''],
])('%s is told: %s', async (text, message, hint) => {
  const error = await read(text).catch((caught) => caught)
  expect(error).toMatchObject({ name: 'PlumblineError' })
  expect(error.message).toContain(message)
  expect(error.hint).toContain(hint)
})
