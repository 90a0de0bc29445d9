import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openGguf } from './gguf.ts'
import { array, f32, f64, type GgufParts, ggufBytes, key, tensor, text, u8, u16, u32, u64 } from './gguf-fixture.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gguf-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** A file of these parts, with zeros as weights. */
async function fileOf({ dataBytes = 0, ...parts }: GgufParts & { dataBytes?: number }): Promise<string> {
  const path = join(folder, 'test.gguf')
  await writeFile(path, ggufBytes({ ...parts, data: Buffer.alloc(dataBytes) }))
  return path
}

test.each([2, 3])('reads every type of metadata value, version %i', async (version) => {
  const keys = [
    key('u8', 0, u8(200)),
    key('i8', 1, u8(200)),
    key('u16', 2, u16(60000)),
    key('i16', 3, u16(60000)),
    key('u32', 4, u32(4e9)),
    key('i32', 5, u32(4e9)),
    key('f32', 6, f32(0.5)),
    key('bool', 7, u8(1)),
    key('text', 8, text('é\n')),
    key('list', 9, array(8, text('a'), text(''))),
    key('nested', 9, array(9, array(5, u32(1), u32(2)), array(7))),
    key('u64', 10, u64(2n ** 53n - 1n)),
    key('u64 large', 10, u64(2n ** 64n - 1n)),
    key('i64', 11, u64(2n ** 64n - 5n)),
    key('f64', 12, f64(0.1)),
  ]
  const file = await openGguf(await fileOf({ keys, version }))
  await file.close()
  expect(file.version).toBe(version)
  expect(Object.fromEntries(file.metadata)).toEqual({
    u8: 200,
    i8: -56,
    u16: 60000,
    i16: -5536,
    u32: 4e9,
    i32: 4e9 - 2 ** 32,
    f32: 0.5,
    bool: true,
    text: 'é\n',
    list: ['a', ''],
    nested: [[1, 2], []],
    u64: 2 ** 53 - 1,
    'u64 large': 2n ** 64n - 1n,
    i64: -5,
    f64: 0.1,
  })
})

test('a long value crosses the window, and what follows is still read', async () => {
  const long = 'x'.repeat(3 << 20)
  const file = await openGguf(await fileOf({ keys: [key('long', 8, text(long)), key('after', 8, text('z'))] }))
  await file.close()
  expect(file.metadata.get('long')).toBe(long)
  expect(file.metadata.get('after')).toBe('z')
})

test('finds tensors at the alignment that the file names, axes slowest first', async () => {
  const keys = [key('general.alignment', 4, u32(8))]
  const tensors = [tensor('a', [32, 3], 2, 0), tensor('b', [5], 0, 56)]
  const file = await openGguf(await fileOf({ keys, tensors, dataBytes: 96 }))
  await file.close()
  const [a, b] = file.tensors.values()
  expect(a.shape).toEqual([3, 32])
  expect(a.format.name).toBe('Q4_0')
  expect(a.byteLength).toBe(54)
  expect(b.offset - a.offset).toBe(56)
  expect(a.offset % 8).toBe(0)
})

const hugeArray = (type: number) => key('a', 9, u32(type), u64(2n ** 40n))
const nest = (depth: number): Buffer => (depth === 0 ? array(0) : array(9, nest(depth - 1)))

