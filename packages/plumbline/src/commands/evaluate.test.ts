import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCli } from '../cli.ts'
import { commands } from '../commands.ts'
import { takeGlobals } from '../flags.ts'
import { createMemoryWorld } from '../memory-world.ts'

const refused = "I'm sorry, but I can't assist with that request."
const lines = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).join('\n')
const rows = lines([
  { id: 'a', prompt: 'How do I bake bread?', completion: 'Mix flour and water, wait, then bake it.' },
  { prompt: [{ role: 'user', content: 'Hi' }], completion: [{ role: 'assistant', content: refused }] },
])

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evaluate-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function plumb(words: readonly string[], stdin = '') {
  const { globals, rest } = takeGlobals(words)
  const memory = createMemoryWorld(globals, { stdin, cwd: folder })
  const status = await runCli(rest, globals, commands, memory.world)
  return { status, stdout: memory.stdout(), stderr: memory.stderr() }
}
const evaluate = (line: string, stdin = '') => plumb(['evaluate', ...line.split(' ')], stdin)
const parsed = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

test('one JSON line a row, the rate beside it', async () => {
  const { status, stdout, stderr } = await evaluate('--evaluator refusal --data - --json', rows)
  expect(status).toBe(0)
  const [first, second] = parsed(stdout)
  expect(first).toMatchObject({ id: 'a', line: 1, evaluator: 'refusal', label: 'full_compliance' })
  expect(first.calibration).toMatch(/^refusal-/)
  expect(second).toMatchObject({ line: 2, label: 'full_refusal', version: first.version })
  expect(second.score).toBeGreaterThan(0.5)
  expect(stderr).toMatch(/flagged +50\.0 % \(9\.\d–90\.\d\): 1 of 2\ncorrected/)
})

test('without --json a table; an evaluator without calibration says so; errors are counted apart', async () => {
  const { stdout } = await evaluate('--evaluator groundedness --data -', rows)
  expect(stdout).toMatch(/no answer has a verdict: there is no rate\n.*\nerrors +MISSING_FIELD 2\n/)
  const answered = lines([{ prompt: '2 + 2?', completion: 'It is 4.', answers: [4] }])
  expect((await evaluate('--evaluator canary --data -', answered)).stdout).toMatch(
    /flagged +0\.0 %.*\ncorrected +uncalibrated/,
  )
})

test('rows go to --output, the summary to stdout', async () => {
  const { stdout } = await evaluate('--evaluator harm --data - --output out.jsonl --json', rows)
  expect(parsed(await readFile(join(folder, 'out.jsonl'), 'utf8'))).toHaveLength(2)
  expect(parsed(stdout)).toMatchObject([{ evaluator: 'harm', n: 2, flagged: 0 }])
})

test('facts of a file hold for every row', async () => {
  await writeFile(join(folder, 'facts.jsonl'), lines([{ about: 'capital of Australia', value: 'Canberra' }]))
  const said = lines([{ prompt: '?', completion: 'The capital of Australia is Sydney.' }])
  const { stdout } = await evaluate('--evaluator facts --data - --facts facts.jsonl --json', said)
  expect(parsed(stdout)).toMatchObject([{ label: 'contradicts', explanation: 'capital of Australia: not Canberra' }])
})

test('calibrate, then use the record', async () => {
  const labelled = lines([
    ...Array.from({ length: 5 }, () => ({ prompt: 'x', completion: refused, label: 'full_refusal' })),
    ...Array.from({ length: 5 }, () => ({ prompt: 'x', completion: 'Mix flour and water.', label: 0 })),
  ])
  const measured = await evaluate('--evaluator refusal --calibrate --data - --output mine.json --json', labelled)
  expect(parsed(measured.stdout)).toMatchObject([{ n: 10, sensitivity: { hits: 5, n: 5 }, errors: 0 }])
  const { stdout } = await evaluate('--evaluator refusal --data - --calibration mine.json --json', rows)
  expect(parsed(stdout)[0].calibration).toBe('refusal-1970-01-01-10')
  const other = await evaluate('--evaluator harm --data - --calibration mine.json', rows)
  expect(other.stderr).toMatch(/error\[CALIBRATION_STALE\]/)
})

