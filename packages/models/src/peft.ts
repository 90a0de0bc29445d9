/** LoRA adapters as PEFT folders: adapter_config.json and adapter_model.safetensors. */
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { ParameterMap } from '@plumbline/engine'
import { type OverwriteOptions, writeFolder } from './atomic-folder.ts'
import { type JsonObject, readJsonObject } from './json-file.ts'
import { readWeights } from './read-weights.ts'
import { openSafetensors, storedWeight } from './safetensors.ts'
import { writeSafetensors } from './safetensors-write.ts'

/** A LoRA adapter: each target's weight W acts as W + (alpha / rank)·B·A. */
export interface Adapter {
  readonly rank: number
  readonly alpha: number
  readonly dropout: number
  /** Last parts of module names, such as `q_proj`. */
  readonly targetModules: readonly string[]
  /** `<module>.lora_A.weight` [rank, in] and `<module>.lora_B.weight` [out, rank], module as in `model.layers.0.mlp.up_proj`. */
  readonly parameters: ParameterMap
}

export interface SaveAdapterOptions extends OverwriteOptions {
  /** Name or path of the model that the adapter belongs to. */
  baseModel?: string
  taskType?: 'CAUSAL_LM' | 'SEQ_CLS'
}

const CONFIG_FILE = 'adapter_config.json'
const WEIGHTS_FILE = 'adapter_model.safetensors'
const PREFIX = 'base_model.model.'

/** Writes a folder that `PeftModel.from_pretrained` loads. Throws ADAPTER_INVALID, FOLDER_NOT_EMPTY and FILE_WRITE_FAILED. */
export async function saveAdapter(
  path: string,
  adapter: Adapter,
  { baseModel, taskType = 'CAUSAL_LM', overwrite = false }: SaveAdapterOptions = {},
): Promise<void> {
  checkPairs(path, adapter.parameters, adapter.rank)
  const config = {
    peft_type: 'LORA',
    task_type: taskType,
    base_model_name_or_path: baseModel ?? null,
    r: adapter.rank,
    lora_alpha: adapter.alpha,
    lora_dropout: adapter.dropout,
    target_modules: adapter.targetModules,
    layers_to_transform: layersOf(adapter.parameters),
    bias: 'none',
    // PEFT corrects this itself for GPT-2's Conv1D layers.
    fan_in_fan_out: false,
    inference_mode: true,
  }
  await writeFolder(path, { overwrite }, async (folder) => {
    await writeFile(join(folder, CONFIG_FILE), `${JSON.stringify(config, null, 2)}\n`)
    const parameters = [...adapter.parameters].map(([name, { shape, data }]) => ({ name: PREFIX + name, shape, data }))
    await writeSafetensors(join(folder, WEIGHTS_FILE), parameters)
  })
}

/** Reads a PEFT LoRA folder. Throws ADAPTER_NOT_FOUND, ADAPTER_INVALID, UNSUPPORTED_ADAPTER, and what the readers throw. */
export async function loadAdapter(path: string): Promise<Adapter> {
  const folder = await stat(path).catch(() => undefined)
  if (!folder?.isDirectory()) {
    throw new PlumblineError('ADAPTER_NOT_FOUND', `${path} is ${folder ? 'a file' : 'not there'}.`, {
      hint: `Give the folder of a PEFT adapter, with its ${CONFIG_FILE} and ${WEIGHTS_FILE}.`,
    })
  }
  const config = await readJsonObject(join(path, CONFIG_FILE))
  const hasWeights = await stat(join(path, WEIGHTS_FILE)).then(
    () => true,
    () => false,
  )
  if (!config || !hasWeights) {
    throw new PlumblineError('ADAPTER_NOT_FOUND', `${path} has no ${config ? WEIGHTS_FILE : CONFIG_FILE}.`, {
      hint: 'Give a PEFT adapter folder with both files.',
    })
  }
  refuseUnsupported(path, config)
  const rank = positive(path, config, 'r')
  const alpha = positive(path, config, 'lora_alpha')
  const dropout = config.lora_dropout ?? 0
  if (typeof dropout !== 'number' || !(dropout >= 0 && dropout < 1))
    throw invalid(path, 'lora_dropout is not in [0, 1)')
  const parameters = await readParameters(join(path, WEIGHTS_FILE))
  const modules = checkPairs(path, parameters, rank)
  return { rank, alpha, dropout, targetModules: targets(config, modules), parameters }
}

