/**
 * A named weight. `data` is float32 in shared memory: ONNX Runtime reads it as a graph input without a copy, the
 * optimizer's threads update it in place, and the next forward pass sees the new values.
 */
export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array<SharedArrayBuffer>
}

/** Parameters by name, in the order of the model file. */
export type ParameterMap = ReadonlyMap<string, Parameter>

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** A parameter of zeros. */
export function createParameter(name: string, shape: readonly number[]): Parameter {
  return { name, shape, data: new Float32Array(new SharedArrayBuffer(elementCount(shape) * 4)) }
}
