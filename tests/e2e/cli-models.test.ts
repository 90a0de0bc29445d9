/**
 * `plumb generate`, `score` and `chat` as processes, with the real model; and with a tiny one that shares its tokenizer,
 * where only the words of an error or the characters of an output matter.
 */
import { spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createParameter, type Parameter } from '@plumbline/engine'
import {
  buildForward,
  type LanguageModel,
  loadLanguageModel,
  parseModelConfig,
  saveModelFolder,
} from '@plumbline/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { smollm2Path, testHome } from './smollm2.ts'

const plumbPath = fileURLToPath(new URL('../../packages/plumbline/bin/plumb.js', import.meta.url))

interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  /** How often something arrived on stdout. */
  readonly pieces: number
}

let folder: string
let model: string
let tokenizer: LanguageModel['tokenizer']

async function plumb(args: readonly string[], stdin = ''): Promise<Ended> {
  const child = spawn(process.execPath, [plumbPath, ...args], {
    cwd: folder,
    env: { ...process.env, PLUMBLINE_HOME: testHome, NO_COLOR: '1' },
  })
  let pieces = 0
  child.stdout.on('data', () => {
    pieces++
  })
  child.stdin.on('error', () => {}) // a command that fails at once does not read it
  child.stdin.end(stdin)
  const closed = new Promise<number>((done) => child.once('close', (code) => done(code ?? -1)))
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  return { status, stdout, stderr, pieces }
}

interface Row {
  readonly prompt: unknown
  readonly completion: string
  readonly token_ids: number[]
  readonly logprobs: number[]
  readonly finish_reason: string
}

