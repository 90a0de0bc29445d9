import { availableParallelism } from 'node:os'
import { PlumblineError } from '@plumbline/contracts'
import ort from 'onnxruntime-node'
import type { Graph, Tensor } from './graph.ts'
import { EMPTY_SEQUENCE, type LowerOptions, lowerGraph, outputName } from './lower.ts'
import { elementCount } from './parameter.ts'
import { type DataType, formatShape, type Shape, type TensorType } from './shape.ts'

/** Numbers with their shape, as a program is fed and as it answers. */
export interface Value {
  readonly data: Float32Array | Int32Array | Uint32Array | BigInt64Array
  readonly shape: readonly number[]
}

export type Feeds = Readonly<Record<string, Value>>

export interface CompileOptions extends LowerOptions {
  /** Threads of ONNX Runtime; by default all cores, and one where the graph has few parameters. */
  readonly threads?: number
}

export interface ProgramRunOptions<Outputs extends string, Wanted extends Outputs = Outputs> {
  /** Buffers to write; an output without one gets a new buffer. */
  readonly into?: Partial<Readonly<Record<Outputs, Value>>>
  /** The outputs that are asked for, all by default. */
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
  { threads = threadsFor(graph), ...options }: CompileOptions = {},
): Promise<Program<Outputs>> {
  const { bytes, external, inputNames, filled } = lowerGraph(graph, outputs, options)
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
  /** What is filled for a run, in the memory of the one before: two runs at once would share it. */
  const rooms = new Map<string, Uint8Array>()
  const roomOf = (name: string, size: number) => {
    const known = rooms.get(name)
    const room = known !== undefined && known.length >= size ? known : new Uint8Array(size)
    rooms.set(name, room)
    return room.subarray(0, size)
  }
  return {
    inputNames,
    async run<Wanted extends Outputs>(
      feeds: Feeds,
      { into = {}, wanted = keys as Wanted[], frees = false }: ProgramRunOptions<Outputs, Wanted> = {},
    ) {
      const sizes = sizesOf(inputNames.map((name) => [name, shapes.get(name)!, feeds[name]?.shape]))
      // An output may have an axis of an input that it does not need.
      for (const [name, { shape }] of graph.inputs)
        for (const [axis, dim] of shape.entries())
          if (typeof dim === 'string' && !sizes.has(dim) && feeds[name]) sizes.set(dim, feeds[name].shape[axis])
      const inputs: Record<string, ort.Tensor> = {}
      for (const name of inputNames) inputs[name] = toOrt(types.get(name)!, feeds[name])
      for (const { name, shape, fill } of filled) {
        const known = knownShape(shape, sizes)
        const data = roomOf(name, elementCount(known))
        fill(data, feeds)
        inputs[name] = new ort.Tensor('bool', data, known)
      }
      const results = {} as Record<Wanted, Value>
      const fetches: Record<string, ort.Tensor | null> = { [EMPTY_SEQUENCE]: null }
      for (const key of wanted) {
        results[key] = into[key] ?? newValue(outputs[key], sizes)
        fetches[outputName(key)] = toOrt(outputs[key].type, results[key])
      }
      const options = frees ? { extra: { memory: { enable_memory_arena_shrinkage: 'cpu:0' } } } : {}
      await writeAll(session, inputs, fetches, options)
      if (frees) rooms.clear()
      return results
    },
    dispose: () => session.release(),
  }
}

/**
 * A small model gains little by several threads, and after each of its runs they would spin for milliseconds on cores
 * that others need. A graph without parameters, such as one that merges adapters, is fed its matrices: their size is not
 * known here.
 */
function threadsFor({ parameters }: Graph): number {
  const sizes = [...parameters.values()].map(({ shape }) => elementCount(shape as readonly number[]))
  const weights = sizes.reduce((sum, size) => sum + size, 0)
  return weights > 0 && weights < SMALL_WEIGHTS ? 1 : availableParallelism()
}

/** Parameters. Their products with two thousand tokens take some 7 ms forward on one core. */
const SMALL_WEIGHTS = 1 << 17

/**
 * Computes the fetches, which are all written in place. The Node binding would then copy each once more into an array of
 * its own: 540 MB in every step of SmolLM2. It hands over one after the other and stops at the first that it cannot, which
 * is the empty sequence before them: by then all are computed, and none is copied.
 */
async function writeAll(
  session: ort.InferenceSession,
  inputs: Readonly<Record<string, ort.Tensor>>,
  fetches: Readonly<Record<string, ort.Tensor | null>>,
  options: ort.InferenceSession.RunOptions,
): Promise<void> {
  try {
    await session.run(inputs, fetches as ort.InferenceSession.FetchesType, options)
  } catch (error) {
    if ((error as Error).message !== 'Non tensor type is temporarily not supported.') throw error
  }
}

/** The named sizes: each is one number in a run, as ONNX Runtime would stop deep inside the graph, or broadcast. */
function sizesOf(
  inputs: readonly (readonly [name: string, shape: Shape, given: readonly number[] | undefined])[],
): Map<string, number> {
  const sizes = new Map<string, readonly [size: number, name: string]>()
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
  return new Map([...sizes].map(([dim, [size]]) => [dim, size]))
}

function toOrt(type: DataType, value: Value): ort.Tensor {
  return new ort.Tensor(type as 'float32', value.data as Float32Array, value.shape)
}

const arrays = {
  float32: Float32Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} satisfies Record<DataType, unknown>

/** Room for an output. */
function newValue({ type, shape }: TensorType, sizes: ReadonlyMap<string, number>): Value {
  const known = knownShape(shape, sizes)
  return { data: new arrays[type](elementCount(known)) as Value['data'], shape: known }
}

/** A shape at the sizes of a run. */
function knownShape(shape: Shape, sizes: ReadonlyMap<string, number>): number[] {
  return shape.map((dim) => {
    const parts = String(dim).split('*')
    const isScaled = !Number.isNaN(Number(parts[0]))
    const [factor, names] = isScaled ? [Number(parts[0]), parts.slice(1)] : [1, parts]
    // An input may have a product of sizes for its axis.
    const product =
      sizes.get(names.join('*')) ?? names.reduce((size, name) => size * (sizes.get(name) ?? Number.NaN), 1)
    if (Number.isNaN(product))
      throw new PlumblineError('FEED_MISSING', `a result is ${formatShape(shape)}; no value that is fed tells ${dim}.`)
    return factor * product
  })
}
