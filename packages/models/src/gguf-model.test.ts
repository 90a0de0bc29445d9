import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { f32, ggufBytes, key, tensor, text, u16, u32 } from './gguf-fixture.ts'
import { openGgufModel } from './gguf-model.ts'
import { readWeights } from './read-weights.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gguf-model-'))
})
afterAll(() => rm(folder, { recursive: true }))

const number = (name: string, value: number) => key(name, 4, u32(value))

/** Metadata of a llama with two heads of four elements, one of them for keys. */
const llama = {
  'general.architecture': key('general.architecture', 8, text('llama')),
  block_count: number('llama.block_count', 1),
  context_length: number('llama.context_length', 16),
  embedding_length: number('llama.embedding_length', 8),
  feed_forward_length: number('llama.feed_forward_length', 4),
  head_count: number('llama.attention.head_count', 2),
  head_count_kv: number('llama.attention.head_count_kv', 1),
  epsilon: key('llama.attention.layer_norm_rms_epsilon', 6, f32(1e-5)),
}

/** A model with this metadata and these float32 tensors (axes slowest first), beside an embedding of two tokens. */
async function read(keys: Record<string, Buffer>, extra: Record<string, { shape: number[]; values: number[] }> = {}) {
  const embedding = { shape: [2, 8], values: Array.from({ length: 16 }, (_, i) => i) }
  const table: Buffer[] = []
  const data: Buffer[] = []
  let offset = 0
  for (const [name, { shape, values }] of Object.entries({ 'token_embd.weight': embedding, ...extra })) {
    table.push(tensor(name, shape.toReversed(), 0, offset))
    const bytes = Buffer.alloc(Math.ceil(values.length / 8) * 32)
    bytes.set(new Uint8Array(Float32Array.from(values).buffer))
    data.push(bytes)
    offset += bytes.length
  }
  const path = join(folder, 'model.gguf')
  await writeFile(path, ggufBytes({ keys: Object.values(keys), tensors: table, data: Buffer.concat(data) }))
  const { weights, ...model } = await openGgufModel(path)
  return { ...model, parameters: await readWeights(weights) }
}

test('the order of rows inside a head is undone for weights and for biases of q and k', async () => {
  const rows = (count: number) => Array.from({ length: count }, (_, i) => i)
  const { config, parameters } = await read(llama, {
    'blk.0.attn_q.weight': { shape: [8, 1], values: rows(8) },
    'blk.0.attn_q.bias': { shape: [8], values: rows(8) },
    'blk.0.attn_k.bias': { shape: [4], values: rows(4) },
    'blk.0.attn_v.bias': { shape: [4], values: rows(4) },
  })
  // Stored pairs (0, 1), (2, 3) of a head of four: the first of each pair, then the second.
  const values = (name: string) => [...parameters.get(`model.layers.0.self_attn.${name}`)!.data]
  expect(values('q_proj.weight')).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
  expect(values('q_proj.bias')).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
  expect(values('k_proj.bias')).toEqual([0, 2, 1, 3])
  expect(values('v_proj.bias')).toEqual([0, 1, 2, 3])
  expect(config).toMatchObject({ attention_bias: true, mlp_bias: false, head_dim: 4, rope_theta: 10000 })
})

test('a head that repeats the embedding is tied, another is not', async () => {
  const same = Array.from({ length: 16 }, (_, i) => i)
  const tied = await read(llama, { 'output.weight': { shape: [2, 8], values: same } })
  expect(tied.config.tie_word_embeddings).toBe(true)
  expect([...tied.parameters.keys()]).toEqual(['model.embed_tokens.weight'])
  const untied = await read(llama, { 'output.weight': { shape: [2, 8], values: same.with(15, 0) } })
  expect(untied.config.tie_word_embeddings).toBe(false)
  expect(untied.parameters.get('lm_head.weight')?.data[15]).toBe(0)
})

test('generation stops at the end of a turn too', async () => {
  const ids = { eos: number('tokenizer.ggml.eos_token_id', 3), eot: number('tokenizer.ggml.eot_token_id', 5) }
  const { config, generationConfig } = await read({ ...llama, ...ids })
  expect(config.eos_token_id).toBe(3)
  expect(generationConfig).toEqual({ eos_token_id: [3, 5] })
})

test('linear rope scaling is kept', async () => {
  const type = key('llama.rope.scaling.type', 8, text('linear'))
  const { config } = await read({ ...llama, type, factor: key('llama.rope.scaling.factor', 6, f32(2)) })
  expect(config.rope_scaling).toEqual({ rope_type: 'linear', factor: 2 })
})

test.each([
  ['experts', { experts: number('llama.expert_count', 8) }, 'UNSUPPORTED_ARCHITECTURE', /mixes experts/],
  ['a part of a split model', { split: key('split.count', 2, u16(3)) }, 'GGUF_SPLIT', /one of 3 parts/],
  [
    'another rope scaling',
    { rope: key('llama.rope.scaling.type', 8, text('yarn')) },
    'UNSUPPORTED_ARCHITECTURE',
    /"yarn"/,
  ],
  [
    'rope on a part of a head',
    { rope: number('llama.rope.dimension_count', 2), length: number('llama.attention.key_length', 4) },
    'UNSUPPORTED_ARCHITECTURE',
    /only a part/,
  ],
  ['no architecture', { 'general.architecture': number('a', 1) }, 'UNSUPPORTED_ARCHITECTURE', /not named/],
  ['no number of layers', { block_count: number('b', 1) }, 'GGUF_CORRUPT', /llama.block_count is missing/],
  ['a text for a number', { block_count: key('llama.block_count', 8, text('2')) }, 'GGUF_CORRUPT', /not a number/],
  ['no heads', { head_count: number('llama.attention.head_count', 0) }, 'GGUF_CORRUPT', /head_count is 0/],
])('refuses %s', async (_, changes, code, message) => {
  await expect(read({ ...llama, ...changes })).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
    hint: expect.any(String),
  })
})

test('refuses a layer past the last, heads that do not divide the rows, and a file without weights', async () => {
  const bias = (rows: number) => ({ shape: [rows], values: Array.from({ length: rows }, () => 0) })
  await expect(read(llama, { 'blk.1.attn_q.bias': bias(8) })).rejects.toMatchObject({
    code: 'UNSUPPORTED_ARCHITECTURE',
  })
  await expect(read(llama, { 'blk.0.attn_q.bias': bias(6) })).rejects.toMatchObject({ code: 'GGUF_CORRUPT' })
  await expect(read(llama, { 'rope_freqs.weight': bias(2) })).rejects.toMatchObject({
    code: 'UNSUPPORTED_ARCHITECTURE',
  })
  const path = join(folder, 'vocabulary.gguf')
  await writeFile(path, ggufBytes({ keys: Object.values(llama) }))
  await expect(openGgufModel(path)).rejects.toMatchObject({ code: 'MODEL_WITHOUT_WEIGHTS' })
})
