import { cp, mkdir, mkdtemp, open, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { changedInputs, checkInputs, describeModel, describeRows } from './run-inputs.ts'

let base: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'plumbline-inputs-'))
})
afterEach(() => rm(base, { recursive: true, force: true }))

test('rows: the order of keys does not matter, that of rows and all values do', () => {
  const rows = [
    { prompt: [{ role: 'user', content: 'a' }], chosen: 'b' },
    { prompt: 'c', chosen: 'd' },
  ]
  const of = (list: readonly unknown[]) => describeRows('x', list).sha256
  expect(of([{ chosen: 'b', prompt: [{ content: 'a', role: 'user' }] }, rows[1]])).toBe(of(rows))
  expect(of(rows.toReversed())).not.toBe(of(rows))
  expect(of([rows[0], { prompt: 'c', chosen: 'd ' }])).not.toBe(of(rows))
  expect(of([['a'], ['b']])).not.toBe(of([['a', 'b']]))
})

test('a model: a copy is the same; no byte of the configuration or the weights may differ; logs do not count', async () => {
  const model = join(base, 'model')
  await mkdir(model)
  await writeFile(join(model, 'config.json'), '{}')
  await writeFile(join(model, 'model.safetensors'), Buffer.alloc(9 << 20))
  const { sha256 } = await describeModel(model)
  const copy = join(base, 'copy')
  await cp(model, copy, { recursive: true })
  await utimes(join(copy, 'model.safetensors'), 1, 1)
  await writeFile(join(copy, 'notes.txt'), 'mine')
  expect((await describeModel(copy)).sha256).toBe(sha256)
  const weights = await open(join(copy, 'model.safetensors'), 'r+')
  for (const position of [0, 1_000_003, (9 << 20) - 1]) {
    await weights.write(Buffer.from([1]), 0, 1, position)
    expect((await describeModel(copy)).sha256).not.toBe(sha256)
    await weights.write(Buffer.from([0]), 0, 1, position)
  }
  await weights.close()
  expect((await describeModel(copy)).sha256).toBe(sha256)
  await writeFile(join(copy, 'config.json'), '[]')
  expect((await describeModel(copy)).sha256).not.toBe(sha256)
  expect((await describeModel(join(model, 'config.json'))).sha256).not.toBe(sha256)
})

test('what differs is named', () => {
  const a = { path: 'a.jsonl', sha256: '1', rows: 2 }
  const before = { data: a, model: { path: 'm', sha256: '5' }, eval_data: a }
  const lines = changedInputs(before, {
    data: { ...a, sha256: '2', rows: 3 },
    model: { path: 'm', sha256: '6' },
    prompts: a,
  })
  expect(lines).toEqual([
    'data: a.jsonl had 2 rows in the run, a.jsonl has 3 now',
    'model: m changed',
    'eval_data: a.jsonl in the run, not given now',
    'prompts: not given in the run, a.jsonl now',
  ])
  expect(changedInputs({ data: a }, { data: { ...a, path: 'moved.jsonl' } })).toEqual([])
  const check = () => checkInputs('runs/a', { data: a }, { data: { ...a, sha256: '2' } }, 'Go back.')
  expect(check).toThrow(expect.objectContaining({ code: 'INPUTS_DIFFER', hint: 'Go back.' }))
  expect(check).toThrow('data: a.jsonl changed, some of the 2 rows')
})
