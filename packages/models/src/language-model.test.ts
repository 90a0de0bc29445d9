import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createParameter } from '@plumbline/engine'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { BYTE_CHARACTERS } from './byte-level.ts'
import { tokenizerFromGguf } from './gguf-tokenizer.ts'
import { loadLanguageModel } from './language-model.ts'
import { randomModel, randomModelConfigs } from './random-model.test-support.ts'
import { type ModelToSave, saveModelFolder } from './save-model-folder.ts'

const golden = fileURLToPath(new URL('../../../tests/golden/', import.meta.url))
const tokens = ['<|end|>', ...BYTE_CHARACTERS, 'he']
const { tokenizerJson, tokenizerConfig } = tokenizerFromGguf({
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': tokens,
  'tokenizer.ggml.merges': ['h e'],
  'tokenizer.ggml.token_type': tokens.map((_, id) => (id === 0 ? 3 : 1)),
  'tokenizer.ggml.eos_token_id': 0,
})
const raw = { ...randomModelConfigs.qwen2, vocab_size: tokens.length + 2, num_hidden_layers: 1 }
const { parameters } = randomModel(raw)
const whole = { config: raw, parameters, tokenizerJson, tokenizerConfig } as ModelToSave

let root: string
let folder: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'language-model-'))
})
beforeEach(async () => {
  folder = join(await mkdtemp(join(root, 'case-')), 'model')
})
afterAll(() => rm(root, { recursive: true }))

async function load(changes: Partial<ModelToSave> = {}) {
  await saveModelFolder(folder, { ...whole, ...changes })
  return loadLanguageModel(folder)
}

const without = (name: string) => new Map([...parameters].filter(([key]) => key !== name))

test('a whole folder is a model; every source of end tokens counts', async () => {
  const model = await load({ config: { ...raw, eos_token_id: 5 }, generationConfig: { eos_token_id: [7, 5] } })
  expect(model.path).toBe(folder)
  expect(model.config).toMatchObject({ family: 'llama', vocabSize: tokens.length + 2 })
  expect(model.stopTokenIds.toSorted()).toEqual([0, 5, 7])
  expect(model.tokenizer.decode(model.tokenizer.encode('hehe'))).toBe('hehe')
  expect([...model.parameters.keys()].sort()).toEqual([...parameters.keys()].sort())
})

test('end tokens that are no tokens are left out', async () => {
  const model = await load({
    config: { ...raw, eos_token_id: null },
    generationConfig: { eos_token_id: ['0', 1.5, 3] },
  })
  expect(model.stopTokenIds.toSorted()).toEqual([0, 3])
})

test.each([...parameters.keys()])('without %s the message names it', async (name) => {
  await expect(load({ parameters: without(name) })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    message: `${folder} lacks the weight ${name}.`,
    hint: expect.stringContaining('again'),
  })
})

test('a weight of another shape is told with both shapes', async () => {
  const name = 'model.layers.0.mlp.up_proj.weight'
  const wrong = new Map(parameters).set(name, createParameter(name, [64, 48]))
  await expect(load({ parameters: wrong })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    message: `${folder}: ${name} is [64, 48], config.json asks for [48, 64].`,
    hint: expect.stringContaining('config.json'),
  })
})

test.each([
  ['model.layers.0.self_attn.o_proj.bias'],
  ['model.layers.0.mlp.up_proj.bias'],
  ['model.norm.bias'],
  ['lm_head.bias'],
])('%s, which the model would be run without, is refused', async (name) => {
  const more = new Map(parameters).set(name, createParameter(name, [raw.hidden_size]))
  await expect(load({ parameters: more })).rejects.toMatchObject({
    code: 'UNSUPPORTED_ARCHITECTURE',
    message: expect.stringContaining(`holds ${name}`),
    hint: expect.stringContaining('attention_bias'),
  })
})

test('tensors of other modules are left alone', async () => {
  const name = 'v_head.summary.bias'
  const model = await load({ parameters: new Map(parameters).set(name, createParameter(name, [1])) })
  expect(model.parameters.has(name)).toBe(true)
})

test('more layers in config.json than in the file', async () => {
  await expect(load({ config: { ...raw, num_hidden_layers: 3 } })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    message: `${folder}: its config has 3 layers, but no weight model.layers.2.….`,
  })
})

test('a tokenizer larger than the model does not belong to it', async () => {
  const small = { ...raw, vocab_size: tokens.length - 1 }
  await expect(load({ config: small, parameters: randomModel(small).parameters })).rejects.toMatchObject({
    code: 'TOKENIZER_MISMATCH',
    message: `${folder}: the tokenizer has ${tokens.length} tokens, the model ${tokens.length - 1}.`,
    hint: expect.stringContaining('different models'),
  })
})

test('a folder without a tokenizer names the file that is missing', async () => {
  await expect(load({ tokenizerJson: undefined })).rejects.toMatchObject({
    code: 'TOKENIZER_MISSING',
    message: `${folder} has no tokenizer.json.`,
    hint: expect.stringContaining('beside the weights'),
  })
})

test('a broken tokenizer is named with its file', async () => {
  await expect(load({ tokenizerJson: { ...tokenizerJson, model: {} } })).rejects.toMatchObject({
    code: 'UNSUPPORTED_TOKENIZER',
    message: expect.stringContaining(join(folder, 'tokenizer.json')),
  })
})

test('a config.json that cannot be is named with its path', async () => {
  await expect(load({ config: { ...raw, num_attention_heads: 5 } })).rejects.toMatchObject({
    code: 'BAD_MODEL_CONFIG',
    message: expect.stringContaining(join(folder, 'config.json')),
  })
})

test('an unknown architecture is refused before its weights are read', async () => {
  await saveModelFolder(folder, { ...whole, config: { ...raw, model_type: 'qwen' } })
  await writeFile(join(folder, 'model.safetensors'), 'no weights at all')
  await expect(loadLanguageModel(folder)).rejects.toMatchObject({
    code: 'UNSUPPORTED_ARCHITECTURE',
    hint: expect.stringMatching(/llama, mistral, qwen2, qwen3, gpt2.*qwen2/),
  })
})

test('a reward model needs no head over the vocabulary', async () => {
  const score = createParameter('score.weight', [1, raw.hidden_size])
  const model = await load({ parameters: without('lm_head.weight').set(score.name, score) })
  expect(model.parameters.has('score.weight')).toBe(true)
  expect(model.config.hasTiedHead).toBe(false)
})

test('a broken config in a GGUF names the GGUF', async () => {
  const bytes = await readFile(join(golden, 'gguf-models', 'llama.gguf'))
  const key = 'llama.attention.head_count'
  // The key, then its type (4 bytes), then the value.
  bytes.writeUInt32LE(3, bytes.indexOf(key) + key.length + 4)
  const path = `${folder}.gguf`
  await writeFile(path, bytes)
  await expect(loadLanguageModel(path)).rejects.toMatchObject({ message: expect.stringContaining(path) })
})
