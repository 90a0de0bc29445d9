import { compile, type Feeds, Graph, gradients, type Tensor, type Value } from '@plumbline/engine'

type Sizes = readonly (number | string)[]

export interface LossRun<Outputs extends string> {
  readonly values: Readonly<Record<Outputs, number>>
  /** By the inputs asked for. */
  readonly gradients: Readonly<Record<string, number[]>>
}

export interface LossProgram<Outputs extends string> {
  /** Numbers of each input, flat; the first axis is as long as they make it. */
  run(numbers: Readonly<Record<string, readonly number[]>>): Promise<LossRun<Outputs>>
}

/** A loss and its metrics over plain inputs, with the gradients of `loss`. `targets` are int32, all else float32. */
export async function compileLoss<Inputs extends string, Outputs extends string>(
  shapes: Readonly<Record<Inputs, Sizes>>,
  build: (inputs: Readonly<Record<Inputs, Tensor>>) => Readonly<Record<Outputs | 'loss', Tensor>>,
  differentiable: readonly NoInfer<Inputs>[],
): Promise<LossProgram<Outputs | 'loss'>> {
  const graph = new Graph()
  const names = Object.keys(shapes) as Inputs[]
  const inputs = Object.fromEntries(
    names.map((name) => [name, graph.input(name, name === 'targets' ? 'int32' : 'float32', shapes[name])]),
  ) as Record<Inputs, Tensor>
  const outputs = build(inputs)
  const found = gradients(
    outputs.loss,
    differentiable.map((name) => inputs[name]),
  )
  const all = { ...outputs, ...Object.fromEntries(differentiable.map((name, i) => [`d.${name}`, found[i]!])) }
  const program = await compile(graph, all as Record<string, Tensor>, { threads: 1 })

  return {
    async run(numbers) {
      const feeds: Feeds = Object.fromEntries(names.map((name) => [name, value(name, shapes[name], numbers[name])]))
      const results = await program.run(feeds)
      const scalars = Object.keys(outputs).map((name) => [name, results[name].data[0]])
      const slopes = differentiable.map((name) => [name, Array.from(results[`d.${name}`].data as Float32Array)])
      return { values: Object.fromEntries(scalars), gradients: Object.fromEntries(slopes) }
    },
  }
}

/** The first axis is what is left over: all others have fixed sizes. */
function value(name: string, [first, ...rest]: Sizes, numbers: readonly number[]): Value {
  const width = rest.reduce<number>((product, size) => product * Number(size), 1)
  const shape = [typeof first === 'number' ? first : numbers.length / width, ...rest.map(Number)]
  return { data: name === 'targets' ? Int32Array.from(numbers) : Float32Array.from(numbers), shape }
}

/** Weights of a token mean over padded rows, flat: 1 / tokens where a token is real, else 0. */
export function tokenWeights(lengths: readonly number[], time: number): number[] {
  const tokens = lengths.reduce((sum, length) => sum + length, 0)
  return lengths.flatMap((length) => Array.from({ length: time }, (_, t) => (t < length ? 1 / tokens : 0)))
}
