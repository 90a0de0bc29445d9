/** What users get wrong, through the commands: one message that says what, where, why and the next step. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { openRunFolder } from '@plumbline/align'
import { PlumblineError } from '@plumbline/contracts'
import { createParameter, type Parameter } from '@plumbline/engine'
import { loadLanguageModel } from '@plumbline/models'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { runCli } from '../../packages/plumbline/src/cli.ts'
import { commands } from '../../packages/plumbline/src/commands.ts'
import { takeGlobals } from '../../packages/plumbline/src/flags.ts'
import { createMemoryWorld } from '../../packages/plumbline/src/memory-world.ts'
import { type TinyModelOptions, writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-commands-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))
const model = join(base, 'model')
const rewardModel = join(base, 'reward-model')
const bin = resolve(import.meta.dirname, '../../packages/plumbline/bin/plumb.js')

beforeAll(async () => {
  await writeTinyModel(model)
  await writeTinyRewardModel(rewardModel, { mean: 0, std: 1 })
})

let count = 0
const newPath = () => join(base, String(count++))

async function rowsFile(rows: readonly unknown[]): Promise<string> {
  const path = `${newPath()}.jsonl`
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}

/** Runs a command line and returns what it said. */
async function plumb(args: readonly string[], around: Parameters<typeof createMemoryWorld>[1] = {}) {
  const { globals, rest } = takeGlobals([...args])
  const home = join(base, 'home')
  const memory = createMemoryWorld(globals, { cwd: base, env: { PLUMBLINE_HOME: home }, ...around })
  const status = await runCli(rest, globals, commands, memory.world)
  return { status, stdout: memory.stdout(), stderr: memory.stderr() }
}

const demonstrations = ['ab', 'cd', 'ef'].map((prompt) => ({ prompt, completion: `${prompt}!` }))
const pairs = ['ab', 'cd', 'ef'].map((prompt) => ({ prompt, chosen: 'yes', rejected: 'no' }))
const scored = ['ab', 'cd', 'ef'].map((prompt, score) => ({ prompt, completion: 'yes', score }))
const prompts = ['ab', 'cd', 'ef'].map((prompt) => ({ prompt }))
const small = ['--max-steps', '2', '--per-device-train-batch-size', '2']

type Trainer = 'sft' | 'reward' | 'ppo'
/** A command line that works. */
function lineOf(trainer: Trainer, data: string, output: string): string[] {
  const models = trainer === 'ppo' ? ['--reward-model', rewardModel, '--response-length', '3'] : []
  return [trainer, '--model', model, ...models, '--data', data, '--output', output, ...small]
}

/** Runs it, with what a test gets wrong. */
async function train(
  trainer: Trainer,
  rows: readonly unknown[],
  more: readonly string[] = [],
  { output = newPath(), availableMemory = Number.POSITIVE_INFINITY } = {},
) {
  const data = await rowsFile(rows)
  return {
    ...(await plumb([...lineOf(trainer, data, output), ...more], { availableMemory: () => availableMemory })),
    output,
    data,
  }
}

test.each([
  ['sft', demonstrations],
  ['reward', pairs],
  ['ppo', prompts],
] as const)('plumb %s writes a model that loads, and does not run twice', async (trainer, rows) => {
  const { status, stdout, stderr, output } = await train(trainer, rows)
  expect(stderr).not.toContain('error')
  expect(status).toBe(0)
  expect(stdout).toBe(`${join(output, 'model')}\n`)
  expect((await loadLanguageModel(join(output, 'model'))).parameters.size).toBeGreaterThan(10)
  const again = await train(trainer, rows, [], { output })
  expect(again.status).toBe(1)
  expect(again.stderr).toMatch(/error\[RUN_EXISTS\]: .* finished, newest checkpoint of step 2\.\nhint: .*--resume/)
})

test('data of the wrong kind: says which trainer it fits', async () => {
  const cases: [Trainer, object, string][] = [
    ['sft', pairs[0], 'plumb reward'],
    ['sft', prompts[0], 'plumb ppo'],
    // Bad answers too.
    ['sft', scored[0], 'plumb reward'],
    ['reward', demonstrations[0], 'plumb sft'],
    ['reward', { messages: [{ role: 'user', content: 'a' }] }, 'plumb sft'],
    ['reward', prompts[0], 'plumb ppo'],
    ['ppo', { text: 'a' }, 'plumb sft'],
    ['ppo', { messages: [{ role: 'user', content: 'a' }] }, 'plumb sft'],
    // They have a prompt too.
    ['ppo', pairs[0], 'plumb reward'],
    ['ppo', scored[0], 'plumb reward'],
    ['ppo', demonstrations[0], 'plumb sft'],
  ]
  for (const [trainer, row, fits] of cases) {
    const { status, stderr } = await train(trainer, [row])
    expect(status).toBe(1)
    expect(stderr, trainer).toMatch(
      new RegExp(`error\\[DATA_\\w+\\]: [^\\n]+\\nhint: Rows with [^\\n]+ are for ${fits}\\.\n`),
    )
  }
})

