import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findDuplicateKey, readJsonObject } from './json-file.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'json-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('text that JSON.stringify made has no key twice', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(2), (value, indent) => {
      expect(findDuplicateKey(JSON.stringify(value, null, indent))).toBeUndefined()
    }),
  )
})

test.each([
  ['{"a":1,"b":{"a":2},"a":3}', 'a'],
  ['{"x":[{"k":"\\"k\\":", "k" : 1}]}', 'k'],
  ['{"\\u0061":1,"a":2}', 'a'],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
])('finds the key twice in %s', (json, key) => expect(findDuplicateKey(json)).toBe(key))

test('broken JSON is told with its line', async () => {
  const path = join(folder, 'a.json')
  await writeFile(path, '{\n  "a": 1,\n  b: 2\n}')
  await expect(readJsonObject(path)).rejects.toMatchObject({
    code: 'JSON_BROKEN',
    message: expect.stringContaining('line 3'),
  })
  await writeFile(path, '{"a": [1, 2')
  await expect(readJsonObject(path)).rejects.toMatchObject({
    code: 'JSON_BROKEN',
    message: `${path} is not valid JSON: line 1, expected "," or "]".`,
  })
  // V8 names no position in this one.
  await writeFile(path, '{\n"a": 1,\n\n"b" "c"\n}')
  await expect(readJsonObject(path)).rejects.toMatchObject({ message: expect.stringContaining('line 4, expected ":"') })
})

test('every refusal of a JSON file says what to do next', async () => {
  const path = join(folder, 'b.json')
  const hint = expect.stringContaining('again')
  await writeFile(path, '[1]')
  await expect(readJsonObject(path)).rejects.toMatchObject({ code: 'JSON_BROKEN', hint })
  await writeFile(path, '{')
  await expect(readJsonObject(path)).rejects.toMatchObject({ code: 'JSON_BROKEN', hint })
  await writeFile(path, ' \n')
  await expect(readJsonObject(path)).rejects.toMatchObject({ code: 'FILE_EMPTY', hint })
  await truncate(path, 300e6)
  await expect(readJsonObject(path)).rejects.toMatchObject({ code: 'FILE_TOO_LARGE', hint })
  expect(await readJsonObject(join(folder, 'none.json'))).toBeUndefined()
})
