import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { preferenceRowSchema, rewardRowSchema, sftRowSchema } from '@plumbline/align/config'
import { openStore, recordFacts } from '@plumbline/store'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCli } from '../cli.ts'
import { commands } from '../commands.ts'
import { takeGlobals } from '../flags.ts'
import { createMemoryWorld } from '../memory-world.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'data-'))
  const store = await openStore({ folder: join(folder, 'data', 'store') })
  const record = randomUUID()
  const facts = { record, id: 'chatcmpl-1', project: 'default', created_at: '2026-01-02T03:04:05.678Z', model: 'm' }
  const request = { messages: [{ role: 'user', content: 'Why?' }] }
  await store.insertInteractions([
    {
      ...{ record, id: facts.id, project: facts.project, createdAt: facts.created_at, keyId: null, model: null },
      ...{ termination: 'completed', subjects: [], ...recordFacts({ choices: [], guards: [] }) },
      json: JSON.stringify({ ...facts, text: 'Because.', choices: [], subjects: [], request }),
    },
  ])
  const nothing = { category: null, rating: null, text: null, chosen: null, rejected: null, people: 0 }
  const by = { actorKind: 'end_user', actor: 'a'.repeat(43), consent: true, at: facts.created_at } as const
  const about = { project: 'default', interaction: record, ...nothing, ...by }
  await store.insertFeedback([
    { ...about, id: randomUUID(), kind: 'correction', text: 'For the reason that it is so.' },
    { ...about, id: randomUUID(), kind: 'preference', chosen: 'This.', rejected: 'That.' },
  ])
  await store.close()
}, 600_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

async function plumb(line: string) {
  const { globals, rest } = takeGlobals(line.split(' '))
  const memory = createMemoryWorld(globals, { cwd: folder })
  const status = await runCli(rest, globals, commands, memory.world)
  return { status, stdout: memory.stdout(), stderr: memory.stderr() }
}
const rowsOf = async (file: string) =>
  (await readFile(join(folder, file), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

test('data export writes rows that the trainers read', async () => {
  const pairs = await plumb('data export --kind preferences --data data')
  expect(pairs.stdout).toContain('2 preferences in ')
  const preferences = await rowsOf('preferences.jsonl')
  expect(preferences).toHaveLength(2)
  for (const row of preferences) {
    expect(preferenceRowSchema.parse(row)).toMatchObject({ prompt: [{ role: 'user', content: 'Why?' }] })
    expect(rewardRowSchema.safeParse(row).success).toBe(true)
  }
  const json = await plumb('--json data export --kind demonstrations --data data --output shown.jsonl')
  expect(JSON.parse(json.stdout)).toMatchObject({ rows: 1, withheld: 0, unsettled: 0, unfit: 0 })
  const [shown] = await rowsOf('shown.jsonl')
  expect(sftRowSchema.parse(shown)).toMatchObject({ completion: [{ role: 'assistant' }] })
})

test('trainers read no Parquet', async () => {
  const { status, stderr } = await plumb('data export --kind preferences --format parquet --data data')
  expect(status).not.toBe(0)
  expect(stderr).toContain('USAGE_CONFLICT')
})