test('prompts may have columns of their own', async () => {
  const more = { id: 'a-1', kind: 'plain', category: 'x', split: 'train', held_out: false, score: 3, text: 'note' }
  const { status, stderr } = await train(
    'ppo',
    prompts.map((row) => ({ ...row, ...more })),
  )
  expect(stderr).not.toContain('error')
  expect(status).toBe(0)
  const half = await train('ppo', [{ prompt: 'a', chosen: 'b' }])
  expect(half.stderr).toMatch(
    /error\[DATA_WRONG_KIND\]: .*:1: rows without "chosen" are wanted.*\nhint: Remove "chosen"/,
  )
})

test('rows that are for no trainer are told what this one needs', async () => {
  const { stderr, status, output } = await train('sft', [demonstrations[0], { question: 'a', answer: 'b' }])
  expect(status).toBe(1)
  expect(stderr).toMatch(
    /error\[DATA_WRONG_KIND\]: .*:2: plumb sft learns from .*; this row has "question", "answer"\./,
  )
  // Before anything is made.
  await expect(readdir(output)).rejects.toThrow('ENOENT')
})

test('a conversation without messages is named as such', async () => {
  const { stderr } = await train('reward', [{ prompt: [], chosen: 'a', rejected: 'b' }])
  expect(stderr).toContain('the column "prompt": must be text or a list of objects, not empty, got an empty list.')
})

test('a reward model from scores, with its error and correlation on held-out rows beside it', async () => {
  const more = ['--eval-data', await rowsFile(scored)]
  const { status, stderr, output } = await train('reward', scored, more)
  expect(stderr).not.toContain('error')
  expect(stderr).toContain('3 answers to learn from (3 prompts), 3 to measure on (3 prompts). 3 prompts of these are')
  expect(status).toBe(0)
  const evaluation = JSON.parse(await readFile(join(output, 'evaluation.json'), 'utf8'))
  expect(evaluation).toMatchObject({ kind: 'scores', n: 3, scores: [0, 1, 2] })
  const lines = (await readFile(join(output, 'metrics.jsonl'), 'utf8')).trim().split('\n')
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({
    eval_mse: evaluation.mse,
    eval_pearson: evaluation.pearson,
    eval_spearmanr: evaluation.spearmanr,
  })
  const rewards = await plumb([
    'score',
    '--model',
    model,
    '--reward-model',
    join(output, 'model'),
    '--data',
    more[1],
    '--json',
  ])
  const given = rewards.stdout.trim().split('\n')
  expect(given.map((line) => JSON.parse(line).reward)).toEqual(
    evaluation.rewards.map((reward: number) => expect.closeTo(reward, 4)),
  )
})

test('a reward model from pairs: calibration in the metrics and beside the model', async () => {
  const { output } = await train('reward', pairs, ['--eval-data', await rowsFile(pairs)])
  const { ece, brier_score, calibration } = JSON.parse(await readFile(join(output, 'evaluation.json'), 'utf8'))
  const lines = (await readFile(join(output, 'metrics.jsonl'), 'utf8')).trim().split('\n')
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ eval_ece: ece, eval_brier_score: brier_score })
  expect(calibration.length).toBeGreaterThan(0)
})

test('pairs and scores do not mix: in one file, in one row, in data and evaluation data', async () => {
  const file = await train('reward', [...pairs, scored[0]])
  expect(file.stderr).toMatch(
    /error\[DATA_MIXED\]: .*jsonl: row 1 is a pair, row 4 an answer with a score; .*\nhint: Put/,
  )
  const row = await train('reward', [{ ...pairs[0], ...scored[0] }])
  expect(row.stderr).toMatch(/error\[DATA_WRONG_KIND\]: .*:1: the row is a pair and an answer with a score at once/)
  const evaluation = await train('reward', pairs, ['--eval-data', await rowsFile(scored)])
  expect(evaluation.stderr).toMatch(
    /error\[DATA_MIXED\]: the data has pairs, the evaluation data answers with scores\./,
  )
  const centred = await train('reward', scored, ['--center-rewards-coefficient', '0.01'])
  expect(centred.stderr).toMatch(/error\[CENTERING_NEEDS_PAIRS\]/)
  for (const { status } of [file, row, evaluation, centred]) expect(status).toBe(1)
})

test('the best checkpoint needs something to measure, when checkpoints are saved', async () => {
  const best = '--load-best-model-at-end'
  const none = await train('sft', demonstrations, [best, '--eval-steps', '1', '--save-steps', '1'])
  expect(none.stderr).toMatch(/error\[BEST_NOT_MEASURED\]: .*no rows to measure.*\nhint: Give --eval-data\./)
  const tiny = await train('reward', pairs, [best, '--eval-steps', '1', '--save-steps', '1'])
  expect(tiny.stderr).toMatch(/error\[BEST_NOT_MEASURED\]: .*\nhint: Give --eval-data, or raise --eval-fraction\./)
  const evaluation = ['--eval-data', await rowsFile(demonstrations)]
  const apart = await train('sft', demonstrations, [best, ...evaluation, '--eval-steps', '2', '--save-steps', '3'])
  expect(apart.stderr).toMatch(/--save-steps is 3, --eval-steps 2, .*\nhint: .*--eval-steps 2 --save-steps 2/)
  const never = await train('sft', demonstrations, [best, ...evaluation])
  expect(never.stderr).toMatch(/--eval-steps 0, and 0 means at the end only/)
  for (const { status } of [none, tiny, apart, never]) expect(status).toBe(1)
  const whole = await train('sft', demonstrations, [best, ...evaluation, '--eval-steps', '1', '--save-steps', '1'])
  expect(whole.stderr).toMatch(/The model is that of step \d, which has the lowest eval_loss: \d/)
  expect(whole.status).toBe(0)
})

