import { execFile } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSafetensors } from './safetensors.ts'
import { writeSafetensors } from './safetensors-write.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** A file with this header and this many bytes of data. */
async function fileOf(header: string | object, data: Uint8Array | number = 0): Promise<string> {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const path = join(folder, `${Math.abs(json.length)}-${json.toString('base64url').slice(0, 60)}.safetensors`)
  await writeFile(path, Buffer.concat([length, json, typeof data === 'number' ? Buffer.alloc(data) : data]))
  return path
}

const entry = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
})
const corrupt = (message: RegExp) => ({ code: 'SAFETENSORS_CORRUPT', message: expect.stringMatching(message) })

test('what is written is read back bit for bit', async () => {
  const bits = fc.uint32Array({ minLength: 0, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.tuple(fc.string({ minLength: 1 }), bits), { selector: ([name]) => name }),
      async (all) => {
        const parameters = all
          .filter(([name]) => name !== '__metadata__')
          .map(([name, values]) => {
            const data = new Float32Array(new SharedArrayBuffer(values.byteLength))
            new Uint32Array(data.buffer).set(values)
            return { name, shape: [values.length], data }
          })
        const path = join(folder, 'round-trip.safetensors')
        await writeSafetensors(path, parameters)
        const file = await openSafetensors(path)
        expect(file.metadata).toEqual({ format: 'pt' })
        expect(file.tensors.size).toBe(parameters.length)
        for (const { name, shape, data } of parameters) {
          const read = await file.readTensor(name)
          expect(read.shape).toEqual(shape)
          expect(new Uint32Array(read.data.buffer)).toEqual(new Uint32Array(data.buffer))
        }
        await file.close()
      },
    ),
    { numRuns: 40 },
  )
})

test('F16 and BF16 are converted, over many chunks', async () => {
  const count = 3_000_001
  const halves = new Uint16Array(2 * count)
  for (let i = 0; i < count; i++) {
    halves[i] = 0x3c00 + (i % 1024) // 1 + i/1024 as float16
    halves[count + i] = 0x3f80 + (i % 128) // 1 + i/128 as bfloat16
  }
  const header = { half: entry('F16', [count], 0, 2 * count), brain: entry('BF16', [count, 1], 2 * count, 4 * count) }
  const file = await openSafetensors(await fileOf(header, new Uint8Array(halves.buffer)))
  const half = await file.readTensor('half')
  const brain = await file.readTensor('brain')
  await file.close()
  expect(brain.shape).toEqual([count, 1])
  expect(half.data.every((value, i) => value === 1 + (i % 1024) / 1024)).toBe(true)
  expect(brain.data.every((value, i) => value === 1 + (i % 128) / 128)).toBe(true)
})

test.each([
  ['a header that is not JSON', '{"a": ', 0, /header is not JSON/],
  ['a header that is no object', '[]', 0, /not a JSON object/],
  ['a name twice', '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{}}', 4, /"a" twice/],
  ['a field twice', '{"a":{"dtype":"F32","shape":[],"shape":[1],"data_offsets":[0,4]}}', 4, /"shape" twice/],
  ['metadata that is not text', { __metadata__: { a: 1 } }, 0, /__metadata__/],
  ['an entry that is no object', { a: 3 }, 0, /"a" is not described/],
  ['an unknown dtype', { a: entry('F33', [1], 0, 4) }, 4, /unknown dtype "F33"/],
  ['a dtype from the prototype', { a: entry('constructor', [1], 0, 4) }, 4, /unknown dtype/],
  ['a negative size', { a: entry('F32', [-1], 0, 4) }, 4, /shape/],
  ['a size past 2^53', { a: entry('F32', [2 ** 60], 0, 4) }, 4, /shape/],
  ['a product past 2^53', { a: entry('F32', [2 ** 40, 2 ** 40], 0, 4) }, 4, /takes/],
  ['a span that is not the size', { a: entry('F32', [2], 0, 4) }, 8, /takes 8 bytes, but offsets 0 to 4/],
  ['an end before the begin', { a: entry('F32', [1], 8, 4) }, 8, /offsets 8 to 4/],
  ['three offsets', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 8] } }, 8, /data_offsets/],
  ['an offset outside the file', { a: entry('F32', [4], 0, 16) }, 15, /outside the file/],
  ['two tensors in one place', { a: entry('F32', [2], 0, 8), b: entry('F32', [1], 4, 8) }, 8, /a and b overlap/],
])('refuses %s', async (_, header, data, message) => {
  await expect(openSafetensors(await fileOf(header, data))).rejects.toMatchObject(corrupt(message))
})

test('refuses lengths that the file cannot hold, before taking memory', async () => {
  const path = join(folder, 'huge.safetensors')
  await writeFile(path, Buffer.from('ffffffffffffffff7b7d', 'hex'))
  await expect(openSafetensors(path)).rejects.toMatchObject(corrupt(/claims 18446744073709551615 bytes, but only 2/))
  await writeFile(path, Buffer.from('0102', 'hex'))
  await expect(openSafetensors(path)).rejects.toMatchObject(corrupt(/it has 2 bytes/))
  await writeFile(path, '')
  await expect(openSafetensors(path)).rejects.toMatchObject({ code: 'FILE_EMPTY' })
  await expect(openSafetensors(join(folder, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  await expect(openSafetensors(folder)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
})

test('a type that is no float is listed, but not read as a weight', async () => {
  const file = await openSafetensors(await fileOf({ a: entry('I64', [1], 0, 8), empty: entry('F32', [0, 3], 8, 8) }, 8))
  await expect(file.readTensor('a')).rejects.toMatchObject({
    code: 'UNSUPPORTED_DTYPE',
    hint: expect.stringContaining('BF16'),
  })
  await expect(file.readTensor('b')).rejects.toMatchObject({ code: 'TENSOR_MISSING' })
  expect((await file.readTensor('empty')).data.length).toBe(0)
  await file.close()
})

test('bytes at random never do more than fail', async () => {
  const path = join(folder, 'random.safetensors')
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 64 }), async (bytes) => {
      await writeFile(path, bytes)
      await expect(openSafetensors(path)).rejects.toMatchObject({ code: 'SAFETENSORS_CORRUPT' })
    }),
  )
})

test.skipIf(process.platform !== 'linux')(
  'reading takes less than 1.3 times the float32 weights in memory',
  async () => {
    const count = 64 << 20
    const path = await fileOf({ a: entry('BF16', [count], 0, 2 * count) })
    await truncate(path, 8 + JSON.stringify({ a: entry('BF16', [count], 0, 2 * count) }).length + 2 * count)
    // A process of its own: the peak is never forgotten. Linux hands maxRSS on from the process that starts another, this not.
    const script = `
    import { readFileSync } from 'node:fs'
    import { openSafetensors } from ${JSON.stringify(new URL('./safetensors.ts', import.meta.url).href)}
    const peak = () => 1024 * /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
    const before = peak()
    const { data } = await (await openSafetensors(process.argv[1])).readTensor('a')
    console.log(data.length, peak() - before)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, path])
    const [length, bytes] = stdout.trim().split(' ').map(Number)
    expect(length).toBe(count)
    expect(bytes).toBeGreaterThan(4 * count * 0.9)
    expect(bytes).toBeLessThan(4 * count * 1.3)
  },
)
