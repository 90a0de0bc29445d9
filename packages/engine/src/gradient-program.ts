import { PlumblineError } from '@plumbline/contracts'
import { gradients } from './autodiff.ts'
import type { Tensor } from './graph.ts'
import type { ComputePool } from './optim/compute-pool.ts'
import { addGradients } from './optim/gradients.ts'
import { createParameter, type Parameter, type ParameterMap } from './parameter.ts'
import { type CompileOptions, compile, type Feeds, type Value } from './program.ts'

/** Computes a loss, its gradients, and other outputs. */
export interface GradientProgram<Outputs extends string> {
  /** Of the trainable parameters, in shared memory; written by `run`. */
  readonly gradients: ReadonlyMap<string, Float32Array<SharedArrayBuffer>>
  /** Overwrites the gradients with those of one micro-batch. */
  run(feeds: Feeds): Promise<Readonly<Record<Outputs | 'loss', Value>>>
  /**
   * Adds the gradients of a further micro-batch. The sum is the gradient of the whole batch when each micro-batch's
   * loss is its share of the whole (a mean's weights are 1 / tokens of the whole batch).
   */
  accumulate(feeds: Feeds): Promise<Readonly<Record<Outputs | 'loss', Value>>>
  dispose(): Promise<void>
}

export interface GradientProgramOptions<Outputs extends string> extends CompileOptions {
  /** What `accumulate` adds with. */
  readonly pool: ComputePool
  /** Further tensors to compute, such as metrics. */
  readonly outputs?: Readonly<Record<Outputs, Tensor>>
}

/**
 * Compiles a scalar loss with its gradients by the trainable parameters; all others are frozen and cost no gradient.
 * Throws NOTHING_TO_TRAIN when the loss depends on none of them.
 */
export async function compileGradients<Outputs extends string = never>(
  loss: Tensor,
  trainable: ParameterMap,
  { pool, outputs, ...options }: GradientProgramOptions<Outputs>,
): Promise<GradientProgram<Outputs>> {
  const { graph } = loss
  const candidates = [...trainable.values()].filter(({ name }) => graph.parameters.has(name))
  const found = gradients(
    loss,
    candidates.map(({ name }) => graph.parameters.get(name)!),
  )
  const wanted = candidates.flatMap((parameter, i) => (found[i] ? [{ parameter, gradient: found[i] }] : []))
  if (wanted.length === 0)
    throw new PlumblineError('NOTHING_TO_TRAIN', 'the loss depends on none of the trainable parameters.', {
      hint: 'Check the names of the parameters, or the target modules of the adapter.',
    })
  const gradientName = (name: string) => `gradient.${name}`
  const all: Record<string, Tensor> = { ...outputs, loss }
  for (const { parameter, gradient } of wanted) all[gradientName(parameter.name)] = gradient
  const program = await compile(graph, all, options)

  const buffers = () =>
    new Map(wanted.map(({ parameter }) => [parameter.name, createParameter(parameter.name, parameter.shape)]))
  const dataOf = (map: ReadonlyMap<string, Parameter>) => new Map([...map].map(([name, { data }]) => [name, data]))
  const sum = buffers()
  const sumData = dataOf(sum)
  let scratch: ReadonlyMap<string, Parameter> | undefined
  const runInto = (feeds: Feeds, target: ReadonlyMap<string, Parameter>) =>
    program.run(feeds, Object.fromEntries([...target].map(([name, value]) => [gradientName(name), value])))

  return {
    gradients: sumData,
    run: (feeds) => runInto(feeds, sum) as Promise<Record<Outputs | 'loss', Value>>,
    async accumulate(feeds) {
      scratch ??= buffers()
      const values = await runInto(feeds, scratch)
      addGradients(sumData, dataOf(scratch), pool)
      return values as Record<Outputs | 'loss', Value>
    },
    dispose: () => program.dispose(),
  }
}