test.each([
  ['sft', demonstrations],
  ['reward', pairs],
  ['ppo', prompts],
] as const)('plumb %s --resume: rows that changed are noticed, spaces are not', async (trainer, rows) => {
  const { output, data } = await train(trainer, rows)
  const line = lineOf(trainer, data, output)
  const resume = ['--max-steps', '3', '--resume']
  await writeFile(data, rows.map((row) => `${JSON.stringify(row, null, 1).replaceAll('\n', '')}\n\n`).join(''))
  const resumed = await plumb([...line, ...resume])
  expect(resumed.status).toBe(0)
  expect(resumed.stderr).toContain(`${trainer}: 66 % (2 of 3 steps)\n`)
  await writeFile(
    data,
    [...rows.slice(1), { ...rows[0], prompt: 'other' }].map((row) => `${JSON.stringify(row)}\n`).join(''),
  )
  const before = await readFile(join(output, 'metrics.jsonl'), 'utf8')
  const changed = await plumb([...line, '--max-steps', '4', '--resume'])
  expect(changed.status).toBe(1)
  expect(changed.stderr).toMatch(
    /error\[INPUTS_DIFFER\]: .* was started from something else:\n {2}data: .*jsonl changed, some of the 3 rows\n?\.?\nhint: .*--allow-changed-inputs/,
  )
  expect(await readFile(join(output, 'metrics.jsonl'), 'utf8')).toBe(before)
  const allowed = await plumb([...line, '--max-steps', '4', '--resume', '--allow-changed-inputs'])
  expect(allowed.stderr).toContain('warning: Goes on all the same: data: ')
  expect(allowed.status).toBe(0)
})

test('--resume notices another model at the same path', async () => {
  const own = await writeTinyModel(newPath())
  const { output, data } = await train('sft', demonstrations, ['--model', own])
  const line = ['sft', '--data', data, '--output', output, ...small, '--model', own, '--max-steps', '3', '--resume']
  await rm(own, { recursive: true })
  await writeTinyModel(own, { seed: 4 })
  const { stderr, status } = await plumb(line)
  expect(stderr).toMatch(/error\[INPUTS_DIFFER\][\s\S]*\n {2}model: .* changed\n?\nhint/)
  expect(status).toBe(1)
})

test.each([
  ['sft', demonstrations],
  ['reward', pairs],
  ['ppo', prompts],
] as const)('plumb %s --resume notices a chat template that was edited', async (trainer, rows) => {
  const template = `${newPath()}.jinja`
  await writeFile(template, '{{ messages }}')
  const { output, data } = await train(trainer, rows, ['--chat-template', template])
  const line = [...lineOf(trainer, data, output), '--chat-template', template, '--max-steps', '3', '--resume']
  await writeFile(template, '{{ messages }}!')
  const changed = await plumb(line)
  expect(changed.stderr).toMatch(
    /error\[INPUTS_DIFFER\][\s\S]*\n {2}chat_template: .*\.jinja changed\n?\nhint: .*--allow-changed-inputs/,
  )
  await writeFile(template, '{{ messages }}')
  expect((await plumb(line)).status).toBe(0)
})

test('a chat template that is not there: before a run folder is made', async () => {
  const { status, stderr, output } = await train('sft', demonstrations, ['--chat-template', 'none.jinja'])
  expect(status).toBe(1)
  expect(stderr).toContain('error[CHAT_TEMPLATE_MISSING]: none.jinja: no such file')
  await expect(readdir(output)).rejects.toThrow('ENOENT')
})

// Node's recursive mkdir never comes back there.
test.skipIf(process.platform !== 'linux')('an --output where no folder can be made is refused', async () => {
  const output = '/proc/nope/run'
  const sft = await train('sft', demonstrations, [], { output })
  expect(sft.stderr).toMatch(
    /error\[RUN_NOT_WRITABLE\]: .*\/proc\/nope\/run cannot be written: .*\nhint: Check the path/,
  )
  const data = await rowsFile(pairs)
  const align = await plumb(['align', '--model', model, '--preferences', data, '--output', output])
  expect(align.stderr).toMatch(/error\[ENOENT\]: .*\/proc\/nope.*\nhint: Check the path/)
  expect([sft.status, align.status]).toEqual([1, 1])
})

/** Stopped when the clock is first read: the rows have been read then, and the run folder is being made. */
test.each([
  ['sft', demonstrations, '--data', 'the same command with --resume goes on'],
  ['align', pairs, '--preferences', 'the same command goes on from there'],
] as const)('who stops plumb %s is told how it goes on', async (command, rows, flag, words) => {
  const stop = new AbortController()
  const now = () => {
    stop.abort(new PlumblineError('INTERRUPTED', 'Stopped by the test.'))
    return 0
  }
  const args = [command, '--model', model, flag, await rowsFile(rows), '--output', `stopped-${command}`]
  const { status, stderr } = await plumb(args, { now, signal: stop.signal })
  expect(status).toBe(130)
  expect(stderr).toContain(`kept in stopped-${command}: ${words}`)
})

