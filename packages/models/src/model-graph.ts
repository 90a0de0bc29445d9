import { add, embedding, Graph, matmul, multiplyDims, reshape, type Tensor } from '@plumbline/engine'

export interface LinearOptions {
  readonly inFeatures: number
  readonly outFeatures: number
  readonly hasBias?: boolean
  /** GPT-2 stores its weights [in, out], all others [out, in]. */
  readonly isTransposed?: boolean
}

/** Changes what a linear layer computes: x [..., in] and its output [..., out] → the new output. LoRA is one. */
export type Adapt = (module: string, x: Tensor, y: Tensor, graph: Graph) => Tensor

/** A graph in the making, with the parts that all families share. */
export interface ModelGraph {
  readonly graph: Graph
  parameter(name: string, shape: readonly number[]): Tensor
  /** x·Wᵀ (+ b) with the weights `<module>.weight` and `<module>.bias`. */
  linear(x: Tensor, module: string, options: LinearOptions): Tensor
  /**
   * Several linear layers of the same input side by side, [..., Σ out]. Their weights are one joined parameter named
   * `a.weight+b.weight+…`, which a program for generation bakes in: one product instead of three.
   */
  joinedLinear(
    x: Tensor,
    modules: readonly string[],
    options: Omit<LinearOptions, 'outFeatures'> & { outFeatures: readonly number[] },
  ): Tensor
  /** Names an activation as TransformerLens does and returns it. */
  hook(name: string, tensor: Tensor): Tensor
}

/** The residual stream of a model family, from tokens to what the heads read. All states are [..., hiddenSize]. */
export interface Trunk {
  /** Only some families add positions to tokens. */
  embed(ids: Tensor, positions: () => Tensor): Tensor
  /** The layer of this number, from 0. Given `rows` [M], it answers for these of the flattened batch alone: [M, hiddenSize]. */
  block(residual: Tensor, index: number, rows?: Tensor): Tensor
  lastNorm(residual: Tensor): Tensor
}

/** Rows [M] of x [..., D], flattened → [M, D]; without `rows`, x. */
export function takeRows(x: Tensor, rows: Tensor | undefined): Tensor {
  if (!rows) return x
  const width = x.shape.at(-1)!
  return embedding(reshape(x, { shape: [multiplyDims(x.shape.slice(0, -1)), width] }), rows)
}

/** Separator of the names of a joined parameter. */
export const JOIN = '+'

export function createModelGraph({ graph = new Graph(), adapt }: { graph?: Graph; adapt?: Adapt } = {}): ModelGraph {
  const parameter = (name: string, shape: readonly number[]) => graph.parameter(name, shape)
  const product = (x: Tensor, weight: string, bias: string, options: LinearOptions) => {
    const { inFeatures, outFeatures, hasBias = false, isTransposed = false } = options
    const shape = isTransposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures]
    const y = matmul(x, parameter(weight, shape), { transposeB: !isTransposed })
    return hasBias ? add(y, parameter(bias, [outFeatures])) : y
  }
  return {
    graph,
    parameter,
    linear(x, module, options) {
      const y = product(x, `${module}.weight`, `${module}.bias`, options)
      return adapt ? adapt(module, x, y, graph) : y
    },
    joinedLinear(x, modules, { outFeatures, ...options }) {
      const join = (suffix: string) => modules.map((module) => module + suffix).join(JOIN)
      const total = outFeatures.reduce((a, b) => a + b, 0)
      return product(x, join('.weight'), join('.bias'), { ...options, outFeatures: total })
    },
    hook(name, tensor) {
      graph.hooks.set(name, tensor)
      return tensor
    },
  }
}
