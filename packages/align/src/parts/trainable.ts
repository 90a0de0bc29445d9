import type { ParameterMap, Random, Value } from '@plumbline/engine'
import {
  type Adapter,
  adaptWithLora,
  type BuildOptions,
  createAdapter,
  type LanguageModel,
  lowestLayer,
  mergeAdapter,
} from '@plumbline/models'
import type { LoraConfig } from '../config.ts'

/** What of a model is trained, and how its forward pass is built. */
export interface Trainable {
  readonly adapter: Adapter | undefined
  /** What gets gradients: the whole model, or the adapter alone. */
  readonly parameters: ParameterMap
  /** The lowest layer that is trained: those below can be `createFrozenLayers`. */
  readonly firstLayer: number
  /** For `buildRaggedForward`. */
  readonly build: BuildOptions
  /** The same without dropout. */
  readonly evaluationBuild: BuildOptions
  /** Values of all parameters, and what a step needs beside its batch. */
  feeds(step: number): Record<string, Value>
  /** The model as it is now, for generation and saving. */
  merged(): Promise<ParameterMap>
}

/** The whole model, or with `use_peft` a new adapter on it. The model's own arrays are updated in place. */
export function makeTrainable({ config, parameters }: LanguageModel, lora: LoraConfig, random: Random): Trainable {
  const all = Object.fromEntries(parameters)
  if (!lora.use_peft)
    return {
      adapter: undefined,
      parameters,
      firstLayer: 0,
      build: {},
      evaluationBuild: {},
      feeds: () => all,
      merged: async () => parameters,
    }
  const adapter = createAdapter(config, {
    rank: lora.lora_r,
    alpha: lora.lora_alpha,
    dropout: lora.lora_dropout,
    targetModules: lora.lora_target_modules,
    skipShare: lora.lora_skip_share,
    random: random.fork('lora'),
  })
  const withAdapter = { ...all, ...Object.fromEntries(adapter.parameters) }
  return {
    adapter,
    parameters: adapter.parameters,
    firstLayer: lowestLayer(adapter),
    build: { adapt: adaptWithLora(adapter, { isTraining: true }) },
    evaluationBuild: { adapt: adaptWithLora(adapter) },
    feeds: (step) => ({ ...withAdapter, loraSeed: { data: Uint32Array.of(step), shape: [] } }),
    merged: () => mergeAdapter(config, parameters, adapter),
  }
}
