import { PlumblineError } from '@plumbline/contracts'

/** An axis: a number, or a product of named sizes known at run time, such as `B` or `3*B*T`. */
export type Dim = number | string

/** A shape; the empty one is a scalar. */
export type Shape = readonly Dim[]

export type DataType = 'float32' | 'int32' | 'int64' | 'uint32' | 'bool'

export interface TensorType {
  readonly type: DataType
  readonly shape: Shape
}

/** Product of axes in canonical form: the numeric factor first, then the names in order. */
export function multiplyDims(dims: readonly Dim[]): Dim {
  let factor = 1
  const names: string[] = []
  for (const part of dims.flatMap((dim) => String(dim).split('*'))) {
    const value = Number(part)
    if (Number.isNaN(value)) names.push(part)
    else factor *= value
  }
  if (factor === 0) return 0
  if (names.length === 0) return factor
  return [...(factor === 1 ? [] : [factor]), ...names.sort()].join('*')
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis])
}

/** A negative axis counts from the end. */
export function normalizeAxis(axis: number, rank: number): number {
  const normalized = axis < 0 ? axis + rank : axis
  if (normalized < 0 || normalized >= rank)
    throw new PlumblineError('SHAPE_MISMATCH', `axis ${axis} does not exist in a tensor of rank ${rank}.`)
  return normalized
}

/** NumPy's broadcasting. Throws SHAPE_MISMATCH when two axes are neither equal nor 1. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1
    const y = b[axis - rank + b.length] ?? 1
    if (x === y || y === 1) return x
    if (x === 1) return y
    throw new PlumblineError('SHAPE_MISMATCH', `${op}: ${formatShape(a)} and ${formatShape(b)} do not broadcast.`)
  })
}
