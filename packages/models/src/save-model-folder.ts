/** Writing a model as a Hugging Face folder that transformers and vLLM load. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Parameter, ParameterMap } from '@plumbline/engine'
import { type OverwriteOptions, writeFolder } from './atomic-folder.ts'
import type { JsonObject } from './json-file.ts'
import { writeSafetensors } from './safetensors-write.ts'

/** What goes into a model folder. */
export interface ModelToSave {
  config: JsonObject
  parameters: ParameterMap
  tokenizerJson?: JsonObject
  tokenizerConfig?: JsonObject
  /** Jinja; written as chat_template.jinja, where transformers looks first. */
  chatTemplate?: string
  generationConfig?: JsonObject
}

export interface SaveModelOptions extends OverwriteOptions {
  /** The most bytes of weights in one file; a larger model is split. */
  shardBytes?: number
}

/** Writes the folder all at once, weights as float32. Throws FOLDER_NOT_EMPTY and FILE_WRITE_FAILED. */
export async function saveModelFolder(
  path: string,
  model: ModelToSave,
  { shardBytes = 5e9, overwrite = false }: SaveModelOptions = {},
): Promise<void> {
  await writeFolder(path, { overwrite }, async (folder) => {
    const json = (name: string, value: JsonObject | undefined) =>
      value === undefined ? undefined : writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`)
    // transformers 5 reads dtype, 4 torch_dtype.
    await json('config.json', { ...model.config, dtype: 'float32', torch_dtype: 'float32' })
    await json('tokenizer.json', model.tokenizerJson)
    await json('tokenizer_config.json', model.tokenizerConfig)
    await json('generation_config.json', model.generationConfig)
    if (model.chatTemplate !== undefined) await writeFile(join(folder, 'chat_template.jinja'), model.chatTemplate)
    await writeWeights(folder, model.parameters, shardBytes, json)
  })
}

async function writeWeights(
  folder: string,
  parameters: ParameterMap,
  shardBytes: number,
  json: (name: string, value: JsonObject) => Promise<void> | undefined,
): Promise<void> {
  const shards = splitShards(parameters, shardBytes)
  if (shards.length === 1) return writeSafetensors(join(folder, 'model.safetensors'), shards[0])
  const weightMap: Record<string, string> = {}
  const padded = (count: number) => String(count).padStart(5, '0')
  for (const [i, shard] of shards.entries()) {
    const name = `model-${padded(i + 1)}-of-${padded(shards.length)}.safetensors`
    await writeSafetensors(join(folder, name), shard)
    for (const parameter of shard) weightMap[parameter.name] = name
  }
  const totalSize = shards.flat().reduce((sum, { data }) => sum + data.byteLength, 0)
  await json('model.safetensors.index.json', { metadata: { total_size: totalSize }, weight_map: weightMap })
}

/** Parameters in order, a new shard where the next would pass the limit. A larger parameter has a shard of its own. */
function splitShards(parameters: ParameterMap, shardBytes: number): Parameter[][] {
  const shards: Parameter[][] = [[]]
  let used = 0
  for (const [name, parameter] of parameters) {
    if (used > 0 && used + parameter.data.byteLength > shardBytes) {
      shards.push([])
      used = 0
    }
    shards[shards.length - 1].push({ ...parameter, name })
    used += parameter.data.byteLength
  }
  return shards
}