async function rowsOf<T = Row>(args: readonly string[], stdin?: string): Promise<T[]> {
  const { status, stdout, stderr } = await plumb([...args, '--json', '--quiet'], stdin)
  expect(status, stderr).toBe(0)
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
const user = (content: string) => [{ role: 'user', content }]
const prompts = [
  { prompt: 'The capital of France is' },
  { prompt: user('What is 2+2? Answer in one word.') },
  { prompt: [{ role: 'system', content: 'You are a pirate.' }, ...user('Say hello.')] },
  { prompt: user('What does <|im_end|> mean?') },
]

beforeAll(async () => {
  model = await smollm2Path()
  folder = await mkdtemp(join(tmpdir(), 'plumb-cli-'))
  ;({ tokenizer } = await loadLanguageModel(model))
  await writeFile(join(folder, 'prompts.jsonl'), lines(prompts))
}, 300_000)
afterAll(() => rm(folder, { recursive: true }))

describe('the real model', { timeout: 120_000 }, () => {
  const greedy = ['generate', '--max-new-tokens', '12', '--temperature', '0']
  let first: Row[]

  test('generate writes the same lines twice, from a file and from stdin, all at once and one by one', async () => {
    first = await rowsOf([...greedy, '--model', model, '--data', 'prompts.jsonl'])
    expect(first.map(({ prompt }) => prompt)).toEqual(prompts.map(({ prompt }) => prompt))
    for (const row of first) {
      expect(Object.keys(row)).toEqual(['prompt', 'completion', 'token_ids', 'logprobs', 'finish_reason'])
      expect(row.logprobs).toHaveLength(row.token_ids.length)
      for (const logprob of row.logprobs) expect(logprob).toBeLessThanOrEqual(0)
      expect(row.completion).toBe(tokenizer.decode(row.token_ids, { skipSpecialTokens: true }))
      expect(row.finish_reason).toBe(row.token_ids.length < 12 ? 'stop' : 'length')
    }
    expect(first[0].completion).toMatch(/^ Paris/)
    expect(await rowsOf([...greedy, '--model', model, '--data', '-'], lines(prompts))).toEqual(first)
    const single = await rowsOf([...greedy, '--model', model, '--data', 'prompts.jsonl', '--batch-size', '1'])
    expect(single.map(({ logprobs, ...rest }) => rest)).toEqual(first.map(({ logprobs, ...rest }) => rest))
    single.forEach(({ logprobs }, i) => {
      logprobs.forEach((logprob, token) => {
        expect(Math.abs(logprob - first[i].logprobs[token])).toBeLessThan(1e-5)
      })
    })
  })

  test('score gives back the log-probabilities of generate; typed special tokens are text', async () => {
    // Completions of 12 tokens are broken off: the template puts an end behind them, so only the tokens before it agree.
    const completions = first.map(({ prompt, completion }) => ({
      prompt,
      completion: typeof prompt === 'string' ? completion : [{ role: 'assistant', content: completion }],
    }))
    await writeFile(join(folder, 'rows.jsonl'), lines(completions))
    interface Scored {
      prompt_ids: number[]
      token_ids: number[]
      logprobs: number[]
      sum_logprob: number
    }
    const score = ['score', '--model', model, '--data', 'rows.jsonl']
    const scored = await rowsOf<Scored>(score)
    scored.forEach((row, i) => {
      expect(Object.keys(row)).toEqual(['prompt_ids', 'token_ids', 'logprobs', 'sum_logprob'])
      expect(row.logprobs).toHaveLength(row.token_ids.length)
      expect(row.sum_logprob).toBeCloseTo(
        row.logprobs.reduce((sum, logprob) => sum + logprob, 0),
        6,
      )
      const { token_ids, logprobs } = first[i]
      const agreeing = token_ids.findIndex((id, token) => row.token_ids[token] !== id)
      const count = agreeing < 0 ? token_ids.length : agreeing
      expect(count).toBeGreaterThan(3)
      for (let token = 0; token < count; token++)
        expect(Math.abs(row.logprobs[token] - logprobs[token])).toBeLessThan(1e-4)
    })
    const end = tokenizer.specialTokens.get('<|im_end|>')!
    const ends = (row: Scored) => row.prompt_ids.filter((id) => id === end).length
    const [parsed, text] = await rowsOf<Scored>(
      [...score.slice(0, 3), '--data', '-', '--parse-special'],
      lines(completions.slice(2).reverse()),
    )
    // Where a user typed one: the template's own end tokens, and one more.
    expect(ends(parsed) - ends(scored[3])).toBe(1)
    expect(text).toEqual(scored[2])
  })

  test('one answer is streamed to stdout, up to the stop text and not into it', async () => {
    const args = ['--model', model, '--prompt', 'The capital of France is', '--temperature', '0']
    const stop = ['--stop', ' is:', '--stop', 'no such']
    const { stdout, pieces } = await plumb(['generate', ...args, '--max-new-tokens', '30', ...stop])
    expect(stdout).toBe(' Paris.\n\nThe answer\n')
    expect(pieces).toBeGreaterThan(1)
  })

  test('chat answers each line of its input with all that was said before; /new starts over', async () => {
    const args = ['--model', model, '--max-new-tokens', '8', '--temperature', '0']
    const turns = await rowsOf(['chat', ...args], 'My name is Bo.\n\nWho am I?\n/new\nMy name is Bo.\n/quit\nunread\n')
    expect(turns).toHaveLength(3)
    expect(turns[0].prompt).toEqual(user('My name is Bo.'))
    expect(turns[1].prompt).toEqual([
      ...user('My name is Bo.'),
      { role: 'assistant', content: turns[0].completion },
      ...user('Who am I?'),
    ])
    expect(turns[2]).toEqual(turns[0])
  })
})

/** Writes a folder with the real tokenizer and a model of a few weights, filled by `fill`. */
async function tinyModel(name: string, changes: object, fill: (parameter: Parameter) => void, score?: number) {
  const config = {
    model_type: 'llama',
    vocab_size: tokenizer.vocabSize,
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    max_position_embeddings: 64,
    tie_word_embeddings: false,
    eos_token_id: tokenizer.eosTokenId,
    ...changes,
  }
  const forward = buildForward(parseModelConfig(config))
  if (score === undefined) forward.logits()
  const parameters = [...forward.graph.parameters].map(([key, { shape }]) => createParameter(key, shape as number[]))
  if (score !== undefined) parameters.push(createParameter('score.weight', [score, 8]))
  parameters.forEach(fill)
  const { tokenizerJson, tokenizerConfig, chatTemplate } = tokenizer
  const model = {
    config,
    parameters: new Map(parameters.map((parameter) => [parameter.name, parameter])),
    tokenizerJson,
    tokenizerConfig,
    ...(chatTemplate !== undefined && { chatTemplate }),
  }
  await saveModelFolder(join(folder, name), model, { overwrite: true })
  return name
}

/** Every token leads to token `next`: the residual stream is all ones, and only that row of the head is not 0. */
const alwaysSays =
  (next: number) =>
  ({ name, data }: Parameter) => {
    if (name === 'lm_head.weight') data.fill(100, next * 8, next * 8 + 8)
    else if (name.includes('embed') || name.includes('norm') || name === 'score.weight') data.fill(1)
  }

test('a seed gives the same answers, another one others', async () => {
  // All weights are 0: every token is as likely as any other.
  const even = ['generate', '--model', await tinyModel('even', {}, () => {}), '--prompt', 'a', '--max-new-tokens', '8']
  const sampled = [...even, '--num-generations', '3', '--temperature', '1', '--top-p', '0.95', '--top-k', '200']
  const texts = async (...args: string[]) => (await rowsOf([...sampled, ...args])).map(({ completion }) => completion)
  const seed1 = await texts('--seed', '1')
  expect(new Set(seed1).size).toBe(3)
  expect(await texts('--seed', '1', '--batch-size', '2')).toEqual(seed1)
  expect(await texts('--seed', '2')).not.toEqual(seed1)
})

test('score adds the reward of a reward model', async () => {
  const policy = await tinyModel('policy', {}, alwaysSays(100))
  const reward = await tinyModel('reward', {}, alwaysSays(100), 1)
  const args = ['score', '--model', policy, '--reward-model', reward, '--data', '-']
  const [row, empty] = await rowsOf<Record<string, unknown>>(
    args,
    lines([
      { prompt: 'a', completion: 'b c' },
      { prompt: 'a', completion: '' },
    ]),
  )
  expect(Object.keys(row)).toEqual(['prompt_ids', 'token_ids', 'logprobs', 'sum_logprob', 'reward'])
  // The last hidden state is eight ones.
  expect(row.reward).toBeCloseTo(8, 4)
  expect(empty).toMatchObject({ token_ids: [], logprobs: [], sum_logprob: 0 })
})

describe('control characters reach no terminal', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/
  const typed = '\u001b[31mred\u0007\u009b2J\r'

  test('of a model and of a prompt, in text and in JSON', async () => {
    const ids = tokenizer.encode('\u001b')
    expect(ids).toHaveLength(1)
    const args = ['--model', await tinyModel('hostile', {}, alwaysSays(ids[0])), '--max-new-tokens', '4']
    const data = lines([{ prompt: typed }, { prompt: user(typed) }])
    const [streamed, listed, json, chatted] = await Promise.all([
      plumb(['generate', ...args, '--prompt', typed]),
      plumb(['generate', ...args, '--data', '-'], data),
      plumb(['generate', ...args, '--data', '-', '--json'], data),
      plumb(['chat', ...args], `${typed}\n`),
    ])
    for (const { status, stdout, stderr } of [streamed, listed, json, chatted]) {
      expect(status, stderr).toBe(0)
      expect(stdout).not.toMatch(control)
      expect(stderr).not.toMatch(control)
    }
    expect(streamed.stdout).toBe(`${'\\x1b'.repeat(4)}\n`)
    expect(listed.stdout).toContain('\\x1b[31mred\\x07\\x9b2J\\x0d')
    expect(chatted.stdout).toContain('\\x1b'.repeat(4))
    const [line] = json.stdout.split('\n')
    expect(JSON.parse(line)).toMatchObject({ prompt: typed, completion: '\u001b'.repeat(4) })
  })
})