test.skipIf(process.platform === 'win32').each([
  ['sft', 'SIGINT', 130, demonstrations],
  ['sft', 'SIGTERM', 143, demonstrations],
  ['reward', 'SIGTERM', 143, pairs],
  ['ppo', 'SIGTERM', 143, prompts],
] as const)(
  'plumb %s, stopped by %s in the middle, saves where it was',
  async (trainer, name, status, rows) => {
    const output = newPath()
    const more = ['--max-steps', '100000', '--save-steps', '5', '--logging-steps', '1']
    const child = spawn(process.execPath, [bin, ...lineOf(trainer, await rowsFile(rows), output), ...more])
    onTestFinished(() => void child.kill('SIGKILL'))
    const ended = once(child, 'close')
    let said = ''
    child.stderr.on('data', (text) => {
      said += text
    })
    const checkpoints = () => readdir(join(output, 'checkpoints')).catch(() => [])
    await expect.poll(checkpoints, { timeout: 60_000 }).not.toEqual([])
    child.kill(name)
    expect((await ended)[0]).toBe(status)
    expect(said).toContain('Stopping.')
    expect(said).toContain(`The run is kept in ${output}: the same command with --resume goes on.\n`)
    const run = JSON.parse(await readFile(join(output, 'run.json'), 'utf8'))
    const logged = (await readFile(join(output, 'metrics.jsonl'), 'utf8')).trim().split('\n')
    expect(run).toMatchObject({ status: 'interrupted', step: JSON.parse(logged.at(-1)!).global_step })
    expect(await checkpoints()).toContain(`step-${String(run.step).padStart(8, '0')}`)
  },
  90_000,
)

test('--resume without a run says that a new one starts', async () => {
  const { status, stderr, output } = await train('sft', demonstrations, ['--resume'])
  expect(stderr).toContain(`warning: ${output} holds no run to resume: a new one starts.`)
  expect(status).toBe(0)
})

test('a row that only lacks a column is told its name', async () => {
  const { stderr } = await train('reward', [{ prompt: 'a', chosen: 'b' }])
  expect(stderr).toMatch(/error\[DATA_COLUMN_MISSING\]: .*:1: the column "rejected" is missing\.\nhint: Columns here: /)
})

test('equal sides of a pair are left out and counted; nothing else left is an error', async () => {
  const equal = { prompt: 'a', chosen: 'same', rejected: 'same' }
  const some = await train('reward', [...pairs, equal])
  expect(some.status).toBe(0)
  expect(some.stderr).toContain('1 of 4 pairs have equal sides and were left out; row 4 is the first.')
  const all = await train('reward', [equal])
  expect(all.status).toBe(1)
  expect(all.stderr).toMatch(/error\[NOTHING_TO_LEARN\].*\nhint: Chosen and rejected must differ/)
})

test.each([
  ['sft', { prompt: '', completion: 'a' }],
  ['reward', { prompt: '', chosen: 'a', rejected: 'b' }],
  ['ppo', { prompt: '' }],
  ['sft', { prompt: [{ role: 'user', content: '' }], completion: [{ role: 'assistant', content: 'a' }] }],
  ['ppo', { prompt: [{ role: 'user', content: ' \n' }] }],
] as const)('plumb %s: an empty prompt is named', async (trainer, row) => {
  const good = { sft: demonstrations, reward: pairs, ppo: prompts }[trainer]
  const { status, stderr, data } = await train(trainer, [good[0], row])
  expect(status).toBe(1)
  expect(stderr).toContain(`error[EMPTY_PROMPT]: ${data}:2: the prompt is empty.\nhint: Give it some text`)
})

test('too long: counted, and what was done', async () => {
  const long = 'x'.repeat(70)
  const sft = await train('sft', [...demonstrations, { prompt: 'a', completion: long }])
  expect(sft.stderr).toContain('1 of 4 rows are longer than 64 tokens and were cut.')
  const shorter = await train('sft', demonstrations, ['--max-length', '3'])
  expect(shorter.stderr).toContain('3 of 3 rows are longer than 3 tokens and were cut.')
  const reward = await train('reward', [...pairs, { prompt: 'a', chosen: long, rejected: 'b' }])
  expect(reward.stderr).toContain('1 of 4 pairs are longer than 64 tokens and were left out.')
  const ppo = await train('ppo', [...prompts, { prompt: long }])
  expect(ppo.stderr).toMatch(/1 of 4 prompts are longer than 61 tokens, .* left out\./)
  for (const { status } of [sft, shorter, reward, ppo]) expect(status).toBe(0)
})

test('too long, all of them: the flag that helps', async () => {
  const long = 'x'.repeat(70)
  const sft = await train('sft', [{ prompt: long, completion: 'a' }])
  expect(sft.stderr).toContain('1 of 1 rows have nothing to learn from')
  expect(sft.stderr).toMatch(/error\[NOTHING_TO_LEARN\].*\nhint: Raise --max-length/)
  const reward = await train('reward', [{ prompt: 'a', chosen: long, rejected: 'b' }])
  expect(reward.stderr).toContain('1 of 1 pairs are longer than 64 tokens and were left out.')
  expect(reward.stderr).toMatch(/error\[NOTHING_TO_LEARN\].*\nhint: Chosen and rejected must .* fit in --max-length/)
  const ppo = await train('ppo', [{ prompt: long }])
  expect(ppo.stderr).toMatch(/error\[NOTHING_TO_LEARN\].*\nhint: Lower --response-length/)
  expect([sft.status, reward.status, ppo.status]).toEqual([1, 1, 1])
})

