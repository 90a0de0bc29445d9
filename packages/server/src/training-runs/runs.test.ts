import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runDetailSchema, runPageSchema } from '@plumbline/contracts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeRun } from './runs.test-support.ts'
import { openRuns, type Runs } from './runs.ts'

const now = Date.parse('2026-11-01T12:00:00.000Z')
let base: string
let folder: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'runs-'))
  folder = join(base, 'runs')
  mkdirSync(folder)
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

/** A reader that has not looked yet: another one may show what it saw up to a second ago. */
const list = async (limit = 50, runs = openRuns({ folder })) => runPageSchema.parse(await runs.list({ limit }, now))
const find = async (name: string, runs: Runs = openRuns({ folder })) => {
  const { data } = await list(200, runs)
  const found = await runs.find(data.find((run) => run.name === name)!.id, now)
  return runDetailSchema.parse(found)
}

test('runs are found in folders of folders; what is hidden, deeper, linked or in a run is not searched', async () => {
  writeRun(join(folder, 'one'))
  writeRun(join(folder, 'align/ppo'))
  writeRun(join(folder, 'a/b/c'))
  writeRun(join(folder, 'a/b/d/too-deep'))
  writeRun(join(folder, '.hidden'))
  writeRun(join(folder, 'one/checkpoints'))
  const outside = writeRun(join(base, 'secret'))
  symlinkSync(outside, join(folder, 'linked'))
  mkdirSync(join(folder, 'link-in'))
  symlinkSync(join(outside, 'run.json'), join(folder, 'link-in/run.json'))
  mkdirSync(join(folder, 'is-folder/run.json'), { recursive: true })
  const { data, folder: state } = await list()
  expect(state).toBe('read')
  expect(data.map(({ name }) => name).sort()).toEqual(['a/b/c', 'align/ppo', 'one'])
})

test('a folder that is a run itself is shown; one that has gone is said to have gone', async () => {
  writeRun(folder)
  expect((await list()).data).toMatchObject([{ name: '.', command: 'sft', status: 'finished' }])
  rmSync(folder, { recursive: true })
  expect(await list()).toMatchObject({ folder: 'unreadable', data: [], reason: expect.stringContaining('ENOENT') })
})

test('pages follow each other, newest first, also when a run comes in between', async () => {
  for (let hour = 1; hour <= 5; hour++)
    writeRun(join(folder, `r${hour}`), { started: `2026-11-01T0${hour}:00:00.000Z` })
  writeRun(join(folder, 'same'), { started: '2026-11-01T04:00:00.000Z' })
  const first = await list(2)
  expect(first.data[0].name).toBe('r5')
  writeRun(join(folder, 'newer'), { started: '2026-11-01T09:00:00.000Z' })
  const names = first.data.map(({ name }) => name)
  const runs = openRuns({ folder })
  for (let { next } = first; next !== null; ) {
    const page = await runs.list({ limit: 2, after: next }, now)
    names.push(...page.data.map(({ name }) => name))
    next = page.next
  }
  expect(names.toSorted()).toEqual(['r1', 'r2', 'r3', 'r4', 'r5', 'same'])
  expect(names.slice(-3)).toEqual(['r3', 'r2', 'r1'])
  expect(await runs.list({ limit: 2, after: '0-0000000000000000' }, now)).toMatchObject({ data: [], next: null })
})

test('a run is running while its lock is touched, and was killed when it is not', async () => {
  const alive = writeRun(join(folder, 'alive'), { status: 'running' }, { '.lock': '{}' })
  const dead = writeRun(join(folder, 'dead'), { status: 'running' }, { '.lock': '{}' })
  writeRun(join(folder, 'gone'), { status: 'running' })
  writeRun(join(folder, 'failed'), { status: 'failed', error: { code: 'NOT_FINITE', message: 'the loss is NaN' } })
  utimesSync(join(alive, '.lock'), now / 1000 - 2, now / 1000 - 2)
  utimesSync(join(dead, '.lock'), now / 1000 - 60, now / 1000 - 60)
  const status = Object.fromEntries((await list()).data.map((run) => [run.name, run.status]))
  expect(status).toEqual({ alive: 'running', dead: 'killed', gone: 'killed', failed: 'failed' })
  expect((await find('failed')).error).toEqual({ code: 'NOT_FINITE', message: 'the loss is NaN' })
})

test('one that cannot be read is in the list with why, and hides no other', async () => {
  writeRun(join(folder, 'good'), {}, { 'metrics.jsonl': '{"global_step":9,"epoch":0.5,"loss":1}\n{"global_st' })
  for (const [name, text] of [
    ['empty', ''],
    ['array', '[]'],
    ['other', '{"name":"x"}'],
    ['huge', `"${'x'.repeat(2 ** 20)}"`],
  ]) {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'run.json'), text)
  }
  const { data } = await list()
  expect(data.filter(({ status }) => status === 'unreadable')).toHaveLength(4)
  expect(data.find(({ name }) => name === 'huge')!.error!.message).toMatch(/more than the 1048576 that are read/)
  expect(data.find(({ name }) => name === 'good')).toMatchObject({ status: 'finished', step: 9, epoch: 0.5 })
  expect(await find('empty')).toMatchObject({ status: 'unreadable', curves: [], config: {} })
})

