import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { PlumblineError } from '@plumbline/contracts'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { textOrMessages } from './fields-of-models.ts'
import { type JsonLinesOptions, readJsonLines } from './json-lines.ts'
import { createMemoryWorld } from './memory-world.ts'

const rowSchema = z.object({ prompt: z.string().min(1), weight: z.number().optional() })

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plumb-rows-'))
})

async function read(text: string | Uint8Array, name = 'rows.jsonl', options: JsonLinesOptions = {}) {
  await writeFile(join(folder, name), text)
  return collect(readJsonLines(name, rowSchema, createMemoryWorld({}, { cwd: folder }).world, options))
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

async function failure(...args: Parameters<typeof read>): Promise<PlumblineError> {
  const error = await read(...args).catch((caught) => caught)
  expect(error).toBeInstanceOf(PlumblineError)
  return error
}

test('rows come back with their lines, from a file, gzip or stdin', async () => {
  const text = '\ufeff{"prompt":"a","extra":1}\r\n\n{"prompt":"é\u2028","weight":2}'
  const rows = [
    { line: 1, row: { prompt: 'a' } },
    { line: 3, row: { prompt: 'é\u2028', weight: 2 } },
  ]
  expect(await read(text)).toEqual(rows)
  expect(await read(gzipSync(text), 'rows.jsonl.gz')).toEqual(rows)
  expect(await collect(readJsonLines('-', rowSchema, createMemoryWorld({}, { stdin: text }).world))).toEqual(rows)
})

test('any rows survive, wherever the chunks are cut', async () => {
  const rowArb = fc.record({ prompt: fc.string({ minLength: 1, unit: 'binary' }), weight: fc.integer() })
  await fc.assert(
    fc.asyncProperty(
      fc.array(rowArb, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      async (rows, size) => {
        const bytes = Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n'))
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        )
        const stdin = Object.assign(createMemoryWorld().world.stdin, {
          async *[Symbol.asyncIterator]() {
            yield* chunks
          },
        })
        const world = { ...createMemoryWorld().world, stdin }
        const found = await collect(readJsonLines('-', rowSchema, world))
        expect(found.map(({ row }) => row)).toEqual(rows)
      },
    ),
  )
})

test('each fault names file, line and what to do', async () => {
  expect(await failure('{"prompt":"a"}\n{"prompt" "b"}\n')).toMatchObject({
    code: 'DATA_JSON',
    message: 'rows.jsonl:2:11: broken JSON, expected ":" near "{\\"prompt\\" \\"b\\"}".',
  })
  expect(await failure('{"promt":"a"}\n')).toMatchObject({
    code: 'DATA_COLUMN_MISSING',
    message: 'rows.jsonl:1: the column "prompt" is missing.',
    hint: 'Rename the column "promt" to "prompt".',
  })
  expect((await failure('{"prompt":5}')).message).toBe(
    'rows.jsonl:1: the column "prompt": must be text, not empty, got the number 5.',
  )
  expect((await failure('[1]\n')).message).toContain('this one is a list')
  expect(await failure('\n \n')).toMatchObject({ code: 'DATA_EMPTY' })
  expect(await failure('')).toMatchObject({ code: 'DATA_EMPTY' })
  expect(await failure(Buffer.from([0x7b, 0xff, 0xfe]))).toMatchObject({ code: 'DATA_ENCODING' })
  expect(await failure(`{"prompt":"${'x'.repeat(200)}"}`, 'rows.jsonl', { maxLineBytes: 100 })).toMatchObject({
    code: 'DATA_LONG_LINE',
  })
})

test.each([
  ['UTF-16 with a mark', Buffer.from('\ufeff{"prompt":"a"}\n', 'utf16le'), 'DATA_ENCODING', 'UTF-16'],
  ['UTF-16 without a mark', Buffer.from('{"prompt":"a"}\n', 'utf16le'), 'DATA_JSON', 'UTF-16 or binary'],
  ['zeros', new Uint8Array(4096), 'DATA_JSON', 'NUL bytes'],
  ['one JSON list over many lines', '[\n  {"prompt":"a"}\n]\n', 'DATA_JSON', 'a line of its own'],
  ['carriage returns alone', '{"prompt":"a"}\r{"prompt":"b"}\r', 'DATA_JSON', 'carriage return'],
  ['an empty text', '{"prompt":""}\n', 'DATA_COLUMN_TYPE', 'Mend "prompt" on that line'],
])('%s: the hint says what it is', async (_, text, code, words) => {
  expect(await failure(text)).toMatchObject({ code, hint: expect.stringContaining(words) })
})

test('an empty list of messages is told as one', async () => {
  const schema = z.object({ prompt: z.union([z.string(), z.array(z.looseObject({ role: z.string() })).min(1)]) })
  const { world } = createMemoryWorld({}, { stdin: '{"prompt":[]}' })
  await expect(collect(readJsonLines('-', schema, world))).rejects.toMatchObject({
    message: expect.stringContaining('got an empty list'),
    hint: expect.stringContaining('at least one {"role"'),
  })
})

test('of messages that lack something, the message and its part are named', async () => {
  const { world } = createMemoryWorld({}, { stdin: '{"prompt":[{"role":"user","content":"a"},{"role":"user"}]}' })
  const rows = readJsonLines('-', z.object({ prompt: textOrMessages }), world)
  await expect(collect(rows)).rejects.toMatchObject({
    message: 'stdin:1: "prompt.1.content" in the column "prompt": must be text, got nothing.',
    hint: expect.stringContaining('at least one {"role"'),
  })
})

test('a missing file names the nearest, a folder is refused', async () => {
  await writeFile(join(folder, 'prompts.jsonl'), '{}')
  const { world } = createMemoryWorld({}, { cwd: folder })
  await expect(collect(readJsonLines('promts.jsonl', rowSchema, world))).rejects.toMatchObject({
    code: 'DATA_MISSING',
    hint: 'Did you mean prompts.jsonl?',
  })
  await expect(collect(readJsonLines('', rowSchema, world))).rejects.toMatchObject({
    code: 'DATA_MISSING',
    message: 'The name of the data file is empty.',
  })
  await expect(collect(readJsonLines('.', rowSchema, world))).rejects.toMatchObject({ code: 'DATA_FOLDER' })
})

test('gzip that is cut short, not gzip, or a bomb', async () => {
  const whole = gzipSync('{"prompt":"a"}\n'.repeat(1000))
  expect(await failure(whole.subarray(0, whole.length - 20), 'a.jsonl.gz')).toMatchObject({ code: 'DATA_GZIP' })
  expect(await failure('{"prompt":"a"}', 'a.jsonl.gz')).toMatchObject({ code: 'DATA_GZIP' })
  const bomb = gzipSync(`{"prompt":"${'x'.repeat(1 << 20)}"}\n`.repeat(80))
  expect(await failure(bomb, 'b.jsonl.gz')).toMatchObject({ code: 'DATA_GZIP_BOMB' })
})
