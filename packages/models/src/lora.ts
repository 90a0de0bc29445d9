import { nearest, PlumblineError } from '@plumbline/contracts'
import {
  compileLoraMerge,
  createLoraParameters,
  createParameter,
  type LoraModule,
  loraLinear,
  loraNames,
  type ParameterMap,
  type Random,
} from '@plumbline/engine'
import type { ModelConfig } from './config.ts'
import { buildForward } from './forward.ts'
import type { Adapt } from './model-graph.ts'
import { type Adapter, layerOf } from './peft.ts'

/** The linear layers of a model, in the order of the forward pass; the head and the embeddings are not among them. */
export function linearModules(config: ModelConfig): LoraModule[] {
  const modules: LoraModule[] = []
  buildForward(config, {
    adapt(name, x, y) {
      modules.push({ name, inFeatures: x.shape.at(-1) as number, outFeatures: y.shape.at(-1) as number })
      return y
    },
  })
  return modules
}

const lastPart = (module: string) => module.slice(module.lastIndexOf('.') + 1)

export interface CreateAdapterOptions {
  readonly rank: number
  readonly alpha: number
  readonly dropout: number
  /** Last parts of module names, such as `q_proj`; `all-linear` stands for all. */
  readonly targetModules: readonly string[]
  /** Share of the layers, from the lowest, without an adapter: nothing is differentiated below. */
  readonly skipShare?: number
  readonly random: Random
}

/** A new adapter that changes nothing yet. Throws LORA_TARGET_UNKNOWN. */
export function createAdapter(
  config: ModelConfig,
  { targetModules, skipShare = 0, random, ...options }: CreateAdapterOptions,
): Adapter {
  const modules = linearModules(config)
  const known = [...new Set(modules.map(({ name }) => lastPart(name)))]
  const targets = targetModules.includes('all-linear') ? known : targetModules
  for (const target of targets)
    if (!known.includes(target))
      throw new PlumblineError('LORA_TARGET_UNKNOWN', `The model has no linear layer named ${target}.`, {
        hint: `It has ${known.join(', ')}. Did you mean ${nearest(target, known) ?? 'all-linear'}?`,
      })
  const first = Math.floor(skipShare * config.layers)
  const adapted = modules.filter(({ name }) => targets.includes(lastPart(name)) && layerOf(name) >= first)
  return {
    ...options,
    targetModules: targets,
    parameters: createLoraParameters(adapted, { rank: options.rank, random }),
  }
}

/** The lowest layer that an adapter changes. */
export function lowestLayer({ parameters }: Adapter): number {
  return Math.min(...[...parameters.keys()].map(layerOf))
}

/**
 * Puts an adapter beside the model's linear layers. Its matrices become parameters of the graph, so that gradients can
 * be asked for them alone. With `isTraining` its dropout acts, by the uint32 input `loraSeed`, one number for each step.
 */
export function adaptWithLora(adapter: Adapter, { isTraining = false } = {}): Adapt {
  const { rank, alpha, dropout: rate, parameters } = adapter
  let salt = 0
  return (module, x, y, graph) => {
    const names = loraNames(module)
    const [a, b] = [parameters.get(names.a), parameters.get(names.b)]
    if (!a || !b) return y
    const hasDropout = isTraining && rate > 0
    const seed = () => graph.inputs.get('loraSeed') ?? graph.input('loraSeed', 'uint32', [])
    return loraLinear(x, y, graph.parameter(names.a, a.shape), graph.parameter(names.b, b.shape), {
      rank,
      alpha,
      ...(hasDropout && { dropout: { rate, seed: seed(), salt: salt++ } }),
    })
  }
}

/** The model's parameters with the adapter added in; weights without an adapter are shared, not copied. */
export async function mergeAdapter(
  config: ModelConfig,
  parameters: ParameterMap,
  adapter: Adapter,
): Promise<ParameterMap> {
  const { rank, alpha } = adapter
  const merged = new Map(parameters)
  const modules = new Set([...adapter.parameters.keys()].map((name) => name.replace(/\.lora_[AB]\.weight$/, '')))
  const lora = await compileLoraMerge({ rank, alpha, isTransposed: config.family === 'gpt2' })
  try {
    for (const module of modules) await mergeModule(module)
  } finally {
    await lora.dispose()
  }
  return merged

  async function mergeModule(module: string): Promise<void> {
    const names = loraNames(module)
    const base = parameters.get(`${module}.weight`)
    if (!base)
      throw new PlumblineError('ADAPTER_MISMATCH', `The adapter changes ${module}, which the model does not have.`, {
        hint: 'Give the model that the adapter was trained on (base_model_name_or_path in adapter_config.json).',
      })
    const weight = createParameter(base.name, base.shape)
    await lora.merge(base, adapter.parameters.get(names.a)!, adapter.parameters.get(names.b)!, weight.data)
    merged.set(base.name, weight)
  }
}
