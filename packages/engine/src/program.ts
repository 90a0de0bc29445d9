import { availableParallelism } from 'node:os'
import { PlumblineError } from '@plumbline/contracts'
import ort from 'onnxruntime-node'
import type { Graph, Tensor } from './graph.ts'
import { type LowerOptions, lowerGraph, outputName } from './lower.ts'
import { type DataType, type Dim, formatShape, type Shape } from './shape.ts'

/** Numbers with their shape, as a program is fed and as it answers. */
export interface Value {
  readonly data: Float32Array | Int32Array | Uint32Array | BigInt64Array
  readonly shape: readonly number[]
}

export type Feeds = Readonly<Record<string, Value>>

export interface CompileOptions extends LowerOptions {
  /** Threads of ONNX Runtime; all cores by default. */
  readonly threads?: number
}

export interface ProgramRunOptions<Outputs extends string, Wanted extends Outputs = Outputs> {
  /** Buffers that are written in place; an output without one gets a new buffer. */
  readonly into?: Partial<Readonly<Record<Outputs, Value>>>
  /** The outputs to hand over, all by default: ONNX Runtime's Node binding copies each once more. */
  readonly wanted?: readonly Wanted[]
  /**
   * Gives back most of the memory in which this was computed; otherwise the program keeps it for its next run, as what is
   * touched for the first time is slow.
   */
  readonly frees?: boolean
}

/** A compiled graph. One run at a time. */
export interface Program<Outputs extends string = string> {
  /** Computes the outputs. Feeds that they do not need are ignored, so one feed fits all programs of a graph. */
  run<Wanted extends Outputs = Outputs>(
    feeds: Feeds,
    options?: ProgramRunOptions<Outputs, Wanted>,
  ): Promise<Readonly<Record<Wanted, Value>>>
  readonly inputNames: readonly string[]
  dispose(): Promise<void>
}

/** Compiles what the outputs need. Nothing depends on the run-time sizes: one program serves all batches. */
export async function compile<Outputs extends string>(
  graph: Graph,
  outputs: Readonly<Record<Outputs, Tensor>>,
  { threads = availableParallelism(), ...options }: CompileOptions = {},
): Promise<Program<Outputs>> {
  const { bytes, external, inputNames } = lowerGraph(graph, outputs, options)
  const session = await ort.InferenceSession.create(bytes, {
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
    graphOptimizationLevel: 'all',
    // A plan of the memory is kept for each combination of sizes, and ours change with every batch.
    enableMemPattern: false,
    ...(external.length > 0 && { externalData: external }),
  })
  const types = new Map<string, DataType>(
    [...graph.inputs, ...graph.parameters].map(([name, { type }]) => [name, type]),
  )
  const shapes = new Map<string, Shape>(
    [...graph.inputs, ...graph.parameters].map(([name, { shape }]) => [name, shape]),
  )
  const keys = Object.keys(outputs) as Outputs[]
  return {
    inputNames,
    async run<Wanted extends Outputs>(
      feeds: Feeds,
      { into = {}, wanted = keys as Wanted[], frees = false }: ProgramRunOptions<Outputs, Wanted> = {},
    ) {
      checkSizes(inputNames.map((name) => [name, shapes.get(name)!, feeds[name]?.shape]))
      const inputs: Record<string, ort.Tensor> = {}
      for (const name of inputNames) inputs[name] = toOrt(types.get(name)!, feeds[name])
      const fetches: Record<string, ort.Tensor | null> = {}
      for (const key of wanted) fetches[outputName(key)] = into[key] ? toOrt(outputs[key].type, into[key]) : null
      const options = frees ? { extra: { memory: { enable_memory_arena_shrinkage: 'cpu:0' } } } : {}
      const results = await session.run(inputs, fetches as ort.InferenceSession.FetchesType, options)
      // The copies of what was written in place go now, before there can be two of them.
      for (const key of wanted) if (into[key]) freeCopy(results[outputName(key)], into[key])
      return Object.fromEntries(wanted.map((key) => [key, into[key] ?? fromOrt(results[outputName(key)])])) as Record<
        Wanted,
        Value
      >
    },
    dispose: () => session.release(),
  }
}

/** Each named size is one number in a run: ONNX Runtime would stop deep inside the graph, or broadcast. */
function checkSizes(
  inputs: readonly (readonly [name: string, shape: Shape, given: readonly number[] | undefined])[],
): void {
  const sizes = new Map<Dim, readonly [size: number, name: string]>()
  for (const [name, shape, given] of inputs) {
    if (!given) throw new PlumblineError('FEED_MISSING', `the program needs a value for ${name}.`)
    const fits =
      given.length === shape.length && shape.every((dim, axis) => typeof dim === 'string' || dim === given[axis])
    if (!fits)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `${name} is ${formatShape(given)}; the program takes ${formatShape(shape)}.`,
      )
    for (const [axis, dim] of shape.entries()) {
      if (typeof dim === 'number') continue
      const known = sizes.get(dim)
      if (known && known[0] !== given[axis])
        throw new PlumblineError(
          'SHAPE_MISMATCH',
          `size ${dim} is ${known[0]} in ${known[1]} and ${given[axis]} in ${name}.`,
        )
      sizes.set(dim, [given[axis], name])
    }
  }
}

function toOrt(type: DataType, value: Value): ort.Tensor {
  return new ort.Tensor(type as 'float32', value.data as Float32Array, value.shape)
}

function freeCopy({ data }: ort.Tensor, written: Value): void {
  const { buffer } = data as Float32Array<ArrayBuffer>
  if (buffer !== written.data.buffer) buffer.transfer(0)
}

function fromOrt({ data, dims }: ort.Tensor): Value {
  return { data: data as Float32Array, shape: dims }
}
