/** What we write, read by Python's transformers and PEFT. Runs with PLUMBLINE_PYTHON, or python3 if it has them. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createParameter } from '@plumbline/engine'
import { loadAdapter, loadModelFolder, saveAdapter, saveModelFolder } from '@plumbline/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const python = process.env.PLUMBLINE_PYTHON || 'python3'
const absent = whyAbsent()
const golden = fileURLToPath(new URL('../golden/gguf-models/', import.meta.url))

/** What Python said last, or why it did not start. */
function reason(error: unknown): string {
  const said = (error as { stderr?: Buffer }).stderr?.toString().trim()
  return said?.split('\n').at(-1) || String(error).split('\n')[0]
}

function whyAbsent(): string | undefined {
  try {
    execFileSync(python, ['-c', 'import torch, transformers, peft'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `${python} does not import torch, transformers and peft; PLUMBLINE_PYTHON can name one that does: ${reason(error)}`
  }
}

// Compares every tensor of the folder with the same model read by transformers' own GGUF reader.
const COMPARE_MODELS = `
import sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging
logging.set_verbosity_error()
ours, golden, gguf = sys.argv[1:]
config = AutoConfig.from_pretrained(ours)
mine = AutoModelForCausalLM.from_pretrained(ours)
theirs = AutoModelForCausalLM.from_pretrained(golden, gguf_file=gguf, dtype=torch.float32, config=config)
a, b = mine.state_dict(), theirs.state_dict()
assert a.keys() == b.keys(), a.keys() ^ b.keys()
assert all(a[key].dtype == torch.float32 and torch.equal(a[key], b[key]) for key in a)
ids = torch.arange(12)[None]
assert torch.equal(mine(ids).logits, theirs(ids).logits)
print("equal", len(a))
`

const LOAD_ADAPTER = `
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, adapter, again = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
layer = model.base_model.model.model.layers[1].self_attn.q_proj
assert layer.scaling["default"] == 8.0, layer.scaling
update = layer.get_delta_weight("default")
assert torch.equal(layer.lora_A["default"].weight, torch.arange(64).reshape(2, 32) / 64)
assert update.abs().max() > 0
model.save_pretrained(again)
print("loaded")
`

describe.skipIf(absent !== undefined)(`Python reads our files${absent ? ` (skipped: ${absent})` : ''}`, () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'python-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const run = async (script: string, ...args: string[]) =>
    (await promisify(execFile)(python, ['-c', script, ...args])).stdout.trim()

  test.each([
    ['llama', 5e9],
    ['llama3', 5e9],
    ['qwen2', 2000],
    ['qwen3', 5e9],
    ['gpt2', 5e9],
  ])(
    'transformers reads the folder of %s with equal tensors and logits',
    { timeout: 120_000 },
    async (name, shardBytes) => {
      const model = await loadModelFolder(join(golden, `${name}.gguf`))
      await saveModelFolder(join(folder, name), model, { shardBytes })
      expect(await run(COMPARE_MODELS, join(folder, name), golden, `${name}.gguf`)).toMatch(/^equal \d+$/)
    },
  )

  test('PEFT loads our adapter, and we load the one it saves', { timeout: 120_000 }, async () => {
    const base = join(folder, 'base')
    await saveModelFolder(base, await loadModelFolder(join(golden, 'llama.gguf')))
    const a = createParameter('model.layers.1.self_attn.q_proj.lora_A.weight', [2, 32])
    const b = createParameter('model.layers.1.self_attn.q_proj.lora_B.weight', [32, 2])
    for (let i = 0; i < 64; i++) {
      a.data[i] = i / 64
      b.data[i] = 1 - i / 64
    }
    const parameters = new Map([a, b].map((parameter) => [parameter.name, parameter]))
    const adapter = { rank: 2, alpha: 16, dropout: 0, targetModules: ['layers.1.self_attn.q_proj'], parameters }
    await saveAdapter(join(folder, 'adapter'), adapter, { baseModel: base })
    expect(await run(LOAD_ADAPTER, base, join(folder, 'adapter'), join(folder, 'again'))).toMatch(/loaded$/)
    const again = await loadAdapter(join(folder, 'again'))
    expect({ ...again, parameters: Object.fromEntries(again.parameters) }).toEqual({
      ...adapter,
      parameters: Object.fromEntries(parameters),
    })
  })
})