test('rows without targets and empty completions are survived', async () => {
  const rows = [...demonstrations, { prompt: 'a', completion: '' }, { text: '' }, { text: 'b' }]
  const sft = await train('sft', rows)
  expect(sft.stderr).toContain('1 of 6 rows have nothing to learn from and were left out.')
  const reward = await train('reward', [...pairs, { prompt: 'a', chosen: '', rejected: 'b' }])
  expect([sft.status, reward.status]).toEqual([0, 0])
  const silent = await train('sft', [{ messages: [{ role: 'user', content: 'a' }] }])
  expect(silent.stderr).toMatch(/error\[NO_ASSISTANT_TURN\]: \S+\.jsonl:1: .*\nhint: .*"assistant"/)
})

test.each([
  ['sft', { prompt: [{ role: 'user', content: 'a' }], completion: [{ role: 'assistant', content: 'b' }] }],
  [
    'sft',
    {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
      ],
    },
  ],
  [
    'reward',
    {
      prompt: [{ role: 'user', content: 'a' }],
      chosen: [{ role: 'assistant', content: 'b' }],
      rejected: [{ role: 'assistant', content: 'c' }],
    },
  ],
  ['ppo', { prompt: [{ role: 'user', content: 'a' }] }],
] as const)(
  'plumb %s: a row that the chat template refuses is named by file and line, with the template',
  async (trainer, row) => {
    const template = join(base, 'refusing.jinja')
    await writeFile(template, "{{ raise_exception('no users here') }}")
    const broken = join(base, 'broken.jinja')
    await writeFile(broken, '{% for x in %}')
    const good = { sft: demonstrations, reward: pairs, ppo: prompts }[trainer]
    const refused = await train(trainer, [good[0], row], ['--chat-template', template])
    expect(refused.status).toBe(1)
    expect(refused.stderr).toContain(
      `error[CHAT_TEMPLATE_REFUSED]: ${refused.data}:2: The chat template ${template} refuses these messages: no users here`,
    )
    const syntax = await train(trainer, [good[0], row], ['--chat-template', broken])
    expect(syntax.stderr).toContain(`${syntax.data}:2: The chat template ${broken} is not valid Jinja: `)
  },
)

test('text beside messages is refused', async () => {
  const mixed = { prompt: [{ role: 'user', content: 'a' }], completion: 'b' }
  const { stderr } = await train('sft', [...demonstrations, mixed])
  expect(stderr).toMatch(/error\[DATA_KINDS_DIFFER\]: \S+\.jsonl:4: .*\nhint: Give both as text, or both as messages/)
})

test('a reward model with another tokenizer', async () => {
  const other = newPath()
  await writeTinyRewardModel(other, { characters: [...'abcdefgh'] })
  const { status, stderr } = await train('ppo', prompts, ['--reward-model', other])
  expect(status).toBe(1)
  expect(stderr).toMatch(
    /error\[TOKENIZER_MISMATCH\]: the reward model has 11 tokens and the policy 99.*\nhint: .*plumb reward/,
  )
})

test.each<[string, TinyModelOptions, TinyModelOptions, RegExp]>([
  [
    'as many other tokens',
    { characters: [...'abch'] },
    { characters: [...'abci'] },
    /as many tokens .*: 6 is "i" and .* "h"/,
  ],
  ['other merges', {}, { merges: ['a b'] }, /has the tokens of the policy, but cuts texts into them otherwise/],
  [
    'a normalizer',
    {},
    { normalizer: { type: 'Lowercase' } },
    /has the tokens of the policy, but cuts texts .* otherwise/,
  ],
])('a reward model whose tokenizer has %s', async (_, ofPolicy, ofReward, message) => {
  const [policy, other] = [newPath(), newPath()]
  const characters = ['a', 'b', 'ab', ...'defgh']
  await writeTinyModel(policy, { characters, ...ofPolicy })
  await writeTinyRewardModel(other, { characters, ...ofReward })
  const { status, stderr } = await train('ppo', [{ prompt: 'a' }], ['--model', policy, '--reward-model', other])
  expect(status).toBe(1)
  expect(stderr).toMatch(/error\[TOKENIZER_MISMATCH\]: the reward model /)
  expect(stderr).toMatch(message)
})

test('a reward model whose scores are no numbers: the rows', async () => {
  const broken = newPath()
  await writeTinyRewardModel(broken, { change: (parameters) => parameters.get('score.weight')!.data.fill(Number.NaN) })
  const { status, stderr } = await train('ppo', prompts, ['--reward-model', broken])
  expect(status).toBe(1)
  expect(stderr).toMatch(
    /error\[SCORES_NOT_FINITE\]: step 1: the reward model scores 2 of 2 answers NaN; their rows are \d, \d\.\nhint: Train the reward model again/,
  )
})

