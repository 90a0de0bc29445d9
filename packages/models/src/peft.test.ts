import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createParameter, type Parameter } from '@plumbline/engine'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Adapter, loadAdapter, saveAdapter } from './peft.ts'
import { openSafetensors } from './safetensors.ts'

let root: string
let folder: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'adapters-'))
})
beforeEach(async () => {
  folder = join(await mkdtemp(join(root, 'adapter-')), 'saved')
})
afterAll(() => rm(root, { recursive: true }))

function adapterOf(shapes: Record<string, number[]>, rank = 2): Adapter {
  const parameters = new Map<string, Parameter>()
  for (const [name, shape] of Object.entries(shapes)) {
    const parameter = createParameter(name, shape)
    parameter.data.forEach((_, i) => {
      parameter.data[i] = i / 3
    })
    parameters.set(name, parameter)
  }
  return { rank, alpha: 16, dropout: 0.05, targetModules: ['q_proj'], parameters }
}

const q = 'model.layers.0.self_attn.q_proj'
const sound = adapterOf({ [`${q}.lora_A.weight`]: [2, 5], [`${q}.lora_B.weight`]: [3, 2] })

async function changeConfig(changes: object): Promise<void> {
  const path = join(folder, 'adapter_config.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...changes }))
}

test('an adapter that we write is read back bit for bit', async () => {
  await saveAdapter(folder, sound, { baseModel: 'org/base' })
  expect(await loadAdapter(folder)).toEqual(sound)
})

test("the folder has PEFT's names", async () => {
  await saveAdapter(folder, sound, { baseModel: 'org/base', taskType: 'SEQ_CLS' })
  expect(JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    task_type: 'SEQ_CLS',
    base_model_name_or_path: 'org/base',
    r: 2,
    lora_alpha: 16,
    lora_dropout: 0.05,
    target_modules: ['q_proj'],
    layers_to_transform: [0],
    bias: 'none',
  })
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'))
  await file.close()
  expect([...file.tensors.keys()]).toEqual([
    `base_model.model.${q}.lora_A.weight`,
    `base_model.model.${q}.lora_B.weight`,
  ])
})

test('a path without an adapter: what is there, and what is wanted', async () => {
  const file = join(folder, 'adapter_config.json')
  await saveAdapter(folder, sound)
  await rm(join(folder, 'adapter_model.safetensors'))
  for (const [path, what] of [
    [join(folder, 'elsewhere'), 'elsewhere is not there.'],
    [file, 'adapter_config.json is a file.'],
    [join(file, 'x'), 'x is not there.'],
    [folder, `${folder} has no adapter_model.safetensors.`],
  ] as const)
    await expect(loadAdapter(path)).rejects.toMatchObject({
      code: 'ADAPTER_NOT_FOUND',
      message: expect.stringContaining(what),
      hint: expect.stringMatching(/^Give .*PEFT adapter/),
    })
})

test('a pattern of target modules is read from the weights', async () => {
  await saveAdapter(folder, sound)
  await changeConfig({ target_modules: '.*_proj' })
  expect((await loadAdapter(folder)).targetModules).toEqual(['q_proj'])
})

test.each([
  ['no weights', adapterOf({})],
  ['an A without a B', adapterOf({ [`${q}.lora_A.weight`]: [2, 5] })],
  ['another rank', adapterOf({ [`${q}.lora_A.weight`]: [2, 5], [`${q}.lora_B.weight`]: [3, 2] }, 4)],
  ['A and B swapped', adapterOf({ [`${q}.lora_A.weight`]: [3, 2], [`${q}.lora_B.weight`]: [2, 5] })],
  ['another tensor', adapterOf({ [`${q}.weight`]: [2, 5] })],
])('an adapter with %s is not written', async (_, adapter) => {
  await expect(saveAdapter(folder, adapter)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' })
  await expect(loadAdapter(folder)).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' })
})

test.each([
  ['IA3', { peft_type: 'IA3' }],
  ['bias', { bias: 'all' }],
  ['use_dora', { use_dora: true }],
  ['use_rslora', { use_rslora: true }],
  ['rank_pattern', { rank_pattern: { q_proj: 4 } }],
  ['modules_to_save', { modules_to_save: ['score'] }],
  ['pissa', { init_lora_weights: 'pissa_niter_4' }],
])('a variant that computes something else is refused: %s', async (word, changes) => {
  await saveAdapter(folder, sound)
  await changeConfig(changes)
  await expect(loadAdapter(folder)).rejects.toMatchObject({
    code: 'UNSUPPORTED_ADAPTER',
    message: expect.stringContaining(word),
  })
})

test.each([{ r: 0 }, { r: '2' }, { r: 3 }, { lora_alpha: null }, { lora_dropout: 1 }])(
  'an impossible setting is refused: %j',
  async (changes) => {
    await saveAdapter(folder, sound)
    await changeConfig(changes)
    await expect(loadAdapter(folder)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' })
  },
)
