import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { defineCommand } from './command.ts'
import { resolveConfig } from './config.ts'
import { saveResolvedConfig } from './config-file.ts'
import { commandHelp } from './help.ts'

const sample = defineCommand({
  name: 'sample',
  summary: 'a command with every kind of field',
  examples: [{ line: 'plumb sample DATA --model tiny', does: 'run it' }],
  positionals: ['data'],
  config: z.object({
    model: z.string().min(1).describe('model to run'),
    data: z.string().optional().describe('file of rows'),
    max_steps: z.number().int().min(1).default(100).describe('steps of training'),
    learning_rate: z.number().gt(0).max(1).default(3e-6).describe('size of a step'),
    layers: z.array(z.string()).default(['q_proj', 'v_proj']).describe('layers to adapt'),
    top_p: z.number().min(0).max(1).nullable().default(null).describe('nucleus'),
    schedule: z.enum(['constant', 'linear', 'cosine']).default('linear').describe('shape of the learning rate'),
    shuffle: z.boolean().default(true).describe('shuffle the rows'),
    dry_run: z.boolean().default(false).describe('stop before the first step'),
    seeds: z.array(z.number().int()).default([]).describe('seeds to run'),
    stop: z.array(z.string()).meta({ commas: false }).default([]).describe('texts that end a completion'),
    batch: z
      .union([z.literal('auto'), z.number().int().min(1)])
      .default('auto')
      .describe('rows in a batch'),
  }),
  run() {},
})

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plumb-config-'))
})

const resolve = (...args: string[]) => resolveConfig(sample, args, folder)

async function failure(...args: string[]): Promise<PlumblineError> {
  const error = await resolve(...args).catch((caught) => caught)
  expect(error).toBeInstanceOf(PlumblineError)
  return error
}

async function yaml(text: string): Promise<string> {
  const name = `c${Math.random().toString(36).slice(2)}.yaml`
  await writeFile(join(folder, name), text)
  return name
}

test('both spellings, values after a space or an equals sign, the last one wins', async () => {
  expect(await resolve('--model', 'm', '--max-steps', '5')).toMatchObject({ model: 'm', max_steps: 5 })
  expect(await resolve('--model=m', '--max_steps=5')).toMatchObject({ max_steps: 5 })
  expect(await resolve('--model=m', '--max_steps=5', '--max-steps', '7')).toMatchObject({ max_steps: 7 })
  expect(await resolve('--model=a=b', '--learning-rate', '1e-5')).toMatchObject({ model: 'a=b', learning_rate: 1e-5 })
})

test('booleans: bare, negated, with a word; other words stay positional', async () => {
  expect(await resolve('--model=m', '--dry-run', '--no-shuffle')).toMatchObject({ dry_run: true, shuffle: false })
  expect(await resolve('--model=m', '--dry_run', 'false', '--shuffle=no')).toMatchObject({
    dry_run: false,
    shuffle: false,
  })
  expect(await resolve('--model=m', '--dry-run', 'rows.jsonl')).toMatchObject({ dry_run: true, data: 'rows.jsonl' })
})

test('lists: repeated, with commas, as JSON; text lists may keep their commas', async () => {
  expect(await resolve('--model=m', '--seeds', '1,2', '--seeds', '-3')).toMatchObject({ seeds: [1, 2, -3] })
  expect(await resolve('--model=m', '--stop', ',', '--stop', 'a, b')).toMatchObject({ stop: [',', 'a, b'] })
  expect(await resolve('--model=m', '--stop', '["x", "[y]"]')).toMatchObject({ stop: ['x', '[y]'] })
  expect(await resolve('--model=m', '--batch', '4')).toMatchObject({ batch: 4 })
  expect(await resolve('--model=m', '--top-p', 'null')).toMatchObject({ top_p: null })
})

test('text that looks like a number or a boolean stays text where text is wanted', async () => {
  expect(await resolve('--model', '5')).toMatchObject({ model: '5' })
  expect(await resolve('--model', 'true', '--', '--odd')).toMatchObject({ model: 'true', data: '--odd' })
})

test('flags win over the file, the file over the defaults', async () => {
  const file = await yaml('# note\nmodel: from-file\nmax-steps: 5\nlearning_rate: 1e-5\n')
  const config = await resolve('--config', file, '--max-steps', '7')
  expect(config).toMatchObject({ model: 'from-file', max_steps: 7, learning_rate: 1e-5, schedule: 'linear' })
})

