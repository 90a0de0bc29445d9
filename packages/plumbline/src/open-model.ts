import { setGlobalProxyFromEnv } from 'node:http'
import { resolve } from 'node:path'
import type { LanguageModel, PullEvent } from '@plumbline/models'
import type { Progress } from './progress.ts'
import { readTextFile } from './text-file.ts'
import type { World } from './world.ts'

/** Brings a model into the cache if it is not there yet, showing how far it is; gives its path. */
export async function pullShown(name: string, world: World) {
  const { pullModel } = await import('@plumbline/models')
  // Node's fetch ignores HTTPS_PROXY unless told.
  setGlobalProxyFromEnv(world.env as NodeJS.ProcessEnv)
  let progress: Progress | undefined
  const onProgress = ({ kind, file, bytes, totalBytes, message }: PullEvent) => {
    if (message) world.log.info(message)
    if (kind === 'start') progress ??= world.progress(file, totalBytes || undefined, { unit: 'bytes', from: bytes })
    if (kind === 'start' || kind === 'progress') progress?.set(bytes)
    if (kind !== 'done') return
    progress?.end()
    progress = undefined
  }
  const { home, now, signal, env } = world
  return pullModel(name, { home, now, signal, env: { ...env }, onProgress })
}

export interface OpenModelOptions {
  /** Path of a Jinja file that replaces the model's chat template. */
  readonly chatTemplate?: string
  /** A PEFT LoRA folder to add to the weights. */
  readonly adapter?: string
}

/** The options that the fields of a command's config name. */
export function modelOptions(config: { chat_template?: string; adapter?: string }): OpenModelOptions {
  return { chatTemplate: config.chat_template, adapter: config.adapter }
}

const templateFile = { code: 'CHAT_TEMPLATE', maxBytes: 1 << 20, hint: 'Give --chat-template a Jinja file.' }

/** Throws CHAT_TEMPLATE_…. */
export function readChatTemplate(path: string, world: Pick<World, 'cwd'>): Promise<string> {
  return readTextFile(path, { ...templateFile, cwd: world.cwd })
}

/** Loads a model by path or name; a known name or `org/name` that is not in the cache is pulled first. */
export async function openModel(
  name: string,
  world: World,
  { chatTemplate, adapter }: OpenModelOptions = {},
): Promise<LanguageModel> {
  const { loadAdapter, loadLanguageModel, mergeAdapter } = await import('@plumbline/models')
  const template = chatTemplate === undefined ? undefined : await readChatTemplate(chatTemplate, world)
  const { path } = await pullShown(name, world)
  const model = await loadLanguageModel(path, {
    now: () => new Date(world.now()),
    ...(template !== undefined && { chatTemplate: template, chatTemplateName: `The chat template ${chatTemplate}` }),
  })
  if (adapter === undefined) return model
  const lora = await loadAdapter(resolve(world.cwd, adapter))
  return { ...model, parameters: await mergeAdapter(model.config, model.parameters, lora) }
}

/** Loads a reward model. Throws NOT_A_REWARD_MODEL with its name. */
export async function openRewardModel(name: string, world: World): Promise<LanguageModel> {
  const { checkRewardModel } = await import('@plumbline/models')
  const model = await openModel(name, world)
  checkRewardModel(model.config, model.parameters, `--reward-model ${name}`)
  return model
}
