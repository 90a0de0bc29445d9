import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { blockFormats, formatName } from './dequantize.ts'

interface Golden {
  formats: Record<string, { type: number; blocks: string; values: string }>
}

const goldenUrl = new URL('../../../tests/golden/gguf-blocks.json', import.meta.url)
const golden = JSON.parse(readFileSync(goldenUrl, 'utf8')) as Golden

test('the golden file covers every format', () => {
  const types = Object.values(golden.formats).map(({ type }) => type)
  expect(types.toSorted((a, b) => a - b)).toEqual([...blockFormats.keys()])
})

test.each(Object.entries(golden.formats))('%s equals gguf-py bit for bit', (name, { type, blocks, values }) => {
  const format = blockFormats.get(type)!
  expect(format.name).toBe(name)
  const bytes = Uint8Array.from(Buffer.from(blocks, 'base64'))
  const expected = Uint8Array.from(Buffer.from(values, 'base64'))
  expect((bytes.length / format.blockBytes) * format.blockSize).toBe(expected.length / 4)
  const out = new Float32Array(expected.length / 4 + 3)
  format.decode(bytes, out, 3)
  expect([...new Uint32Array(out.buffer, 12)]).toEqual([...new Uint32Array(expected.buffer)])
  expect([...out.subarray(0, 3)]).toEqual([0, 0, 0])
})

test('formats that we do not read have names too', () => {
  expect(formatName(10)).toBe('Q2_K')
  expect(formatName(999)).toBe('ggml type 999')
})
