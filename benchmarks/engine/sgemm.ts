/** The matrix products of one forward and backward pass and nothing else: what no implementation can go below. */
import { add, compile, type Feeds, Graph, matmul, slice, type Tensor, type Value } from '@plumbline/engine'
import { headName, type LanguageModel } from '@plumbline/models'

export interface Sgemm {
  run(): Promise<void>
  /** Multiply-adds counted twice. */
  readonly flops: number
  dispose(): Promise<void>
}

/**
 * For each linear layer and the head, weights W [out, in] and rows M: x·Wᵀ, dy·W and dyᵀ·x, through the engine and in
 * one program. The weights are the model's own, so that they come from memory as they do in a step; dyᵀ·x is written
 * where the step writes it.
 */
export async function createSgemm(
  { config, parameters }: LanguageModel,
  gradients: ReadonlyMap<string, Float32Array>,
  { rows, headRows }: { rows: number; headRows: number },
): Promise<Sgemm> {
  const graph = new Graph()
  const operands = createOperands(graph)
  const outputs: Record<string, Tensor> = {}
  const into: Record<string, Value> = {}
  const taken: Tensor[] = []
  let flops = 0
  for (const [name, { shape }] of parameters) {
    if (shape.length !== 2) continue
    const [out, width] = shape
    const m = name === headName(config) ? headRows : rows
    const [weight, x, dy] = [graph.parameter(name, shape), operands.tensor(m, width), operands.tensor(m, out)]
    // One column of each: the rest of the product has nowhere to go and no time is spent on copying it out.
    for (const product of [matmul(x, weight, { transposeB: true }), matmul(dy, weight)])
      taken.push(slice(product, { axis: 1, start: 0, end: 1 }))
    outputs[name] = matmul(dy, x, { transposeA: true })
    into[name] = { data: gradients.get(name)!, shape }
    flops += 3 * 2 * m * out * width
  }
  for (const m of new Set([rows, headRows]))
    outputs[`taken.${m}`] = taken.filter(({ shape }) => shape[0] === m).reduce((sum, column) => add(sum, column))
  const program = await compile<string>(graph, outputs)
  const feeds = { ...Object.fromEntries(parameters), ...operands.feeds }
  return {
    flops,
    run: async () => {
      await program.run(feeds, { into })
    },
    dispose: () => program.dispose(),
  }
}

/** Left sides of products, one of each shape; what is in them changes no time. */
function createOperands(graph: Graph) {
  const tensors = new Map<string, Tensor>()
  const feeds: Record<string, Value> = {}
  return {
    feeds: feeds as Feeds,
    tensor(rows: number, columns: number): Tensor {
      const name = `x.${rows}.${columns}`
      const known = tensors.get(name)
      if (known) return known
      const tensor = graph.input(name, 'float32', [rows, columns])
      const data = new Float32Array(rows * columns)
      for (let i = 0; i < data.length; i++) data[i] = ((i % 1009) - 504) / 504
      feeds[name] = { data, shape: [rows, columns] }
      tensors.set(name, tensor)
      return tensor
    },
  }
}