test('unknown flags and keys name the nearest', async () => {
  expect(await failure('--model=m', '--max-step', '5')).toMatchObject({
    code: 'USAGE_UNKNOWN_FLAG',
    hint: 'Did you mean --max-steps?',
  })
  const file = await yaml('model: m\n\nlearning_rat: 1\n')
  const error = await failure('--config', file)
  expect(error.message).toContain(`${file}:3`)
  expect(error.hint).toBe('Did you mean learning_rate?')
})

test('a key that is given twice is refused with both lines, in either spelling', async () => {
  const file = await yaml('model: m\nmax-steps: 5\n# note\nmax_steps: 7\n')
  expect(await failure('--config', file)).toMatchObject({
    code: 'USAGE_DUPLICATE_KEY',
    message: `${file}:4: the key "max_steps" is given twice, first on line 2.`,
  })
  const same = await yaml('model: a\nmodel: a\n')
  expect((await failure('--config', same)).message).toBe(`${same}:2: the key "model" is given twice, first on line 1.`)
})

test('an impossible value says field, value, what is allowed, and where it came from', async () => {
  expect((await failure('--model=m', '--max-steps', '0')).message).toBe(
    'max_steps: must be an integer, at least 1, got 0 (from --max-steps).',
  )
  expect((await failure('--model=m', '--schedule', 'cosin')).message).toBe(
    'schedule: must be constant, linear or cosine, got "cosin" (from --schedule).',
  )
  const file = await yaml('model: m\nseeds:\n  - 1\n  - two\n')
  expect((await failure('--config', file)).message).toBe(
    `seeds[1]: must be a list of integers, got "two" (from ${file}:3).`,
  )
  expect((await failure('--model=m', '--learning-rate', 'NaN')).message).toContain('got "NaN"')
})

test('what is missing comes with an example; words without a place are refused', async () => {
  expect(await failure()).toMatchObject({
    code: 'USAGE_MISSING',
    message: 'plumb sample needs --model.',
    hint: 'For example: plumb sample DATA --model tiny',
  })
  expect(await failure('--model')).toMatchObject({ code: 'USAGE_FLAG_VALUE' })
  expect(await failure('--model', '--max-steps', '5')).toMatchObject({ code: 'USAGE_FLAG_VALUE' })
  expect(await failure('--model=m', 'a', 'b')).toMatchObject({ code: 'USAGE_EXTRA_WORD' })
})

test('config files that are not one: missing, broken, a list, another command, an alias bomb', async () => {
  await writeFile(join(folder, 'train.yaml'), 'model: m\n')
  expect((await failure('--config', 'trian.yaml')).hint).toBe('Did you mean train.yaml?')
  const broken = await yaml('model: m\nseeds: [1, 2\n')
  expect((await failure('--config', broken)).message).toMatch(new RegExp(`^${broken}:[23]: not YAML`))
  expect((await failure('--config', await yaml('- a\n- b\n'))).code).toBe('USAGE_CONFIG_SYNTAX')
  expect((await failure('--config', await yaml('plumbline: {command: other}\nmodel: m\n'))).code).toBe(
    'USAGE_CONFIG_COMMAND',
  )
  const levels = Array.from({ length: 12 }, (_, i) => `  - &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`)
  const bomb = await yaml(['model: &l0 m', 'stop:', ...levels].join('\n'))
  expect((await failure('--config', bomb)).code).toBe('USAGE_CONFIG_SYNTAX')
})

test('a config in another encoding, binary, or a folder is told as such, with the next step', async () => {
  const encoded = async (bytes: Uint8Array) => {
    const name = await yaml('')
    await writeFile(join(folder, name), bytes)
    return name
  }
  for (const bytes of [
    Buffer.from('\ufeffmodel: m\n', 'utf16le'),
    Buffer.from('model: m\n', 'utf16le'),
    Buffer.from('model: caf\xe9\n', 'latin1'),
    new Uint8Array(64),
  ]) {
    const name = await encoded(bytes)
    expect(await failure('--config', name)).toMatchObject({
      code: 'USAGE_CONFIG_ENCODING',
      message: `${name}: not UTF-8 text.`,
      hint: expect.stringContaining('Save it as UTF-8'),
    })
  }
  expect(await failure('--config', '.')).toMatchObject({ code: 'USAGE_CONFIG_FILE', message: '.: is a folder.' })
  expect(await failure('--config=')).toMatchObject({ code: 'USAGE_CONFIG_MISSING' })
  expect((await failure('--config', await yaml('just words'))).hint).toContain('key: value')
  expect(await failure('--config', await yaml(`a: ${'x'.repeat(1 << 20)}`))).toMatchObject({
    message: expect.stringContaining('more than the 1048576 that are read'),
  })
  expect(await resolve('--config', await yaml('\ufeffmodel: m\r\nmax_steps: 3\r\n'))).toMatchObject({ max_steps: 3 })
})