describe('refused with one message, the next step and nothing on stdout', () => {
  async function refusal(args: readonly string[], words: RegExp, stdin?: string): Promise<void> {
    const { status, stdout, stderr } = await plumb(args, stdin)
    expect(status, stderr).toBeGreaterThan(0)
    expect(status, stderr).not.toBe(70)
    expect(stdout).toBe('')
    expect(stderr).toMatch(words)
    expect(stderr.match(/^error\[/gm)).toHaveLength(1)
    expect(stderr).not.toMatch(/^\s+at /m)
  }

  test.each<[string, string[], RegExp, string?]>([
    [
      'a missing file',
      ['generate', '--data', 'promts.jsonl'],
      /DATA_MISSING.*promts\.jsonl[\s\S]*Did you mean prompts\.jsonl/,
    ],
    ['an empty file', ['generate', '--data', '-'], /DATA_EMPTY.*stdin/, ''],
    ['broken JSON', ['generate', '--data', '-'], /DATA_JSON.*stdin:2:/, '{"prompt":"a"}\n{"prompt":\n'],
    [
      'a misspelt column',
      ['generate', '--data', '-'],
      /stdin:1.*"prompt" is missing[\s\S]*Rename the column "promt"/,
      '{"promt":"a"}',
    ],
    [
      'a column of another type',
      ['generate', '--data', '-'],
      /DATA_COLUMN_TYPE.*stdin:1.*"prompt".*the number 5/,
      '{"prompt":5}',
    ],
    ['a message without its text', ['generate', '--data', '-'], /stdin:1.*"prompt"/, '{"prompt":[{"role":"user"}]}'],
    [
      'text beside messages',
      ['score', '--data', '-'],
      /DATA_KINDS_DIFFER.*:1/,
      lines([{ prompt: 'a', completion: user('b') }]),
    ],
    ['no prompt', ['generate'], /USAGE_MISSING[\s\S]*--prompt/],
    ['two prompts', ['generate', '--prompt', 'a', '--data', 'b'], /USAGE_CONFLICT.*both given/],
    [
      'an unknown flag',
      ['generate', '--prompt', 'a', '--temprature', '1'],
      /--temprature[\s\S]*Did you mean --temperature/,
    ],
    ['a negative temperature', ['generate', '--prompt', 'a', '--temperature', '-1'], /temperature/],
    ['no new tokens', ['generate', '--prompt', 'a', '--max-new-tokens', '0'], /max-new-tokens/],
    ['an impossible nucleus', ['generate', '--prompt', 'a', '--top-p', '0'], /top-p/],
    ['an empty stop text', ['generate', '--prompt', 'a', '--stop', ''], /stop/],
    ['a model that is not there', ['generate', '--prompt', 'a', '--model', './nowhere'], /nowhere/],
  ])('%s', async (_name, args, words, stdin) => refusal(args, words, stdin))

  test('prompts and rows that do not fit the model are named by their lines', async () => {
    const tiny = ['--model', await tinyModel('short', {}, alwaysSays(100))]
    const long = 'word '.repeat(70)
    const data = `{"prompt":"a"}\n\n${JSON.stringify({ prompt: long })}\n`
    await refusal(
      ['generate', ...tiny, '--data', '-', '--max-new-tokens', '4'],
      /PROMPT_TOO_LONG.*stdin:3.*4 new.*64/,
      data,
    )
    await refusal(
      ['generate', ...tiny, '--prompt', 'a', '--max-new-tokens', '64'],
      /PROMPT_TOO_LONG.*the prompt has 1 /,
    )
    await refusal(['generate', ...tiny, '--prompt', ''], /EMPTY_PROMPT[\s\S]*hint/)
    const row = lines([
      { prompt: 'a', completion: 'b' },
      { prompt: 'a', completion: long },
    ])
    await refusal(['score', ...tiny, '--data', '-'], /SEQUENCE_TOO_LONG.*stdin:2 has \d+ tokens.*64/, row)
    await refusal(['score', ...tiny, '--data', '-'], /EMPTY_PROMPT.*stdin:1/, lines([{ prompt: '', completion: 'b' }]))
  })

  test('models of the wrong kind', async () => {
    const policy = await tinyModel('policy', {}, alwaysSays(100))
    const reward = await tinyModel('reward', {}, alwaysSays(100), 1)
    const two = await tinyModel('two-labels', {}, alwaysSays(100), 2)
    const row = lines([{ prompt: 'a', completion: 'b' }])
    await refusal(
      ['generate', '--model', reward, '--prompt', 'a', '--max-new-tokens', '4'],
      /NOT_A_LANGUAGE_MODEL[\s\S]*--reward-model/,
    )
    for (const wrong of [policy, two])
      await refusal(
        ['score', '--model', policy, '--reward-model', wrong, '--data', '-'],
        /NOT_A_REWARD_MODEL[\s\S]*one label/,
        row,
      )
  })

  test('model files that are missing or cut off', async () => {
    const generate = ['generate', '--prompt', 'a', '--model']
    const bare = join(folder, 'bare')
    await mkdir(bare)
    await writeFile(join(bare, 'config.json'), '{"model_type":"llama"}')
    await refusal([...generate, bare], /MODEL_WITHOUT_WEIGHTS/)

    const cut = await tinyModel('cut', {}, alwaysSays(100))
    await truncate(join(folder, cut, 'model.safetensors'), 5000)
    await refusal([...generate, `./${cut}`], /model\.safetensors/)

    const gguf = join(folder, 'cut.gguf')
    await copyFile(model, gguf)
    for (const bytes of [40_000_000, 1000, 10]) {
      await truncate(gguf, bytes)
      await refusal([...generate, gguf], /cut\.gguf/)
    }
  })

  test('with --json the error is the one line on stdout', async () => {
    const { status, stdout } = await plumb(['generate', '--data', 'promts.jsonl', '--json'])
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'DATA_MISSING', hint: expect.stringContaining('prompts') },
    })
  })
})
