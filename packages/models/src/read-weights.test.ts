import { copyFile, mkdtemp, open, rename, rm, truncate } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readWeights } from './read-weights.ts'
import { openSafetensors, storedWeight } from './safetensors.ts'

/** Large enough for several threads: a thread is worth it from 16 million numbers on. */
const COUNT = 12
const ELEMENTS = 4 << 20

let folder: string
let path: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weights-'))
  path = join(folder, 'model.safetensors')
  const entries = Array.from({ length: COUNT }, (_, i) => [
    `w${i}`,
    { dtype: 'BF16', shape: [ELEMENTS], data_offsets: [i * ELEMENTS * 2, (i + 1) * ELEMENTS * 2] },
  ])
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const file = await open(path, 'w')
  await file.write(Buffer.concat([length, header]))
  // A file with holes: only the ends of each tensor are written, 1 and −(i + 1) as bfloat16.
  for (let i = 0; i < COUNT; i++) {
    const ends = [1, -(i + 1)].map((value) => new Uint8Array(Float32Array.of(value).buffer).subarray(2))
    const start = 8 + header.length + i * ELEMENTS * 2
    await file.write(ends[0], 0, 2, start)
    await file.write(ends[1], 0, 2, start + ELEMENTS * 2 - 2)
  }
  await file.close()
})
afterAll(() => rm(folder, { recursive: true }))

async function storedWeights() {
  const file = await openSafetensors(path)
  await file.close()
  return [...file.tensors.values()].map((tensor) => storedWeight(tensor, `model.${tensor.name}`))
}

test('what several threads read comes in the order of the file, each number in its place', async ({ annotate }) => {
  if (availableParallelism() === 1) await annotate('skipped: one core, so all is read by one thread')
  const parameters = await readWeights(await storedWeights())
  expect([...parameters.keys()]).toEqual(Array.from({ length: COUNT }, (_, i) => `model.w${i}`))
  for (const [i, { data }] of [...parameters.values()].entries()) {
    expect([data[0], data[1], data.at(-2), data.at(-1)]).toEqual([1, 0, 0, -(i + 1)])
  }
})

test('another file of the same length in the place of the one that was checked is refused', async () => {
  const weights = await storedWeights()
  await copyFile(path, join(folder, 'other'))
  await rename(join(folder, 'other'), path)
  await expect(readWeights(weights)).rejects.toMatchObject({ code: 'FILE_CHANGED' })
})

test('a file that was cut after it was opened is told once, whichever thread comes upon it', async () => {
  const weights = await storedWeights()
  await truncate(path, weights[3].offset)
  await expect(readWeights(weights)).rejects.toMatchObject({
    code: 'FILE_CHANGED',
    message: `${path} changed while it was read.`,
  })
  await rm(path)
  await expect(readWeights(weights)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
})
