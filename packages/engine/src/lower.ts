import { sortedApplications } from './autodiff.ts'
import type { Graph, Tensor } from './graph.ts'
import {
  type AttributeValue,
  attribute,
  EXTERNAL,
  elementTypes,
  encodeModel,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './onnx.ts'
import type { Feeds } from './program.ts'
import type { DataType, Dim, Shape } from './shape.ts'

/** What an op's lowering writes with: ONNX nodes and constants, all referred to by name. */
export interface Emitter {
  /** Adds a node with one output and returns the output's name. */
  node(opType: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>): string
  /** Adds a node with several outputs. */
  nodes(
    opType: string,
    outputs: number,
    inputs: readonly string[],
    attributes?: Record<string, AttributeValue>,
  ): string[]
  ints(values: readonly number[]): string
  int(value: number): string
  float(value: number): string
  /** A shape as an int64 vector, read from the inputs at run time where it is not a constant. */
  shape(shape: Shape): string
  /** An input of bool that the program itself fills before each run. Those of one name are one. */
  filled(name: string, shape: Shape, fill: Fill): string
}

/** Writes 0 or 1 to all of `data`, by what the program is fed. */
export type Fill = (data: Uint8Array, feeds: Feeds) => void

/** Ops of ONNX Runtime that are not in the ONNX standard. */
const microsoftOps = new Set([
  'FusedMatMul',
  'GroupQueryAttention',
  'QuickGelu',
  'RotaryEmbedding',
  'SkipSimplifiedLayerNormalization',
])

export interface LoweredModel {
  readonly bytes: Uint8Array
  /** Baked parameters, passed beside the bytes. */
  readonly external: readonly { readonly path: string; readonly data: Uint8Array }[]
  /** Names of the inputs that the outputs need. */
  readonly inputNames: readonly string[]
  /** Further inputs, which nobody feeds. */
  readonly filled: readonly FilledInput[]
}

export interface FilledInput {
  readonly name: string
  readonly shape: Shape
  readonly fill: Fill
}

export interface LowerOptions {
  /** `plain`: no fused ops of ONNX Runtime. */
  readonly lowering?: 'plain' | 'fused'
  /** Values of the parameters that become constants of the model, which ONNX Runtime then packs for its kernels. */
  readonly baked?: ReadonlyMap<string, Float32Array>
}

/** Lowers what `outputs` need of the graph to an ONNX model. Outputs are named by `outputName` of their keys. */
export function lowerGraph(
  graph: Graph,
  outputs: Readonly<Record<string, Tensor>>,
  { lowering = 'fused', baked = new Map() }: LowerOptions = {},
): LoweredModel {
  const writer = createWriter(graph)
  const names = new Map<Tensor, string>()
  const nameOf = (tensor: Tensor) => names.get(tensor) ?? writer.leaf(tensor)
  for (const { op, inputs, attributes, outputs: results } of sortedApplications(Object.values(outputs))) {
    const lower = (lowering === 'fused' && op.fused) || op.lower
    const context = { attributes, inputs, outputs: results }
    const lowered = lower.call(op, writer.emitter, inputs.map(nameOf), context)
    const loweredNames = typeof lowered === 'string' ? [lowered] : lowered
    loweredNames.forEach((name, i) => {
      names.set(results[i], name)
      writer.describe(name, results[i])
    })
  }
  // Identity gives an output its key even when the tensor is an input or is asked for twice; ONNX Runtime removes it.
  for (const [key, tensor] of Object.entries(outputs)) writer.rename(nameOf(tensor), outputName(key))
  return writer.finish(outputs, baked)
}

/** A gradient may be asked for under its parameter's name, so outputs have names of their own. */
export const outputName = (key: string) => `output:${key}`

/** The first output of every model, an empty sequence: what it is for is said where programs run. */
export const EMPTY_SEQUENCE = 'empty sequence'

const emptySequence: NodeProto = {
  name: EMPTY_SEQUENCE,
  op_type: 'SequenceEmpty',
  domain: '',
  input: [],
  output: [EMPTY_SEQUENCE],
  attribute: [],
}

function createWriter(graph: Graph) {
  const nodes: NodeProto[] = []
  const initializers = new Map<string, TensorProto>()
  const used = new Map<string, Tensor>()
  const described = new Map<string, Tensor>()
  const filled = new Map<string, FilledInput>()
  let count = 0

  const nodeWithOutputs = (opType: string, outputs: string[], inputs: readonly string[], attributes = {}) => {
    const attributeList = Object.entries<AttributeValue>(attributes).map(([name, value]) => attribute(name, value))
    const domain = microsoftOps.has(opType) ? 'com.microsoft' : ''
    nodes.push({ name: outputs[0], op_type: opType, domain, input: inputs, output: outputs, attribute: attributeList })
    return outputs
  }
  const initializer = (
    key: string,
    dims: readonly number[],
    type: keyof typeof elementTypes,
    data: ArrayBufferView,
  ) => {
    if (!initializers.has(key)) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      initializers.set(key, { name: key, dims, data_type: elementTypes[type], raw_data: bytes })
    }
    return key
  }
  const leaf = (tensor: Tensor): string => {
    const constant = graph.constants.get(tensor.id)
    if (constant) return initializer(tensor.id, tensor.shape as number[], tensor.type, constant.values)
    used.set(tensor.id, tensor)
    return tensor.id
  }
  const dimension = (dim: Dim): string => {
    if (typeof dim === 'number') return emitter.ints([dim])
    const factors = dim.split('*').map((factor) => {
      if (!Number.isNaN(Number(factor))) return emitter.ints([Number(factor)])
      const { input, axis } = graph.sourceOf(factor)
      return emitter.node('Shape', [leaf(input)], { start: axis, end: axis + 1 })
    })
    return factors.reduce((product, factor) => emitter.node('Mul', [product, factor]))
  }
  const emitter: Emitter = {
    nodes: (opType, outputs, inputs, attributes) =>
      nodeWithOutputs(
        opType,
        Array.from({ length: outputs }, () => `${opType}_${count++}`),
        inputs,
        attributes,
      ),
    node: (opType, inputs, attributes) => emitter.nodes(opType, 1, inputs, attributes)[0],
    ints: (values) => initializer(`ints_${values}`, [values.length], 'int64', BigInt64Array.from(values.map(BigInt))),
    int: (value) => initializer(`int_${value}`, [], 'int64', BigInt64Array.of(BigInt(value))),
    float: (value) => initializer(`float_${value}`, [], 'float32', Float32Array.of(value)),
    shape: (shape) => {
      if (shape.every((dim) => typeof dim === 'number')) return emitter.ints(shape)
      return emitter.node('Concat', shape.map(dimension), { axis: 0 })
    },
    filled: (name, shape, fill) => {
      filled.set(name, { name, shape, fill })
      return name
    },
  }
  return {
    emitter,
    leaf,
    /**
     * Tells the shape of what lies between. ONNX Runtime cannot find most of them by itself, and then takes the square of
     * the number of nodes to plan its memory: half a second for SmolLM2 to be read, two for its gradients.
     */
    describe: (name: string, tensor: Tensor) => described.set(name, tensor),
    rename: (name: string, key: string) => nodeWithOutputs('Identity', [key], [name]),
    finish(outputs: Readonly<Record<string, Tensor>>, baked: ReadonlyMap<string, Float32Array>): LoweredModel {
      const inputs = [...used.values()].filter(({ id }) => !baked.has(id))
      const external = [...used.values()].flatMap((tensor) => {
        const values = baked.get(tensor.id)
        return values ? [externalInitializer(tensor, values)] : []
      })
      const graphProto = {
        name: 'plumbline',
        node: [...nodes, emptySequence],
        input: [
          ...inputs.map(({ id, type, shape }) => valueInfo(id, type, shape)),
          ...[...filled.values()].map(({ name, shape }) => valueInfo(name, 'bool', shape)),
        ],
        output: [
          {
            name: EMPTY_SEQUENCE,
            type: { sequence_type: { elem_type: { tensor_type: { elem_type: elementTypes.float32 } } } },
          },
          ...Object.entries(outputs).map(([key, { type, shape }]) => valueInfo(outputName(key), type, shape)),
        ],
        value_info: [...described].map(([name, { type, shape }]) => valueInfo(name, type, shape)),
        initializer: [...initializers.values(), ...external.map(({ proto }) => proto)],
      }
      return {
        bytes: encodeModel(graphProto),
        external: external.map(({ path, data }) => ({ path, data })),
        inputNames: inputs.map(({ id }) => id),
        filled: [...filled.values()],
      }
    },
  }
}

function externalInitializer({ id, shape }: Tensor, values: Float32Array) {
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const proto: TensorProto = {
    name: id,
    dims: shape as number[],
    data_type: elementTypes.float32,
    data_location: EXTERNAL,
    external_data: [
      { key: 'location', value: id },
      { key: 'offset', value: '0' },
      { key: 'length', value: String(data.byteLength) },
    ],
  }
  return { path: id, data, proto }
}

function valueInfo(name: string, type: DataType, shape: Shape): ValueInfoProto {
  const dim = shape.map((size) => (typeof size === 'number' ? { dim_value: size } : { dim_param: size }))
  return { name, type: { tensor_type: { elem_type: elementTypes[type], shape: { dim } } } }
}