function invalid(path: string, what: string): PlumblineError {
  return new PlumblineError('ADAPTER_INVALID', `The adapter ${path}: ${what}.`, {
    hint: 'Save the adapter again with PEFT or with Plumbline.',
  })
}

function positive(path: string, config: JsonObject, key: string): number {
  const value = config[key]
  if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return value
  throw invalid(path, `${key} is ${JSON.stringify(value) ?? 'missing'}, not a positive number`)
}

/** Variants of LoRA that compute something else; ignoring them would give wrong numbers. */
function refuseUnsupported(path: string, config: JsonObject): void {
  const isEmpty = (value: unknown) =>
    value == null || value === false || (typeof value === 'object' && Object.keys(value).length === 0)
  const variants = ['use_dora', 'use_rslora', 'lora_bias', 'rank_pattern', 'alpha_pattern', 'modules_to_save']
  const found = variants.find((key) => !isEmpty(config[key]))
  const initial = String(config.init_lora_weights ?? true)
  const what =
    config.peft_type !== 'LORA'
      ? `peft_type ${JSON.stringify(config.peft_type)}`
      : (config.bias ?? 'none') !== 'none'
        ? `bias ${JSON.stringify(config.bias)}`
        : /^(pissa|olora|corda|loftq)/i.test(initial)
          ? `init_lora_weights ${initial}, which changes the base model,`
          : found
  if (what === undefined) return
  throw new PlumblineError('UNSUPPORTED_ADAPTER', `The adapter ${path} uses ${what}; only plain LoRA is read.`, {
    hint: 'Merge the adapter into its model with PEFT and load the merged model.',
  })
}

async function readParameters(path: string): Promise<ParameterMap> {
  const file = await openSafetensors(path)
  await file.close()
  const weights = [...file.tensors.values()].map((tensor) => {
    if (!tensor.name.startsWith(PREFIX)) throw invalid(path, `tensor ${tensor.name} does not start with ${PREFIX}`)
    return storedWeight(tensor, tensor.name.slice(PREFIX.length))
  })
  return readWeights(weights)
}

/** Every A has its B and both have the rank. Returns the module names. */
function checkPairs(path: string, parameters: ParameterMap, rank: number): string[] {
  const modules = new Set<string>()
  for (const [name, { shape }] of parameters) {
    const match = /^(.+)\.lora_([AB])\.weight$/.exec(name)
    if (!match) throw invalid(path, `${name} is not the A or B of a LoRA pair`)
    const [, module, side] = match
    if (shape.length !== 2 || shape[side === 'A' ? 0 : 1] !== rank) {
      throw invalid(path, `${name} has shape [${shape}], but the rank is ${rank}`)
    }
    if (!parameters.has(`${module}.lora_${side === 'A' ? 'B' : 'A'}.weight`)) {
      throw invalid(path, `${name} has no partner`)
    }
    modules.add(module)
  }
  if (modules.size === 0) throw invalid(path, 'it holds no LoRA weights')
  return [...modules]
}

/** Number of the layer that a module belongs to, by its name: 3 for `model.layers.3.mlp.up_proj`. */
export function layerOf(name: string): number {
  return Number(/\.(\d+)\./.exec(name)?.[1])
}

/** Without these, PEFT expects weights for the target modules of every layer. */
function layersOf(parameters: ParameterMap): number[] {
  return [...new Set([...parameters.keys()].map(layerOf))].toSorted((a, b) => a - b)
}

/** PEFT also allows a pattern for target_modules; the weights then say which modules it met. */
function targets({ target_modules: listed }: JsonObject, modules: readonly string[]): string[] {
  if (Array.isArray(listed) && listed.every((name) => typeof name === 'string')) return listed
  return [...new Set(modules.map((module) => module.slice(module.lastIndexOf('.') + 1)))]
}
