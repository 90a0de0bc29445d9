import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createParameter, type Parameter } from '@plumbline/engine'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { loadModelFolder } from './model-folder.ts'
import { writeSafetensors } from './safetensors-write.ts'
import { saveModelFolder } from './save-model-folder.ts'

interface Expected {
  models: Record<string, { config: object; tensors: Record<string, { shape: number[]; sha256: string }> }>
}

const golden = fileURLToPath(new URL('../../../tests/golden/gguf-models/', import.meta.url))
const { models } = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Expected

let root: string
let folder: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-'))
})
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'model-'))
})
afterAll(() => rm(root, { recursive: true }))

function parameter(name: string, shape: number[], first = 1): Parameter {
  const made = createParameter(name, shape)
  for (let i = 0; i < made.data.length; i++) made.data[i] = first + i / 7
  return made
}

const config = { model_type: 'llama', hidden_size: 2 }

/** A Hugging Face folder with these weights in one file. */
async function folderOf(parameters: Parameter[], changes: object = {}): Promise<string> {
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes }))
  await writeSafetensors(join(folder, 'model.safetensors'), parameters)
  return folder
}

const namesOf = async (parameters: Parameter[], changes: object = {}) => [
  ...(await loadModelFolder(await folderOf(parameters, changes))).parameters.keys(),
]

test.each(Object.keys(models))(
  'the GGUF of %s has the tensors and the config that transformers reads',
  async (name) => {
    const model = await loadModelFolder(join(golden, `${name}.gguf`))
    const read = [...model.parameters].map(([key, { name: own, shape, data }]) => {
      expect(own).toBe(key)
      return [key, { shape, sha256: createHash('sha256').update(new Uint8Array(data.buffer)).digest('hex') }]
    })
    expect(Object.fromEntries(read)).toEqual(models[name].tensors)
    expect(model.config).toMatchObject(models[name].config)
    expect(model.tokenizer.gguf?.get('tokenizer.ggml.tokens')).toHaveLength(40)
    expect(model.generationConfig).toEqual({ bos_token_id: 1, eos_token_id: 2 })
  },
)

test('a folder with one GGUF file is that model; with two, the error names both', async () => {
  await copyFile(join(golden, 'gpt2.gguf'), join(folder, 'a.gguf'))
  expect((await loadModelFolder(folder)).config.model_type).toBe('gpt2')
  await copyFile(join(golden, 'gpt2.gguf'), join(folder, 'b.gguf'))
  await expect(loadModelFolder(folder)).rejects.toMatchObject({
    code: 'MODEL_AMBIGUOUS',
    message: expect.stringMatching(/a\.gguf.*b\.gguf/),
  })
})

test('an architecture that we do not know is refused with the list of those we do', async () => {
  const bytes = await readFile(join(golden, 'llama.gguf'))
  bytes.write('mamba', bytes.indexOf('llama'))
  const path = join(folder, 'mamba.gguf')
  await writeFile(path, bytes)
  await expect(loadModelFolder(path)).rejects.toMatchObject({
    code: 'UNSUPPORTED_ARCHITECTURE',
    message: expect.stringContaining('"mamba"'),
    hint: expect.stringContaining('llama, qwen2, qwen3, gpt2'),
  })
  await folderOf([parameter('a', [1])], { model_type: 'qwen4' })
  await expect(loadModelFolder(folder)).rejects.toMatchObject({
    code: 'UNSUPPORTED_ARCHITECTURE',
    message: expect.stringContaining('"qwen4"'),
    hint: 'Supported: llama, mistral, qwen2, qwen3, gpt2. The nearest is qwen2.',
  })
})

test('a tensor that the architecture does not have is refused, not ignored', async () => {
  const bytes = await readFile(join(golden, 'llama.gguf'))
  bytes.write('ffn_gatf', bytes.indexOf('ffn_gate'))
  const path = join(folder, 'odd.gguf')
  await writeFile(path, bytes)
  await expect(loadModelFolder(path)).rejects.toMatchObject({
    code: 'UNSUPPORTED_ARCHITECTURE',
    message: expect.stringContaining('blk.0.ffn_gatf.weight'),
  })
})

