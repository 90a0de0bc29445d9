import type { ListFileEntry } from '@huggingface/hub'
import { expect, test } from 'vitest'
import { chooseFiles } from './hub.ts'

const listed = (...paths: string[]): ListFileEntry[] =>
  paths.map((path) => ({ type: 'file', path, size: 1, oid: 'a'.repeat(40) }))
const chosen = (...paths: string[]) => chooseFiles('a/b', listed(...paths)).map((file) => file.path)

test('one file of weights, or the index with its shards, but never the same weights twice', () => {
  expect(chosen('config.json', 'model.safetensors', 'consolidated.safetensors')).toEqual([
    'config.json',
    'model.safetensors',
  ])
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
  expect(chosen(...shards, 'consolidated.safetensors', 'model.safetensors.index.json')).toEqual([
    ...shards,
    'model.safetensors.index.json',
  ])
  expect(chosen('adapter_config.json', 'adapter_model.safetensors')).toEqual([
    'adapter_config.json',
    'adapter_model.safetensors',
  ])
})

test('safetensors come before GGUF, and a single GGUF comes alone', () => {
  expect(chosen('model.safetensors', 'model.Q4.gguf')).toEqual(['model.safetensors'])
  expect(chosen('config.json', 'model.Q4.gguf', 'README.md')).toEqual(['model.Q4.gguf'])
})

test('a file without a checksum, or with an impossible size, is refused', () => {
  const entry: ListFileEntry = { type: 'file', path: 'model.safetensors', size: 1 }
  expect(() => chooseFiles('a/b', [entry])).toThrow('no checksum')
  expect(() => chooseFiles('a/b', [{ ...entry, oid: '../../x' }])).toThrow('no checksum')
  for (const size of [-1, 0.5, Number.NaN, 2 ** 60]) {
    expect(() => chooseFiles('a/b', [{ ...entry, oid: 'a'.repeat(40), size }])).toThrow('has the size')
  }
})

test('a folder that is called like a file of weights is not one', () => {
  const folder: ListFileEntry = { type: 'directory', path: 'model.safetensors', size: 0, oid: 'a'.repeat(40) }
  expect(() => chooseFiles('a/b', [folder])).toThrow('neither safetensors nor GGUF')
})
