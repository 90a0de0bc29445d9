import protobuf from 'protobufjs/light.js'

/** The part of onnx.proto that we write (ONNX IR version 9): field name → [id, type, repeated]. */
const messages = {
  ModelProto: {
    ir_version: [1, 'int64'],
    producer_name: [2, 'string'],
    graph: [7, 'GraphProto'],
    opset_import: [8, 'OperatorSetIdProto', 'repeated'],
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  GraphProto: {
    node: [1, 'NodeProto', 'repeated'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', 'repeated'],
    input: [11, 'ValueInfoProto', 'repeated'],
    output: [12, 'ValueInfoProto', 'repeated'],
    value_info: [13, 'ValueInfoProto', 'repeated'],
  },
  NodeProto: {
    input: [1, 'string', 'repeated'],
    output: [2, 'string', 'repeated'],
    name: [3, 'string'],
    op_type: [4, 'string'],
    attribute: [5, 'AttributeProto', 'repeated'],
    domain: [7, 'string'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'TensorProto'],
    ints: [8, 'int64', 'repeated'],
    type: [20, 'int32'],
  },
  TensorProto: {
    dims: [1, 'int64', 'repeated'],
    data_type: [2, 'int32'],
    name: [8, 'string'],
    raw_data: [9, 'bytes'],
    external_data: [13, 'StringStringEntryProto', 'repeated'],
    data_location: [14, 'int32'],
  },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensor_type: [1, 'TensorTypeProto'], sequence_type: [4, 'SequenceTypeProto'] },
  SequenceTypeProto: { elem_type: [1, 'TypeProto'] },
  TensorTypeProto: { elem_type: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'DimensionProto', 'repeated'] },
  DimensionProto: { dim_value: [1, 'int64'], dim_param: [2, 'string'] },
} satisfies Record<string, Record<string, [number, string, 'repeated'?]>>

/** TensorProto.DataType. */
export const elementTypes = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, uint32: 12 } as const

/** TensorProto.DataLocation: the values come beside the model, in memory. */
export const EXTERNAL = 1

export interface NodeProto {
  name: string
  op_type: string
  domain: string
  input: readonly string[]
  output: readonly string[]
  attribute: readonly AttributeProto[]
}

interface AttributeProto {
  name: string
  type: number
  f?: number
  i?: number
  s?: Uint8Array
  t?: TensorProto
  ints?: readonly number[]
}

export interface TensorProto {
  name?: string
  dims: readonly number[]
  data_type: number
  raw_data?: Uint8Array
  external_data?: readonly { key: string; value: string }[]
  data_location?: number
}

export interface ValueInfoProto {
  name: string
  type: TensorTypeProto | { sequence_type: { elem_type: { tensor_type: { elem_type: number } } } }
}

interface TensorTypeProto {
  tensor_type: { elem_type: number; shape: { dim: readonly ({ dim_value: number } | { dim_param: string })[] } }
}

export interface GraphProto {
  name: string
  node: readonly NodeProto[]
  input: readonly ValueInfoProto[]
  output: readonly ValueInfoProto[]
  /** Shapes of what lies between. */
  value_info: readonly ValueInfoProto[]
  initializer: readonly TensorProto[]
}

/** A float is a number in an object, since JavaScript cannot tell 1.0 from 1. */
export type AttributeValue = number | string | readonly number[] | { float: number } | { tensor: TensorProto }

/** AttributeProto from a value, with AttributeProto.AttributeType. */
export function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') return { name, type: 2, i: value }
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) }
  if ('float' in value) return { name, type: 1, f: value.float }
  if ('tensor' in value) return { name, type: 4, t: value.tensor }
  return { name, type: 7, ints: value }
}

/** The bytes of a model: opset 20 and ONNX Runtime's own ops. */
export function encodeModel(graph: GraphProto): Uint8Array {
  return modelProto()
    .encode({
      ir_version: 9,
      producer_name: 'plumbline',
      opset_import: [
        { domain: '', version: 20 },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph,
    })
    .finish()
}

let cachedType: protobuf.Type | undefined

function modelProto(): protobuf.Type {
  if (cachedType) return cachedType
  const nested: Record<string, protobuf.IType> = {}
  for (const [message, fields] of Object.entries(messages)) {
    const described: Record<string, protobuf.IField> = {}
    for (const [field, [id, type, rule]] of Object.entries(fields as Record<string, [number, string, 'repeated'?]>))
      described[field] = { id, type, ...(rule && { rule }) }
    nested[message] = { fields: described }
  }
  cachedType = protobuf.Root.fromJSON({ nested }).lookupType('ModelProto')
  return cachedType
}
