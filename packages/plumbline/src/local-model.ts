import { basename } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { LocalModel } from '@plumbline/inference'
import { z } from 'zod'
import { modelField } from './fields-of-models.ts'
import { pullShown } from './open-model.ts'
import type { World } from './world.ts'

/** What `serve` is told of a model on this machine. */
export const localModelFields = {
  model: modelField
    .unwrap()
    .optional()
    .describe(
      'without --upstream, the model to serve: a folder, a .gguf file, a short name, or org/name[@revision] on the Hugging Face hub; smollm2-135m-instruct by default',
    ),
  batch_size: z.number().int().min(1).max(256).default(8).describe('answers that the model here writes at a time'),
  max_waiting: z
    .number()
    .int()
    .min(0)
    .max(10_000)
    .default(64)
    .describe('answers that wait for the model here, at most; past them clients are asked to come back'),
}

interface LocalModelConfig {
  readonly upstream?: string | undefined
  readonly upstreams: readonly unknown[]
  readonly model?: string
  readonly batch_size: number
  readonly max_waiting: number
}

/** Pulls a model if need be and serves it in a process of its own; undefined where there is another upstream. */
export async function startLocal(config: LocalModelConfig, world: World): Promise<LocalModel | undefined> {
  const { upstream, upstreams, model = modelField.parse(undefined), batch_size, max_waiting } = config
  if (upstream !== undefined || upstreams.length > 0) {
    if (config.model === undefined) return undefined
    throw new PlumblineError('USAGE_CONFLICT', 'An upstream and --model are both given.', {
      hint: 'Give --upstream for a server that runs already, or --model for a model on this machine.',
    })
  }
  const { path, source } = await pullShown(model, world)
  const name = source === 'path' ? basename(path).replace(/\.gguf$/i, '') : model
  world.log.info(`loading ${name}`)
  const { startLocalModel } = await import('@plumbline/inference')
  const { log, signal } = world
  const options = { path, name, batchSize: batch_size, maxWaiting: max_waiting, warn: log.warn, signal }
  const local = await startLocalModel(options)
  world.log.info(`serving ${name}: up to ${batch_size} answers at a time, context of ${local.contextLength} tokens`)
  return local
}