test('a saved config reads back equal', async () => {
  const number = fc.double({ min: 1e-300, max: 1, noNaN: true, minExcluded: true })
  const configArb = fc.record({
    model: fc.string({ minLength: 1, unit: 'grapheme' }),
    data: fc.string({ unit: 'binary' }),
    max_steps: fc.integer({ min: 1 }),
    learning_rate: number,
    layers: fc.array(fc.string({ unit: 'binary' })),
    top_p: fc.option(number),
    schedule: fc.constantFrom('constant', 'linear', 'cosine'),
    shuffle: fc.boolean(),
    dry_run: fc.boolean(),
    seeds: fc.array(fc.integer()),
    stop: fc.array(
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('null', '1e5', '- a', '#', 'yes', '\n', '\r\n')),
    ),
    batch: fc.oneof(fc.constant('auto'), fc.integer({ min: 1 })),
  })
  await fc.assert(
    fc.asyncProperty(configArb, async (config) => {
      await saveResolvedConfig(folder, 'sample', config)
      expect(await resolve('--config', 'config.yaml')).toEqual(config)
    }),
    { numRuns: 100 },
  )
  expect(await readFile(join(folder, 'config.yaml'), 'utf8')).toContain('command: sample')
  expect((await readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([])
})

test('help is made from the schema', () => {
  expect(commandHelp(sample)).toMatchInlineSnapshot(`
    "plumb sample: a command with every kind of field

    Usage: plumb sample [DATA] [flags]

    Flags
      --model TEXT       model to run (required)
      --data TEXT        file of rows
      --max-steps N      steps of training (≥ 1; default 100)
      --learning-rate N  size of a step (> 0, ≤ 1; default 3e-6)
      --layers TEXT…     layers to adapt (default q_proj,v_proj)
      --top-p N          nucleus (≥ 0, ≤ 1)
      --schedule CHOICE  shape of the learning rate (one of constant, linear, cosine; default linear)
      --[no-]shuffle     shuffle the rows (default true)
      --dry-run          stop before the first step (default false)
      --seeds N…         seeds to run
      --stop TEXT…       texts that end a completion
      --batch N          rows in a batch ("auto" or an integer, at least 1; default auto)

    On every command
      --config FILE  YAML file with the same keys as the flags (max_steps: 5); flags win over it
      --json         JSON lines on stdout, everything else on stderr
      --quiet        only results and errors
      --verbose      also causes and stack traces
      --help, -h     this text
      --version      the version

    Examples
      # run it
      plumb sample DATA --model tiny
    "
  `)
})

test('in a list of objects, the part that is wrong is named', async () => {
  const places = z.array(
    z.strictObject({
      name: z
        .string()
        .regex(/^[a-z]+$/, 'must be of small letters')
        .describe('what it is called'),
      weight: z.number().min(0).default(1).describe('its share'),
    }),
  )
  const listing = defineCommand({
    ...sample,
    config: z.object({ places: places.default([]).describe('where to go') }),
    positionals: [],
    run() {},
  })
  const told = async (text: string) => {
    const file = await yaml(text)
    const { message, hint } = (await resolveConfig(listing, ['--config', file], folder).catch(
      (error) => error,
    )) as PlumblineError
    return `${message.replace(file, 'FILE')} ${hint}`
  }
  expect(await told('places:\n  - name: a\n    weight: -1\n')).toBe(
    'places[0.weight]: must be a number, at least 0, got -1 (from FILE:2). weight: its share.',
  )
  expect(await told('places:\n  - name: A\n')).toBe(
    'places[0.name]: must be of small letters, got "A" (from FILE:2). name: what it is called.',
  )
  expect(await told('places:\n  - name: a\n    wieght: 1\n')).toBe(
    'places[0]: there is no key "wieght" (from FILE:2). Did you mean weight?',
  )
  expect(await told('places:\n  - weight: 1\n')).toMatch(/^places\[0.name\]: must be text, got undefined/)
  expect(await told('places: 5\n')).toMatch(/^places: must be a list of objects, got 5/)
})