test('files that are links, pipes, folders or too large are not read, and are named', async () => {
  writeFileSync(join(base, 'secret.jsonl'), '{"global_step":1,"loss":42}\n')
  const run = writeRun(join(folder, 'run'))
  symlinkSync(join(base, 'secret.jsonl'), join(run, 'metrics.jsonl'))
  expect(spawnSync('mkfifo', [join(run, 'samples.jsonl')]).status).toBe(0)
  writeFileSync(join(run, 'evaluation.json'), 'x'.repeat(5 * 2 ** 20))
  mkdirSync(join(folder, 'durations.json'))
  const { remarks, curves, samples, evaluation } = await find('run')
  expect({ curves, samples, evaluation }).toEqual({ curves: [], samples: [], evaluation: null })
  expect(remarks).toEqual([
    'metrics.jsonl is a link, which is not followed.',
    'samples.jsonl is no ordinary file.',
    expect.stringMatching(/^evaluation.json has 5242880 bytes/),
    'durations.json is no ordinary file.',
  ])
})

test('a folder that became a link after it was found is not followed', async () => {
  writeRun(join(folder, 'in/run'))
  writeRun(join(base, 'secret/run'), { command: 'ppo' })
  const runs = openRuns({ folder })
  const { data } = await runs.list({ limit: 1 }, now)
  renameSync(join(folder, 'in'), join(base, 'away'))
  symlinkSync(join(base, 'secret'), join(folder, 'in'))
  expect(await runs.find(data[0].id, now)).toBeUndefined()
  expect(await runs.list({ limit: 1 }, now)).toMatchObject({ data: [] })
})

test('samples: the newest, of a text or a conversation, clipped; whatever else the lines hold', async () => {
  const rows = [
    { global_step: 1, prompt: 'p', completion: 'x'.repeat(9000), score: 1, kl: 'NaN', finish_reason: 'stop' },
    {
      global_step: 2,
      prompt: [{ role: 'user', content: 'hello' }],
      completion: 'y',
      score: -2,
      kl: 0.5,
      side: 'chosen',
    },
    {
      global_step: 3,
      prompt: [{ role: 'system', content: 's' }, { role: 'user', content: ['?'] }, null, 7],
      side: 7,
      target: 2,
    },
  ]
  const text = `no json\n${rows.map((row) => JSON.stringify(row)).join('\n')}\n{"global_step":4,"pro`
  writeRun(join(folder, 'run'), {}, { 'samples.jsonl': text })
  const { samples } = await find('run')
  expect(samples.map(({ step }) => step)).toEqual([3, 2, 1])
  expect(samples[0]).toMatchObject({
    prompt: 'system: s\nuser: ["?"]\n: null\n: 7',
    completion: '',
    score: null,
    side: null,
    target: 2,
  })
  expect(samples[1]).toMatchObject({
    prompt: 'hello',
    score: -2,
    kl: 0.5,
    finish_reason: null,
    side: 'chosen',
    target: null,
  })
  expect(samples[2]).toMatchObject({ completion: `${'x'.repeat(4000)}…`, kl: null, finish_reason: 'stop' })

  const measured = [1, 2].flatMap((global_step) => ['a', 'b'].map((prompt) => ({ global_step, prompt })))
  const lines = measured.map((row) => `${JSON.stringify(row)}\n`)
  writeRun(join(folder, 'measured'), {}, { 'samples.jsonl': lines.join('') })
  const order = (await find('measured')).samples.map(({ step, prompt }) => `${step} ${prompt}`)
  expect(order).toEqual(['2 a', '2 b', '1 a', '1 b'])

  const many = Array.from({ length: 90 }, (_, step) => `${JSON.stringify({ global_step: step, prompt: 'p' })}\n`)
  writeRun(join(folder, 'many'), {}, { 'samples.jsonl': many.join('') })
  const shown = await find('many')
  expect(shown.samples.map(({ step }) => step)).toEqual(Array.from({ length: 24 }, (_, i) => 89 - i))
  expect(shown.remarks).toEqual(['Of the sampled answers the newest 24 are shown.'])
})

test('the job of a run: its parts in their order, what each took, what came of it', async () => {
  const job = join(folder, 'job')
  for (const [hour, command] of ['sft', 'reward', 'ppo'].entries())
    writeRun(join(job, command), { command, started: `2026-11-01T0${hour}:00:00.000Z` })
  writeRun(join(folder, 'other'))
  writeFileSync(join(job, 'durations.json'), '{"supervised fine-tuning":12.5,"PPO":3}')
  writeFileSync(join(job, 'report.json'), '{"somebody":"else"}')
  const { job: read } = await find('job/reward')
  expect(read).toMatchObject({ name: 'job', outcomes: [], durations: [{ seconds: 12.5 }, { name: 'PPO', seconds: 3 }] })
  expect(read!.runs.map(({ command }) => command)).toEqual(['sft', 'reward', 'ppo'])
  expect((await find('other')).job).toBeNull()
})

test('what the limits of the search leave out is said', async () => {
  for (let i = 0; i < 1_001; i++) {
    mkdirSync(join(folder, `r${i}`))
    writeFileSync(join(folder, `r${i}`, 'run.json'), '')
  }
  expect((await list(1)).note).toMatch(/limit of 1000 runs/)
  rmSync(join(folder, 'r0'), { recursive: true })
  expect((await list(1)).note).toBeNull()
}, 60_000)

test('a folder with very many files is said not to have been read to its end', async () => {
  for (let i = 0; i <= 10_000; i++) writeFileSync(join(folder, `file${i}`), '')
  expect(await list()).toMatchObject({ data: [], note: expect.stringContaining('limit of 10000 entries of a folder') })
}, 60_000)
