/** The main job on a two-layer model: all stages, the report, and going on after an interruption. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { alignReportSchema } from '@plumbline/contracts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { runCli } from '../../packages/plumbline/src/cli.ts'
import { commands } from '../../packages/plumbline/src/commands.ts'
import { takeGlobals } from '../../packages/plumbline/src/flags.ts'
import { createMemoryWorld } from '../../packages/plumbline/src/memory-world.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-align-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

const words = ['ab', 'cd', 'ef', 'ba', 'dc', 'fe']
const rows = {
  demonstrations: words.map((prompt) => ({ prompt, completion: `${prompt}!` })),
  preferences: [...words, ...words].map((prompt) => ({ prompt, chosen: 'yes', rejected: 'no' })),
  prompts: words.map((prompt) => ({ prompt })),
  'eval-prompts': words.map((prompt, i) => ({ prompt, kind: ['harmful', 'sensitive', 'plain'][i % 3], category: 'x' })),
}

beforeAll(async () => {
  await writeTinyModel(join(base, 'model'))
  for (const [name, lines] of Object.entries(rows))
    await writeFile(join(base, `${name}.jsonl`), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
})

const defaults = {
  iterations: '2',
  epochs: '1',
  newTokens: '4',
  more: [] as string[],
  given: {} as Record<string, string>,
  memory: Number.POSITIVE_INFINITY,
}
type Options = Partial<typeof defaults>

function lineOf(output: string, options: Options = {}): string[] {
  const { iterations, epochs, newTokens, more, given } = { ...defaults, ...options }
  const files = { ...Object.fromEntries(Object.keys(rows).map((name) => [name, name])), ...given }
  const data = Object.entries(files).flatMap(([name, file]) => [`--${name}`, join(base, `${file}.jsonl`)])
  const sizes = [
    '--max-new-tokens',
    newTokens,
    '--ppo-iterations',
    iterations,
    '--ppo-batch-size',
    '4',
    '--sft-epochs',
    epochs,
    ...more,
  ]
  return ['align', '--model', join(base, 'model'), ...data, ...sizes, '--output', output, '--json']
}

async function align(output: string, options: Options = {}) {
  const { memory } = { ...defaults, ...options }
  const { globals, rest } = takeGlobals(lineOf(output, options))
  const { world, stdout, stderr } = createMemoryWorld(globals, {
    cwd: base,
    env: { PLUMBLINE_HOME: join(base, 'home') },
    availableMemory: () => memory,
  })
  const status = await runCli(rest, globals, commands, world)
  return { status, stdout: stdout(), stderr: stderr() }
}

const read = (...path: string[]) => readFile(join(...path), 'utf8')

test('all stages run, the report holds what they measured, and a lost end is made again alike', {
  timeout: 120_000,
}, async () => {
  const output = join(base, 'out')
  const first = await align(output)
  expect(first.stderr).not.toMatch(/error|warning/)
  expect(first.status).toBe(0)
  for (const begin of [
    'answers of base: 0 % (0 of 6 answers)',
    'ppo: 0 % (0 of 2 steps)',
    'rewards: 0 % (0 of 18 answers)',
    'rewards: 100 % (18 of 18 answers)',
  ])
    expect(first.stderr).toContain(`\n${begin}`)
  const report = alignReportSchema.parse(JSON.parse(await read(output, 'report.json')))
  expect(report.outcomes.map(({ stage, kind, counts }) => `${stage} ${kind} ${counts.n}`)).toEqual(
    ['base', 'sft', 'ppo'].flatMap((stage) => ['harmful', 'sensitive', 'plain'].map((kind) => `${stage} ${kind} 2`)),
  )
  // Of what the untouched model complied with, three tenths may be left.
  const before = report.outcomes.find(({ stage, kind }) => stage === 'base' && kind === 'harmful')?.complied?.raw.value
  expect(report.goals[0]).toEqual({ kind: 'harmful', at_most: 0.3 * before! })
  expect(report.samples).toHaveLength(words.length)
  const given = (await readdir(join(output, 'answers'))).map(async (name) => [
    name,
    await read(output, 'answers', name),
  ])
  for (const [name, lines] of await Promise.all(given)) {
    const limited = lines.split('\n').filter((line) => line.includes('"finishReason":"length"'))
    const stage = name.split('-')[0] as 'base' | 'sft' | 'ppo'
    const cut = report.samples.filter(({ answers }) => answers[stage]?.cut_at === 4)
    expect(cut, stage).toHaveLength(limited.length)
    // This model was never told when to end.
    if (stage === 'base') expect(cut.length).toBeGreaterThan(0)
  }
  expect(report.curves.ppo.find(({ metric }) => metric === 'objective/kl')?.points).toHaveLength(2)
  expect(report.reward_model?.n).toBe(2)
  expect(await read(output, 'report.html')).toContain('Plumbline')

  // What is finished needs no memory.
  expect((await align(output, { memory: 1 })).status).toBe(0)

  // As if the job had been killed in its last stages: what is there is kept, the rest comes out the same.
  const file = (await readdir(join(output, 'answers'))).find((name) => name.startsWith('ppo-'))!
  const answers = await read(output, 'answers', file)
  // By whatever: a job writes them whole.
  await writeFile(join(output, 'answers', file), answers.slice(0, 50))
  await rm(join(output, 'ppo'), { recursive: true })
  expect((await align(output)).status).toBe(0)
  expect(await read(output, 'answers', file)).toBe(answers)
  const again = alignReportSchema.parse(JSON.parse(await read(output, 'report.json')))
  const kept = ['answers of base', 'supervised fine-tuning', 'answers of sft', 'reward model']
  expect(again.durations.slice(0, 4)).toEqual(report.durations.slice(0, 4))
  expect(again.durations.map(({ name }) => name)).toEqual([...kept, 'PPO', 'answers of ppo', 'rewards'])
  expect(again.durations[4]).not.toEqual(report.durations[4])

  // Another policy answers anew; a run that lost its checkpoints says that it starts from the beginning.
  await rm(join(output, 'ppo', 'checkpoints'), { recursive: true })
  const further = await align(output, { iterations: '3' })
  expect(further.status).toBe(0)
  expect(further.stderr).toMatch(/warning: The run in .*ppo wrote no checkpoint: it starts from step 0\./)
  expect((await readdir(join(output, 'answers'))).filter((name) => name.startsWith('ppo-'))).toHaveLength(2)

  // Other data is refused before it starts, and so is a stage that is finished and has lost its model.
  await writeFile(
    join(base, 'other.jsonl'),
    rows.preferences.map((row) => `${JSON.stringify({ ...row, chosen: 'x' })}\n`).join(''),
  )
  const changed = await align(output, { iterations: '3', given: { preferences: 'other' } })
  expect(changed.stderr).toMatch(/error\[INPUTS_DIFFER\][\s\S]*the preferences changed[\s\S]*\nhint: Remove /)
  await rename(join(output, 'sft', 'model'), join(output, 'sft', 'gone'))
  const modelless = await align(output, { iterations: '3' })
  expect(modelless.stderr).toMatch(/error\[RUN_BROKEN\]: .*sft is finished, and its model is gone\.\nhint: Remove /)
  for (const { status, stderr } of [changed, modelless]) {
    expect(status).toBe(1)
    expect(stderr).not.toContain('[1/7]')
  }
  await rename(join(output, 'sft', 'gone'), join(output, 'sft', 'model'))

  // Longer fine-tuning is another one from its first step on: refused, with a next step that works.
  const longer = { iterations: '3', epochs: '2' }
  const refused = await align(output, longer)
  expect(refused.status).toBe(1)
  // Before an hour of other parts.
  expect(refused.stderr).not.toContain('[1/7]')
  const [, list] = /error\[CONFIG_DIFFERS\][\s\S]*\nhint: Remove (.*) and give the same command again/.exec(
    refused.stderr,
  )!
  expect(list).toBe(`${join(output, 'sft')}, ${join(output, 'reward')} and ${join(output, 'ppo')}`)
  for (const folder of list.split(/, | and /)) await rm(folder, { recursive: true })
  expect((await align(output, longer)).status).toBe(0)
})

test('a reward model whose scores are no numbers: PPO names the stage to do again', async () => {
  const output = join(base, 'scoreless')
  expect((await align(output)).status).toBe(0)
  const folder = join(output, 'reward', 'model')
  await rm(folder, { recursive: true })
  await writeTinyRewardModel(folder, { change: (parameters) => parameters.get('score.weight')!.data.fill(Number.NaN) })
  await rm(join(output, 'ppo'), { recursive: true })
  const { status, stderr } = await align(output)
  expect(status).toBe(1)
  expect(stderr).toMatch(/error\[SCORES_NOT_FINITE\]: PPO: step 1: the reward model scores 4 of 4 answers NaN/)
  expect(stderr).toMatch(/\nhint: Remove the folders reward and ppo of this job, .* lower --reward-learning-rate\./)
}, 120_000)

test('a folder with the lock of a stage that was killed at once is the job’s own', async () => {
  const output = join(base, 'killed')
  await mkdir(join(output, 'sft'), { recursive: true })
  await writeFile(join(output, 'sft', '.lock'), JSON.stringify({ pid: 2 ** 22 + 1, host: 'nowhere' }))
  expect((await align(output, { memory: 1 })).stderr).not.toContain('ALIGN_FOLDER')
})

test.skipIf(process.platform === 'win32')(
  'a second job is told that the folder is in use, also while no stage trains; one that was killed blocks nobody',
  async () => {
    const output = join(base, 'shared')
    const bin = resolve(import.meta.dirname, '../../packages/plumbline/bin/plumb.js')
    const first = spawn(process.execPath, [bin, ...lineOf(output)], { stdio: ['ignore', 'ignore', 'pipe'] })
    onTestFinished(() => void first.kill('SIGKILL'))
    const ended = once(first, 'exit')
    let said = ''
    for await (const text of first.stderr) {
      said += text
      // Its first part: the answers of the untouched model.
      if (said.includes('[1/7]')) break
    }
    first.kill('SIGSTOP')
    const second = await align(output)
    expect(second.status).toBe(1)
    expect(second.stderr).toMatch(
      new RegExp(`error\\[RUN_IN_USE\\]: ${output} is in use by process ${first.pid} on .*\\nhint: Wait until`),
    )
    expect(second.stderr).not.toContain('[1/7]')
    first.kill('SIGKILL')
    await ended
    expect(await readdir(output)).toContain('.lock')
    expect((await align(output)).status).toBe(0)
    expect(await readdir(output)).not.toContain('.lock')
  },
)

test.each(['report.html', 'sft/notes.txt'])('a folder with somebody’s %s is left as it is', async (name) => {
  const output = join(base, 'theirs')
  await mkdir(join(output, 'sft'), { recursive: true })
  await writeFile(join(output, name), 'mine')
  const { status, stderr } = await align(output)
  expect([status, stderr]).toEqual([1, expect.stringMatching(/error\[ALIGN_FOLDER\]: .*nothing was written\./)])
  expect(await read(output, name)).toBe('mine')
  await rm(output, { recursive: true })
})

test('data that a later stage could not use is refused before the first one starts', async () => {
  const equal = words.map((prompt) => ({ prompt, chosen: 'yes', rejected: 'yes' }))
  await writeFile(join(base, 'equal.jsonl'), equal.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const { status, stderr } = await align(join(base, 'refused'), { given: { preferences: 'equal' } })
  expect(status).toBe(1)
  expect(stderr).toContain('error[NOTHING_TO_LEARN]: reward model: none of the 6 pairs is left to learn from.')
  expect(stderr).not.toContain('[1/7]')
  expect(stderr).toMatch(/\nhint: Look at --preferences: /)
})

test.each(['prompts', 'eval-prompts'])('--%s of which its split leaves nothing', async (name) => {
  const split = name === 'prompts' ? 'eval' : 'train'
  const others = rows[name as 'prompts'].map((row) => ({ ...row, split }))
  await writeFile(join(base, 'others.jsonl'), others.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const { status, stderr } = await align(join(base, 'refused'), { given: { [name]: 'others' } })
  expect(status).toBe(1)
  expect(stderr).toContain(`error[DATA_EMPTY]: --${name}: all 6 rows say "split": "${split}"`)
})

test('rows of the wrong kind: the flag that they are for', async () => {
  const swapped = await align(join(base, 'swapped'), { given: { demonstrations: 'preferences' } })
  expect(swapped.stderr).toMatch(/error\[DATA_WRONG_KIND\].*\nhint: Rows with .* are for --preferences\./)
  const scores = words.map((prompt, score) => ({ prompt, completion: 'yes', score }))
  await writeFile(join(base, 'scores.jsonl'), scores.map((row) => `${JSON.stringify(row)}\n`).join(''))
  // Its preferences are pairs.
  const scored = await align(join(base, 'scored'), { given: { demonstrations: 'scores' } })
  expect(scored.stderr).toMatch(/error\[DATA_WRONG_KIND\].*"score" says how good.*\nhint: .* are for plumb reward\./)
  // Their prompts would do.
  const paired = await align(join(base, 'paired'), { given: { prompts: 'preferences' } })
  const heldOut = await align(join(base, 'held-out'), { given: { 'eval-prompts': 'preferences' } })
  for (const { stderr } of [paired, heldOut])
    expect(stderr).toMatch(
      /error\[DATA_WRONG_KIND\].*:1: rows without "chosen", "rejected" .*\nhint: Rows with .* are for --preferences\./,
    )
  const shown = await align(join(base, 'shown'), { given: { prompts: 'demonstrations' } })
  expect(shown.stderr).toMatch(/error\[DATA_WRONG_KIND\].*"completion".*\nhint: .* are for --demonstrations\./)
  const kindless = await align(join(base, 'kindless'), { given: { 'eval-prompts': 'prompts' } })
  expect(kindless.stderr).toMatch(/prompts\.jsonl:1: the column "kind" is missing\.\nhint: Add "kind" to each row/)
  for (const { status } of [swapped, scored, paired, heldOut, shown, kindless]) expect(status).toBe(1)
})

// Enough for rows of a few tokens, not for rows of sixty.
const memory = 300_700_000
test.each([
  ['supervised fine-tuning', '--demonstrations', { memory: 1e6 }],
  ['reward model', '--preferences', { memory, given: { preferences: 'long' } }],
  ['PPO', '--max-new-tokens', { memory, newTokens: '58' }],
])('memory that will not do for the stage "%s": before the first one starts', async (stage, flag, options) => {
  const long = words.map((prompt) => ({ prompt, chosen: 'y'.repeat(57), rejected: 'no' }))
  await writeFile(join(base, 'long.jsonl'), long.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const more = ['--micro-batch-tokens', '8']
  const { status, stderr } = await align(join(base, 'short'), { ...options, more })
  expect(status).toBe(1)
  expect(stderr).toContain(`error[MEMORY_SHORT]: ${stage}: training needs about 0.3 GB of memory;`)
  expect(stderr).not.toContain('[1/7]')
  const [, hint] = /\nhint: (.+)\n/.exec(stderr)!
  expect(hint).toContain(flag)
  // No flag that the main job does not have.
  const { config } = await commands.align()
  for (const [, name] of hint.matchAll(/--([a-z-]+)/g))
    expect(Object.keys(config.shape), hint).toContain(name.replaceAll('-', '_'))
})