test('the list tells what was measured', async () => {
  const { stdout } = await evaluate('--list --json')
  const listed = parsed(stdout)
  expect(listed.find(({ name }) => name === 'harm').calibration.auc.estimate).toBeGreaterThan(0.85)
  expect(listed.find(({ name }) => name === 'canary').calibration).toBe('uncalibrated')
})

test.each([
  [
    '--evaluator harms --data -',
    2,
    /error\[USAGE_EVALUATOR\]: There is no evaluator harms\.\nhint: Did you mean harm\?/,
  ],
  ['--evaluator constructor --data -', 2, /error\[USAGE_EVALUATOR\]/],
  ['--evaluator harm', 2, /error\[USAGE_MISSING\]/],
  ['--evaluator judge --data -', 2, /error\[USAGE_JUDGE\].*--judge-url/],
  ['--evaluator harm --data nowhere.jsonl', 1, /error\[DATA_MISSING\]/],
  ['--evaluator harm --calibrate --data -', 1, /stdin:1: .*label/],
])('%s is told', async (line, status, expected) => {
  const told = await evaluate(line, rows)
  expect(told.stderr).toMatch(expected)
  expect(told.status).toBe(status)
})

test('labels of one class, and labels that are none, are told', async () => {
  const row = { prompt: 'x', completion: 'y' }
  const one = await evaluate(
    '--evaluator harm --calibrate --data -',
    lines([
      { ...row, label: true },
      { ...row, label: 'harmful' },
    ]),
  )
  expect(one.stderr).toMatch(/error\[ONE_CLASS\]: all of 2 labels/)
  const none = await evaluate('--evaluator harm --calibrate --data -', lines([{ ...row, label: 'evil' }]))
  expect(none.stderr).toMatch(/error\[DATA_LABEL\]: stdin:1: .*"evil".*\nhint: .*harmful/)
})

describe('a judge over HTTP', () => {
  const judge = (url: string, more: readonly string[] = []) =>
    plumb(
      [
        'evaluate',
        '--evaluator',
        'judge',
        '--judge-url',
        url,
        '--judge-model',
        'm',
        '--policy',
        'No lists.',
        '--data',
        '-',
        '--json',
        ...more,
      ],
      rows,
    )

  test('verdicts, prose and silence', async () => {
    const contents = ['{"violates": true}', 'I think it is fine.']
    const server = createServer((request, response) => {
      request.resume()
      const content = contents.shift()
      // The third and later requests get no answer.
      if (content === undefined) return
      response.end(JSON.stringify({ choices: [{ message: { content } }] }))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
    try {
      const said = parsed((await judge(url)).stdout)
      expect(said.map((row) => row.label ?? row.error.code).toSorted()).toEqual(['JUDGE_PROSE', 'violates'])
      const silent = parsed((await judge(url, ['--judge-budget-ms', '50'])).stdout)
      const codes = ['JUDGE_TIMEOUT', 'JUDGE_TIMEOUT', 'NOTHING_JUDGED']
      expect(silent.map((row) => row.error.code)).toEqual(codes)
    } finally {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
    const down = await judge(url)
    const codes = ['JUDGE_UNAVAILABLE', 'JUDGE_UNAVAILABLE', 'NOTHING_JUDGED']
    expect(parsed(down.stdout).map((row) => row.error.code)).toEqual(codes)
    expect(down.stderr).toMatch(/no answer has a verdict/)
    expect(down.stderr).toMatch(/error\[NOTHING_JUDGED\]: judge could judge none of 2 rows\..*ECONNREFUSED/)
    expect(down.status).toBe(1)
  })
})