test.each([[1e9], [100]])('a folder that we write is read back bit for bit, %d bytes a file', async (shardBytes) => {
  const { config: goldenConfig, parameters } = await loadModelFolder(join(golden, 'qwen3.gguf'))
  const target = join(folder, 'saved')
  const files = {
    tokenizerJson: { version: '1.0', model: { vocab: { é: 0 } } },
    tokenizerConfig: { eos_token: '</s>' },
    chatTemplate: '{{ messages }}',
    generationConfig: { eos_token_id: 2 },
  }
  await saveModelFolder(target, { config: goldenConfig, parameters, ...files }, { shardBytes })
  const read = await loadModelFolder(target)
  expect([...read.parameters.keys()]).toEqual([...parameters.keys()])
  for (const [name, { shape, data }] of parameters) {
    expect(read.parameters.get(name)?.shape).toEqual(shape)
    expect(Buffer.compare(new Uint8Array(read.parameters.get(name)!.data.buffer), new Uint8Array(data.buffer))).toBe(0)
  }
  expect(read.config).toEqual({ ...goldenConfig, dtype: 'float32', torch_dtype: 'float32' })
  expect(read.tokenizer.tokenizerJson).toEqual(files.tokenizerJson)
  expect(read.tokenizer.tokenizerConfig).toEqual({ ...files.tokenizerConfig, chat_template: files.chatTemplate })
  expect(read.generationConfig).toEqual(files.generationConfig)
  const weightFiles = (await readdir(target)).filter((name) => name.endsWith('.safetensors'))
  expect(weightFiles.length).toBe(shardBytes === 100 ? parameters.size : 1)
})

test('the same model gives the same bytes', async () => {
  const model = await loadModelFolder(join(golden, 'llama.gguf'))
  await saveModelFolder(join(folder, 'a'), model)
  await saveModelFolder(join(folder, 'b'), model)
  for (const name of await readdir(join(folder, 'a'))) {
    expect(await readFile(join(folder, 'a', name))).toEqual(await readFile(join(folder, 'b', name)))
  }
})

test('an existing folder is replaced only when asked, and nothing else is left beside it', async () => {
  const target = join(folder, 'saved')
  await mkdir(target)
  await saveModelFolder(target, { config, parameters: new Map([['a', parameter('a', [1])]]) })
  await writeFile(join(target, 'notes.txt'), 'mine')
  const next = { config, parameters: new Map([['b', parameter('b', [1])]]) }
  await expect(saveModelFolder(target, next)).rejects.toMatchObject({ code: 'FOLDER_NOT_EMPTY' })
  expect(await readFile(join(target, 'notes.txt'), 'utf8')).toBe('mine')
  await saveModelFolder(target, next, { overwrite: true })
  expect([...(await loadModelFolder(target)).parameters.keys()]).toEqual(['b'])
  expect(await readdir(target)).not.toContain('notes.txt')
  expect(await readdir(folder)).toEqual(['saved'])
})

test('a failed write leaves the old folder and no draft', async () => {
  const target = join(folder, 'saved')
  await saveModelFolder(target, { config, parameters: new Map([['a', parameter('a', [1])]]) })
  const cyclic: Record<string, unknown> = { ...config }
  cyclic.self = cyclic
  await expect(
    saveModelFolder(target, { config: cyclic, parameters: new Map() }, { overwrite: true }),
  ).rejects.toThrow()
  expect([...(await loadModelFolder(target)).parameters.keys()]).toEqual(['a'])
  expect(await readdir(folder)).toEqual(['saved'])
  const blocked = join(folder, 'saved', 'config.json', 'model')
  await expect(saveModelFolder(blocked, { config, parameters: new Map() })).rejects.toMatchObject({
    code: 'FILE_WRITE_FAILED',
  })
})