test('a reference whose log-probabilities are no numbers: the rows, and which model it is', async () => {
  const broken = newPath()
  await writeTinyModel(broken, {
    change: (parameters) => parameters.get('model.norm.weight')!.data.fill(Number.NaN),
  })
  const { status, stderr } = await train('ppo', prompts, ['--ref-model', broken])
  expect(status).toBe(1)
  expect(stderr).toMatch(
    /error\[REFERENCE_NOT_FINITE\]: step 1: the reference model gives .* to 2 of 2 answers; their rows are \d, \d\.\nhint: Give another --ref-model/,
  )
})

test('a reference of another architecture, or with another tokenizer', async () => {
  const [wide, foreign] = [newPath(), newPath()]
  await writeTinyModel(wide, { config: { intermediate_size: 64 } })
  await writeTinyModel(foreign, { characters: [...'abcdefgh'] })
  const other = await train('ppo', prompts, ['--ref-model', wide])
  expect(other.status).toBe(1)
  expect(other.stderr).toMatch(
    /error\[REFERENCE_MISMATCH\]: the reference model is a llama of 2 layers, width 32 and 64, .* the policy a llama of 2 layers, width 32 and 48, .*\nhint: .*--ref-model/,
  )
  const turned = newPath()
  await writeTinyModel(turned, { config: { rope_theta: 500_000, max_position_embeddings: 128 } })
  const rope = await train('ppo', prompts, ['--ref-model', turned])
  expect(rope.stderr).toMatch(/error\[REFERENCE_MISMATCH\]: the reference model and the policy differ in ropeTheta\.\n/)
  const tokens = await train('ppo', prompts, ['--ref-model', foreign])
  expect(tokens.stderr).toMatch(/error\[TOKENIZER_MISMATCH\]: the reference model has 11 tokens and the policy 99/)
  const same = await train('ppo', prompts, ['--ref-model', model])
  expect(same.status).toBe(0)
})

test('a reward model without a score head', async () => {
  const { status, stderr } = await train('ppo', prompts, ['--reward-model', model])
  expect(status).toBe(1)
  expect(stderr).toContain(`error[NOT_A_REWARD_MODEL]: --reward-model ${model} has no score.weight`)
  expect(stderr).toMatch(/\nhint: .*plumb reward/)
})

test('a reward model where a language model is wanted', async () => {
  const sft = await train('sft', demonstrations, ['--model', rewardModel])
  const ppo = await train('ppo', prompts, ['--model', rewardModel])
  const reference = await train('ppo', prompts, ['--ref-model', rewardModel])
  const asked = await rowsFile(prompts.map((row) => ({ ...row, kind: 'plain' })))
  const files = ['--prompts', asked, '--eval-prompts', asked, '--max-new-tokens', '4']
  const align = await plumb(['align', '--model', rewardModel, ...files, '--output', newPath()])
  const refused = [
    ['--model', sft],
    ['--model', ppo],
    ['--ref-model', reference],
    ['--model', align],
  ] as const
  for (const [flag, { status, stderr }] of refused) {
    expect(stderr).toContain(`error[NOT_A_LANGUAGE_MODEL]: ${flag} has a score.weight: it is a reward model,`)
    expect(stderr).toMatch(/\nhint: Give a language model, .*--reward-model/)
    expect(status).toBe(1)
  }
})

test('plumb reward trains a reward model further, from its own head', async () => {
  const barely = ['--learning-rate', '1e-12', '--model', rewardModel]
  const { status, stderr, output } = await train('reward', pairs, barely)
  expect(stderr).not.toContain('error')
  expect(status).toBe(0)
  const [before, after] = [rewardModel, join(output, 'model')].map(async (path) => {
    return (await loadLanguageModel(path)).parameters.get('score.weight')!.data
  })
  const head = await before
  ;(await after).forEach((weight, i) => {
    expect(weight).toBeCloseTo(head[i], 6)
  })
  const three = newPath()
  await writeTinyRewardModel(three, {
    change: (parameters) =>
      (parameters as Map<string, Parameter>).set('score.weight', createParameter('score.weight', [3, 32])),
  })
  const many = await train('reward', pairs, ['--model', three])
  expect(many.stderr).toContain('error[NOT_A_REWARD_MODEL]: --model has a score.weight of [3, 32], not [1, 32]')
})

test('a folder that holds something else, or a run that is going on, is left alone', async () => {
  const output = newPath()
  await mkdir(output)
  await writeFile(join(output, 'thesis.txt'), 'mine')
  const full = await train('sft', demonstrations, [], { output })
  expect(full.status).toBe(1)
  expect(full.stderr).toMatch(/error\[RUN_FOLDER_NOT_EMPTY\]: .*thesis\.txt.*nothing was written\.\nhint: /)
  expect(await readdir(output)).toEqual(['thesis.txt'])
  const used = newPath()
  const run = await openRunFolder(used, { command: 'sft', config: {}, now: () => 0, version: '0' })
  const second = await train('sft', demonstrations, [], { output: used })
  await run.close()
  expect(second.status).toBe(1)
  expect(second.stderr).toMatch(/error\[RUN_IN_USE\]: .* in use by process \d+ .*\nhint: Wait/)
})