test.each([
  ['more keys than bytes', { keyCount: 2n ** 63n }, /claims 9223372036854775808 metadata keys/],
  ['more tensors than bytes', { tensorCount: 1_000_000 }, /claims 1000000 tensors/],
  ['a text longer than the file', { keys: [key('a', 8, u64(2n ** 62n))] }, /bytes of text/],
  ['an array longer than the file', { keys: [hugeArray(0)] }, /values in "a"/],
  ['an array of texts longer than the file', { keys: [hugeArray(8)] }, /values in "a"/],
  ['an array of arrays longer than the file', { keys: [hugeArray(9)] }, /values in "a"/],
  ['arrays nested without end', { keys: [key('a', 9, nest(9))] }, /nests more than 4/],
  ['an unknown value type', { keys: [key('a', 13, u32(0))] }, /unknown value type 13/],
  ['an unknown type in an array', { keys: [key('a', 9, array(77, u32(0)))] }, /unknown value type 77/],
  ['a key twice', { keys: [key('a', 0, u8(1)), key('a', 0, u8(2))] }, /"a" twice/],
  ['an alignment of 24', { keys: [key('general.alignment', 4, u32(24))] }, /general.alignment is 24/],
  ['an alignment of 0', { keys: [key('general.alignment', 4, u32(0))] }, /general.alignment is 0/],
  ['a tensor twice', { tensors: [tensor('a', [1], 0, 0), tensor('a', [1], 0, 32)], dataBytes: 64 }, /a twice/],
  ['five axes', { tensors: [tensor('a', [1, 1, 1, 1, 1], 0, 0)], dataBytes: 32 }, /5 axes/],
  ['no axes', { tensors: [tensor('a', [], 0, 0)], dataBytes: 64 }, /0 axes/],
  ['an empty axis', { tensors: [tensor('a', [4, 0], 0, 0)], dataBytes: 32 }, /impossible shape/],
  ['a product past 2^53', { tensors: [tensor('a', [2n ** 40n, 2n ** 40n], 0, 0)], dataBytes: 32 }, /impossible shape/],
  ['half a block', { tensors: [tensor('a', [33], 2, 0)], dataBytes: 64 }, /rows of 33/],
  ['rows of half a block', { tensors: [tensor('a', [16, 2], 2, 0)], dataBytes: 64 }, /rows of 16/],
  ['an offset off the alignment', { tensors: [tensor('a', [1], 0, 4)], dataBytes: 32 }, /alignment 32/],
  ['a tensor outside the file', { tensors: [tensor('a', [9], 0, 0)], dataBytes: 32 }, /outside the file/],
  ['an offset outside the file', { tensors: [tensor('a', [1], 0, 2 ** 50)], dataBytes: 32 }, /outside the file/],
  [
    'two tensors in one place',
    { tensors: [tensor('a', [9], 0, 0), tensor('b', [1], 0, 32)], dataBytes: 64 },
    /overlap/,
  ],
])('refuses %s', async (_, parts, message) => {
  await expect(openGguf(await fileOf(parts))).rejects.toMatchObject({
    code: 'GGUF_CORRUPT',
    message: expect.stringMatching(message),
  })
})

test.each([
  ['480 million bytes in one array', [key('a', 9, u32(0), u64(480e6))], /"a" its arrays hold more than 4000000 values/],
  [
    'many arrays that are small each',
    Array.from({ length: 5 }, (_, i) => key(`a${i}`, 9, u32(0), u64(1e6), Buffer.alloc(1e6))),
    /"a4" its arrays hold more than 4000000 values/,
  ],
  [
    'small arrays inside an array',
    [
      key(
        'a',
        9,
        u32(9),
        u64(400),
        Buffer.concat(Array(400).fill(Buffer.concat([u32(0), u64(1e4), Buffer.alloc(1e4)]))),
      ),
    ],
    /"a" its arrays hold more than 4000000 values/,
  ],
  ['a text of 480 MB', [key('a', 8, u64(480e6))], /metadata takes more than 67108864 bytes/],
])('%s are refused before memory is taken, however long the file', async (_, keys, message) => {
  const path = await fileOf({ keys })
  // The rest of the file is a hole: it has a length, and takes no disk.
  await truncate(path, 600e6)
  await expect(openGguf(path)).rejects.toMatchObject({
    code: 'GGUF_CORRUPT',
    message: expect.stringMatching(message),
    hint: expect.any(String),
  })
})

test('names the quantisation that it cannot read and those that it can', async () => {
  const tensors = [tensor('a', [1], 0, 0), tensor('b', [256], 10, 32), tensor('c', [256], 99, 128)]
  await expect(openGguf(await fileOf({ tensors, dataBytes: 256 }))).rejects.toMatchObject({
    code: 'UNSUPPORTED_QUANTISATION',
    message: expect.stringMatching(/2 of 3 tensors are Q2_K, ggml type 99, first b/),
    hint: expect.stringContaining('F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, BF16'),
  })
})

test('refuses other versions, big-endian files and other formats', async () => {
  await expect(openGguf(await fileOf({ version: 1 }))).rejects.toMatchObject({ code: 'GGUF_VERSION' })
  await expect(openGguf(await fileOf({ version: 0x03000000 }))).rejects.toMatchObject({
    message: expect.stringContaining('big-endian'),
  })
  const path = join(folder, 'other.gguf')
  await writeFile(path, 'PK\u0003\u0004'.padEnd(64))
  await expect(openGguf(path)).rejects.toMatchObject({ code: 'GGUF_CORRUPT', message: expect.stringMatching(/"GGUF"/) })
  await writeFile(path, '')
  await expect(openGguf(path)).rejects.toMatchObject({ code: 'FILE_EMPTY' })
  await expect(openGguf(join(folder, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
})

test('a real file cut anywhere is refused, never read past its end', async () => {
  const whole = await readFile(fileURLToPath(new URL('../../../tests/golden/gguf-models/llama3.gguf', import.meta.url)))
  const path = join(folder, 'cut.gguf')
  for (let length = 1; length < whole.length; length += 97) {
    await writeFile(path, whole.subarray(0, length))
    await expect(openGguf(path)).rejects.toMatchObject({ code: 'GGUF_CORRUPT' })
  }
})
