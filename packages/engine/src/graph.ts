import { PlumblineError } from '@plumbline/contracts'
import type { Emitter } from './lower.ts'
import { elementCount } from './parameter.ts'
import { type Dim, formatShape, type Shape, type TensorType } from './shape.ts'

/** A value in a graph: what it will be, not yet its numbers. */
export interface Tensor extends TensorType {
  readonly id: string
  readonly graph: Graph
  /** The application that makes it; undefined for inputs, parameters and constants. */
  readonly producer: Application | undefined
}

/** One use of an op. */
export interface Application {
  readonly op: OpDefinition
  readonly inputs: readonly Tensor[]
  readonly attributes: object
  readonly outputs: readonly Tensor[]
}

export interface LoweringContext<A> {
  readonly attributes: A
  readonly inputs: readonly TensorType[]
  readonly outputs: readonly TensorType[]
}

export interface GradientContext<A> {
  readonly inputs: readonly Tensor[]
  readonly attributes: A
  /** All outputs: the value first, then what the lowering saved for the gradient. */
  readonly outputs: readonly Tensor[]
  /** d loss / d outputs[0]. */
  readonly outputGradient: Tensor
  /** Whether the gradient of input i is wanted. */
  needs(i: number): boolean
}

type Lowering<A> = (emit: Emitter, inputs: readonly string[], context: LoweringContext<A>) => string | readonly string[]

/** A row of the op table: shape rule, ONNX lowering, gradient. */
export interface OpDefinition<A extends object = object> {
  readonly name: string
  /** Types of the outputs from the types of the inputs. Throws SHAPE_MISMATCH. */
  infer(inputs: readonly TensorType[], attributes: A): TensorType | readonly TensorType[]
  /** Ordinary ONNX ops. */
  readonly lower: Lowering<A>
  /** One fused op of ONNX Runtime with the same outputs, used unless a program asks for the plain lowering. */
  readonly fused?: Lowering<A>
  /** Gradients by input, undefined where there is none. Absent: the op stops gradients. */
  gradient?(context: GradientContext<A>): readonly (Tensor | undefined)[]
}

/** An op as model code calls it: tensors first, then attributes. */
export type Op<Inputs extends readonly (Tensor | undefined)[], A extends object = object> = ((
  ...args: [...Inputs, attributes?: A]
) => Tensor) & {
  readonly definition: OpDefinition<A>
}

/** Makes a row of the table callable. */
export function defineOp<Inputs extends readonly (Tensor | undefined)[], A extends object>(
  definition: OpDefinition<A>,
): Op<Inputs, A> {
  const call = (...args: unknown[]): Tensor => {
    const last = args.at(-1)
    const attributes = (last !== undefined && !isTensor(last) ? args.pop() : {}) as A
    return apply(definition, args.filter((arg) => arg !== undefined) as Tensor[], attributes)[0]
  }
  return Object.assign(call, { definition })
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'graph' in value
}

/** Adds an application of `definition` to the graph of its inputs and returns all its outputs. */
export function apply<A extends object>(
  definition: OpDefinition<A>,
  inputs: readonly Tensor[],
  attributes: A,
): readonly Tensor[] {
  const [first] = inputs
  if (!first) throw new PlumblineError('SHAPE_MISMATCH', `${definition.name}: an op needs at least one tensor.`)
  for (const input of inputs)
    if (input.graph !== first.graph)
      throw new PlumblineError('GRAPH_MISMATCH', `${definition.name}: its tensors belong to different graphs.`)
  return first.graph.apply(definition as unknown as OpDefinition, inputs, attributes)
}

export interface Constant {
  readonly tensor: Tensor
  readonly values: Float32Array | Int32Array | BigInt64Array
}

/**
 * What is to be computed. Inputs are fed at each run; parameters too, unless a program bakes them in. Everything that
 * is applied is remembered; a program lowers only what its outputs need.
 */
export class Graph {
  readonly inputs = new Map<string, Tensor>()
  readonly parameters = new Map<string, Tensor>()
  readonly constants = new Map<string, Constant>()
  /** Activations by name; a model fills this with TransformerLens' hook names. */
  readonly hooks = new Map<string, Tensor>()
  #count = 0

  input(name: string, type: TensorType['type'], shape: Shape): Tensor {
    this.#refuseTaken(name)
    const tensor: Tensor = { id: name, type, shape, graph: this, producer: undefined }
    this.inputs.set(name, tensor)
    return tensor
  }

  /** A trainable float32 input, or the same tensor when it was declared before (tied weights). */
  parameter(name: string, shape: readonly number[]): Tensor {
    const known = this.parameters.get(name)
    if (known) return known
    this.#refuseTaken(name)
    const tensor: Tensor = { id: name, type: 'float32', shape, graph: this, producer: undefined }
    this.parameters.set(name, tensor)
    return tensor
  }

  /** A float32 constant: a scalar from a number, or values with their shape. */
  constant(values: number | Float32Array | Int32Array, shape: readonly number[] = []): Tensor {
    const data = typeof values === 'number' ? Float32Array.of(values) : values
    if (data.length !== elementCount(shape) || (typeof values === 'number' && shape.length > 0))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `constant: ${data.length} numbers do not make a tensor of shape ${formatShape(shape)}.`,
        { hint: 'Use expand to repeat a number.' },
      )
    const id = typeof values === 'number' ? `number.${values}` : this.#nextId('constant')
    const known = this.constants.get(id)
    if (known) return known.tensor
    const type = data instanceof Int32Array ? 'int32' : 'float32'
    const tensor: Tensor = { id, type, shape, graph: this, producer: undefined }
    this.constants.set(id, { tensor, values: data })
    return tensor
  }

  apply(op: OpDefinition, inputs: readonly Tensor[], attributes: object): readonly Tensor[] {
    const inferred = op.infer(inputs, attributes)
    const types = Array.isArray(inferred) ? (inferred as readonly TensorType[]) : [inferred as TensorType]
    const outputs: Tensor[] = []
    const application: Application = { op, inputs, attributes, outputs }
    for (const { type, shape } of types)
      outputs.push({ id: this.#nextId(op.name), type, shape, graph: this, producer: application })
    return outputs
  }

  /** Where a named size can be read at run time: an input and its axis. */
  sourceOf(symbol: string): { input: Tensor; axis: number } {
    for (const input of this.inputs.values()) {
      const axis = input.shape.indexOf(symbol as Dim)
      if (axis >= 0) return { input, axis }
    }
    throw new PlumblineError('SHAPE_MISMATCH', `size ${symbol} is not an axis of any input.`)
  }

  #nextId(prefix: string): string {
    return `${prefix}.${this.#count++}`
  }

  #refuseTaken(name: string): void {
    if (this.inputs.has(name) || this.parameters.has(name))
      throw new PlumblineError('GRAPH_MISMATCH', `the graph already has an input named ${name}.`)
  }
}
