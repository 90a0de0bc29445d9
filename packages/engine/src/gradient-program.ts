import { PlumblineError } from '@plumbline/contracts'
import { gradients } from './autodiff.ts'
import type { Tensor } from './graph.ts'
import { add } from './ops/elementwise.ts'
import { scatterAddRows } from './ops/indexing.ts'
import { type MatmulAttributes, matmul, matmulAdd } from './ops/matmul.ts'
import type { ComputePool } from './optim/compute-pool.ts'
import { type GradientMap, zeroGradients } from './optim/gradients.ts'
import { createParameter, type ParameterMap } from './parameter.ts'
import { type CompileOptions, compile, type Feeds, type Value } from './program.ts'

/** Computes a loss, its gradients, and other outputs. */
export interface GradientProgram<Outputs extends string> {
  /** Of the trainable parameters, in shared memory; written by `run`. */
  readonly gradients: ReadonlyMap<string, Float32Array<SharedArrayBuffer>>
  /** Overwrites the gradients with those of one batch or of the first micro-batch. */
  run(feeds: Feeds): Promise<Readonly<Record<Outputs | 'loss', Value>>>
  /**
   * Adds the gradients of a further micro-batch. The sum is the gradient of the whole batch when each micro-batch's
   * loss is its share of the whole (a mean's weights are 1 / tokens of the whole batch). Throws NOT_ACCUMULATING
   * unless the program was compiled for it.
   */
  accumulate(feeds: Feeds): Promise<Readonly<Record<Outputs | 'loss', Value>>>
  dispose(): Promise<void>
}

export interface GradientProgramOptions<Outputs extends string> extends CompileOptions {
  /** What clears the gradients before a first micro-batch. */
  readonly pool: ComputePool
  /** Whether batches come in several micro-batches. One that does not is spared two passes over all gradients. */
  readonly accumulates?: boolean
  /** Gradients that nobody reads any more: those of the same name and size are written again, instead of new ones. */
  readonly reuse?: GradientMap | undefined
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
  { pool, accumulates = false, reuse, outputs, ...options }: GradientProgramOptions<Outputs>,
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
  const all: Record<string, Tensor> = { ...outputs, loss }
  const buffers: Record<string, Value> = {}
  const soFar: Record<string, Value> = {}
  const sums = new Map<string, Float32Array<SharedArrayBuffer>>()
  for (const { parameter, gradient } of wanted) {
    const { name, shape } = parameter
    const used = reuse?.get(name)
    const data = used?.length === parameter.data.length ? used : createParameter(name, shape).data
    const buffer = { data, shape }
    // The sum so far is read and written in one buffer: no second set of gradients in memory.
    const before = `accumulated.${name}`
    all[`gradient.${name}`] = accumulates ? addTo(gradient, graph.input(before, 'float32', shape)) : gradient
    buffers[`gradient.${name}`] = buffer
    if (accumulates) soFar[before] = buffer
    sums.set(name, data)
  }
  const program = await compile(graph, all, options)
  const runInto = (feeds: Feeds) =>
    program.run({ ...feeds, ...soFar }, { into: buffers }) as Promise<Record<Outputs | 'loss', Value>>

  return {
    gradients: sums,
    async run(feeds) {
      if (accumulates) zeroGradients(sums, pool)
      return runInto(feeds)
    },
    async accumulate(feeds) {
      if (!accumulates)
        throw new PlumblineError('NOT_ACCUMULATING', 'the gradient program was compiled for one batch a step.', {
          hint: 'Compile it with accumulates: true.',
        })
      return runInto(feeds)
    },
    dispose: () => program.dispose(),
  }
}

/**
 * before + gradient. Where the gradient is a product of matrices, it is added in the product itself; where rows are
 * scattered into such a product (a tied embedding), they are scattered into the sum.
 */
function addTo(gradient: Tensor, before: Tensor): Tensor {
  if (!gradient.producer) return add(gradient, before)
  const { op, inputs, attributes } = gradient.producer
  if (op === scatterAddRows.definition && inputs.length === 3) {
    const [ids, updates, base] = inputs
    return scatterAddRows(ids, updates, addTo(base, before), attributes as { rows: number })
  }
  if (op !== matmul.definition || inputs.some(({ shape }) => shape.length !== 2)) return add(gradient, before)
  const [a, b] = inputs
  return matmulAdd(a, b, before, attributes as MatmulAttributes)
}