test('plumb align leaves a folder of something else alone', async () => {
  const output = newPath()
  await mkdir(output)
  const thesis = join(output, 'thesis.txt')
  await writeFile(thesis, 'mine')
  const data = await rowsFile(pairs)
  const align = (path: string) => plumb(['align', '--model', model, '--preferences', data, '--output', path])
  const full = await align(output)
  expect(full.status).toBe(1)
  expect(full.stderr).toMatch(/error\[ALIGN_FOLDER\]: .*thesis\.txt.*nothing was written\.\nhint: Give a new/)
  expect(await readdir(output)).toEqual(['thesis.txt'])
  for (const path of [thesis, join(thesis, 'x')])
    expect((await align(path)).stderr).toMatch(/error\[ALIGN_FOLDER\]: .* is a file.*\nhint: Give another --output/)
})

test('a checkpoint of another configuration: what differs', async () => {
  const { output, data } = await train('sft', demonstrations)
  const flags = ['--learning-rate', '0.5', '--lora-r', '4', '--resume']
  const { status, stderr } = await plumb([
    'sft',
    '--model',
    model,
    '--data',
    data,
    '--output',
    output,
    ...small,
    ...flags,
  ])
  expect(status).toBe(1)
  expect(stderr).toMatch(/error\[CONFIG_DIFFERS\]/)
  expect(stderr).toContain('learning_rate: 0.00002 in the run, 0.5 now')
  expect(stderr).toContain('lora_r: 16 in the run, 4 now')
  expect(stderr).not.toContain('max_steps')
  const other = await train('reward', pairs, ['--resume'], { output })
  expect(other.stderr).toMatch(/error\[RUN_OTHER_COMMAND\].*plumb sft, not reward\.\nhint: Resume it with plumb sft/)
})

test.each([
  ['', []],
  [', and with --resume', ['--resume']],
])('once the data was mended, the same command works%s', async (_, resume) => {
  const data = await rowsFile([...demonstrations, { prompt: '', completion: 'a' }])
  const output = newPath()
  const line = ['sft', '--model', model, '--data', data, '--output', output, ...small]
  expect((await plumb(line)).status).toBe(1)
  await writeFile(data, demonstrations.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const { status, stderr } = await plumb([...line, ...resume])
  expect(stderr.includes('starts from step 0')).toBe(resume.length > 0)
  expect(stderr).not.toContain('error')
  expect(status).toBe(0)
})

/** Whatever is trained takes 3e8 bytes, a tiny model 1e5; what is trained of it and the tokens at once do not fit in this. */
const littleMemory = 3.005e8

test.each([
  ['sft', demonstrations],
  ['reward', pairs],
  ['ppo', prompts],
] as const)(
  'plumb %s: memory that will not do is an error before the start, with the flag that helps',
  async (trainer, rows) => {
    const { status, stderr, output } = await train(trainer, rows, [], { availableMemory: littleMemory })
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /error\[MEMORY_SHORT\]: training needs about 0\.3 GB of memory; about 0\.3 GB are free\.\nhint: Lower /,
    )
    expect(stderr).toContain('--micro-batch-tokens')
    // No flag that the command does not have.
    expect(stderr).toContain('--use-peft')
    expect(stderr.includes('--max-length')).toBe(trainer !== 'ppo')
    expect(await readdir(output)).not.toContain('checkpoints')
    const hopeless = await train(trainer, rows, [], { availableMemory: 1e8 })
    expect(hopeless.status).toBe(1)
    expect(hopeless.stderr).toMatch(
      /error\[MEMORY_SHORT\]: .*; about 0\.1 GB are free\.\nhint: No flag makes it fit: .* a smaller --model\./,
    )
  },
)

test('a value model of its own that does not fit: the head on the policy needs less', async () => {
  const short = { availableMemory: littleMemory }
  const { stderr } = await train('ppo', prompts, ['--value-model', 'separate'], short)
  expect(stderr).toMatch(/error\[MEMORY_SHORT\].*\nhint: Lower .*, or .* --value-model shared, or .* --use-peft\./)
  expect((await train('ppo', prompts, [], short)).stderr).not.toContain('--value-model')
})

test('after memory was short, the same folder takes the run with the flag that helps', async () => {
  const data = await rowsFile(demonstrations)
  const line = ['sft', '--model', model, '--data', data, '--output', newPath(), ...small]
  // Of what a token needs, enough for 64 and not for 1,024.
  const memory = { availableMemory: () => 3.02e8 }
  expect((await plumb(line, memory)).stderr).toContain('MEMORY_SHORT')
  const smaller = await plumb([...line, '--micro-batch-tokens', '64'], memory)
  expect(smaller.stderr).not.toContain('error')
  expect(smaller.status).toBe(0)
})

test('flags in hints are flags of the command', async () => {
  const failures = [
    await train('sft', pairs),
    await train('reward', [{ prompt: 'a', chosen: 'b', rejected: 'b' }]),
    await train('ppo', [{ prompt: 'x'.repeat(70) }]),
    await train('ppo', prompts, [], { availableMemory: 1 }),
    await train('reward', pairs, [], { availableMemory: 1 }),
    await train('sft', demonstrations, ['--use-peft', '--lora-target-modules', 'q_prj']),
  ]
  const trainerOf = ['sft', 'reward', 'ppo', 'ppo', 'reward', 'sft'] as const
  for (const [i, { stderr, status }] of failures.entries()) {
    expect(status).toBe(1)
    const [, hint] = /\nhint: (.+)\n/.exec(stderr) ?? []
    expect(hint, stderr).toBeDefined()
    const command = await commands[trainerOf[i]]()
    for (const [, flag] of hint.matchAll(/--([a-z-]+)/g))
      expect(Object.keys(command.config.shape), hint).toContain(flag.replaceAll('-', '_'))
  }
})