test('a head that is the embedding is not read twice; another one is kept', async () => {
  const embedding = parameter('model.embed_tokens.weight', [3, 2])
  const same = { ...embedding, name: 'lm_head.weight' }
  const other = parameter('lm_head.weight', [3, 2], 2)
  const load = async (parameters: Parameter[], tie_word_embeddings?: boolean) => {
    const { config: read, parameters: kept } = await loadModelFolder(
      await folderOf(parameters, { tie_word_embeddings }),
    )
    return [kept.has('lm_head.weight'), read.tie_word_embeddings]
  }
  expect(await load([embedding])).toEqual([false, true])
  expect(await load([embedding], false)).toEqual([false, false])
  expect(await load([embedding, same], true)).toEqual([false, true])
  expect(await load([embedding, other], true)).toEqual([true, false])
  expect(await load([embedding, same])).toEqual([true, false])
})

test('names get the prefix of the whole model, and computed buffers are left out', async () => {
  const names = ['wte.weight', 'h.0.attn.bias', 'h.0.attn.masked_bias', 'h.0.attn.c_attn.bias', 'h.0.ln_1.weight']
  expect(
    await namesOf(
      names.map((name) => parameter(name, [2])),
      { model_type: 'gpt2' },
    ),
  ).toEqual(['transformer.wte.weight', 'transformer.h.0.attn.c_attn.bias', 'transformer.h.0.ln_1.weight'])
  expect(await namesOf([parameter('transformer.wte.weight', [2])], { model_type: 'gpt2' })).toEqual([
    'transformer.wte.weight',
  ])
  const llama = ['model.embed_tokens.weight', 'model.layers.0.self_attn.rotary_emb.inv_freq', 'score.weight']
  expect(await namesOf(llama.map((name) => parameter(name, [2])))).toEqual([
    'model.embed_tokens.weight',
    'score.weight',
  ])
  const twice = [parameter('wte.weight', [2]), parameter('transformer.wte.weight', [2])]
  await expect(namesOf(twice, { model_type: 'gpt2' })).rejects.toMatchObject({ code: 'INDEX_INVALID' })
})

test('what is missing is named', async () => {
  await expect(loadModelFolder(join(folder, 'none'))).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  await expect(loadModelFolder(folder)).rejects.toMatchObject({ code: 'MODEL_WITHOUT_WEIGHTS' })
  await writeFile(join(folder, 'pytorch_model.bin'), 'x')
  await expect(loadModelFolder(folder)).rejects.toMatchObject({
    code: 'MODEL_WITHOUT_WEIGHTS',
    hint: expect.stringContaining('pytorch_model.bin is a pickle'),
  })
  await folderOf([parameter('a', [4])])
  await truncate(join(folder, 'model.safetensors'), 90)
  await expect(loadModelFolder(folder)).rejects.toMatchObject({ code: 'SAFETENSORS_CORRUPT' })
  await writeFile(join(folder, 'model.safetensors'), '')
  await expect(loadModelFolder(folder)).rejects.toMatchObject({ code: 'FILE_EMPTY' })
  await rm(join(folder, 'config.json'))
  await expect(loadModelFolder(folder)).rejects.toMatchObject({
    code: 'MODEL_NOT_FOUND',
    message: expect.stringContaining('config.json'),
  })
})

test('an index may name only shards that lie in the folder', async () => {
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  await writeSafetensors(join(folder, 'one.safetensors'), [parameter('a', [1])])
  await writeSafetensors(join(root, 'outside.safetensors'), [parameter('a', [1])])
  const index = (value: unknown) =>
    writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: value }))
  await index({ a: 'one.safetensors' })
  expect([...(await loadModelFolder(folder)).parameters.keys()]).toEqual(['a'])
  await index({ a: 'two.safetensors' })
  await expect(loadModelFolder(folder)).rejects.toMatchObject({
    code: 'SHARD_MISSING',
    message: expect.stringContaining('two.safetensors'),
  })
  await index({ a: 'one.safetensors', b: 'one.safetensors' })
  await expect(loadModelFolder(folder)).rejects.toMatchObject({ code: 'TENSOR_MISSING' })
  const outside = [
    '../outside.safetensors',
    join(root, 'outside.safetensors'),
    '..\\outside.safetensors',
    '..',
    'C:x',
    '',
    7,
  ]
  for (const shard of [...outside.map((name) => ({ a: name })), {}, [], null]) {
    await index(shard)
    await expect(loadModelFolder(folder)).rejects.toMatchObject({ code: 'INDEX_INVALID' })
  }
})