test('no steps at all are refused: the model would be written as it was', async () => {
  for (const [trainer, rows] of [
    ['sft', demonstrations],
    ['reward', pairs],
    ['ppo', prompts],
  ] as const) {
    const { status, stderr, output } = await train(trainer, rows, ['--max-steps', '0'])
    expect(status).toBe(2)
    expect(stderr).toContain('error[USAGE_VALUE]: max_steps: must be -1 or at least 1, got 0 (from --max-steps).')
    await expect(readdir(output)).rejects.toThrow('ENOENT')
  }
})

test('--json gives the failure to programs', async () => {
  const { stdout } = await train('sft', pairs, ['--json'])
  expect(JSON.parse(stdout)).toMatchObject({
    error: { code: 'DATA_WRONG_KIND', hint: expect.stringContaining('plumb reward') },
  })
})

test('gzipped data trains as it is', async () => {
  const path = `${newPath()}.jsonl.gz`
  await writeFile(path, gzipSync(demonstrations.map((row) => `${JSON.stringify(row)}\n`).join('')))
  const { status } = await plumb(['sft', '--model', model, '--data', path, '--output', newPath(), ...small])
  expect(status).toBe(0)
})

test('a full disk in the middle: the older checkpoints stay, and --resume goes on', async (context) => {
  const disk = newPath()
  await mkdir(disk)
  const mount = (options: string) => spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status
  if (mount('size=1600k') !== 0) return context.skip('a small file system of its own needs root')
  try {
    const output = join(disk, 'run')
    const data = await rowsFile(demonstrations)
    const flags = [
      '--max-steps',
      '8',
      '--save-steps',
      '1',
      '--save-total-limit',
      '9',
      '--per-device-train-batch-size',
      '2',
    ]
    const line = ['sft', '--model', model, '--data', data, '--output', output, ...flags]
    const { status, stderr } = await plumb(line)
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /error\[CHECKPOINT_FAILED\]: .* the disk or quota is full.*\nhint: The one of step \d+ is untouched: --resume/,
    )
    const saved = await readdir(join(output, 'checkpoints'))
    expect(saved.length).toBeGreaterThan(0)
    mount('remount,size=20m')
    const resumed = await plumb([...line, '--resume'])
    expect(resumed.status).toBe(0)
    const straight = newPath()
    const flagsAt = line.map((word) => (word === output ? straight : word))
    expect((await plumb(flagsAt)).status).toBe(0)
    const weights = (folder: string) => readFile(join(folder, 'model', 'model.safetensors'))
    expect(await weights(output)).toEqual(await weights(straight))
  } finally {
    spawnSync('umount', [disk])
  }
})

test('a disk that is full when the model is written: no half a model, and --resume writes it', async (context) => {
  // A checkpoint, of the adapter alone, needs a megabyte to spare; the model is larger than that.
  const large = await writeTinyModel(newPath(), { config: { hidden_size: 256 } })
  const data = await rowsFile(demonstrations)
  const lineInto = (output: string) => [
    ...lineOf('sft', data, output),
    ...['--model', large, '--use-peft', '--lora-r', '1'],
  ]
  const straight = newPath()
  expect((await plumb(lineInto(straight))).status).toBe(0)
  const weights = (folder: string) => readFile(join(folder, 'model', 'model.safetensors'))
  // In kilobytes, by pages of the file system.
  const size = async (path: string) => {
    const entries = await readdir(path, { recursive: true })
    const sizes = await Promise.all(entries.map(async (name) => (await stat(join(path, name))).size))
    return sizes.reduce((sum, bytes) => sum + 4 * Math.ceil(bytes / 4096), 0)
  }
  const modelSize = await size(join(straight, 'model'))
  const disk = newPath()
  await mkdir(disk)
  const mount = (options: string) => spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status
  // All that a run writes fits, and three quarters of its model.
  const room = (await size(straight)) - Math.round(modelSize / 4)
  if (mount(`size=${room}k`) !== 0) return context.skip('a small file system of its own needs root')
  try {
    const output = join(disk, 'run')
    const { status, stderr } = await plumb(lineInto(output))
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /error\[RUN_NOT_WRITABLE\]: .*run cannot be written: the disk or quota is full\.\nhint: Free some space; --resume/,
    )
    expect(await readdir(join(output, 'checkpoints'))).toEqual(['step-00000002'])
    expect(await readdir(output)).not.toContain('model')
    mount('remount,size=20m')
    expect((await plumb([...lineInto(output), '--resume'])).status).toBe(0)
    expect(await weights(output)).toEqual(await weights(straight))
  } finally {
    spawnSync('umount', [disk])
  }
})

test('flags of an adapter without one are told, and nothing else is', async () => {
  const idle = await train('sft', demonstrations, ['--lora-r', '4', '--lora-target-modules', 'q_proj'])
  const without = 'Without --use-peft all weights are trained'
  expect(idle.stderr).toContain(`${without}: nothing comes of --lora-r, --lora-target-modules.`)
  expect((await train('sft', demonstrations, ['--lora-r', '4', '--use-peft'])).stderr).not.toContain(without)
  expect((await train('sft', demonstrations)).stderr).not.toContain(without)
})
