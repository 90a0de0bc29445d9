/** Matrix products: nearly all of the arithmetic of a language model. */
import { PlumblineError } from '@plumbline/contracts'
import { defineOp, type Op, type Tensor } from '../graph.ts'
import { type Dim, formatShape, multiplyDims, type Shape, sameShape, type TensorType } from '../shape.ts'
import { reshape } from './layout.ts'

export interface MatmulAttributes {
  readonly transposeA?: boolean
  readonly transposeB?: boolean
  /** Factor of the product. */
  readonly alpha?: number
}

/** [rows, columns] of the last two axes, after a transposition. */
function matrix(shape: Shape, isTransposed: boolean): [Dim, Dim] {
  const [rows, columns] = [shape.at(-2)!, shape.at(-1)!]
  return isTransposed ? [columns, rows] : [rows, columns]
}

/**
 * alpha · A·B over the last two axes. B is a matrix, shared by all of A, or both have the same leading axes.
 * A [..., M, K], B [K, N] or [..., K, N] → [..., M, N].
 */
export const matmul: Op<[a: Tensor, b: Tensor], MatmulAttributes> = defineOp({
  name: 'matmul',
  infer: ([a, b], { transposeA = false, transposeB = false }) => {
    const isShared = b.shape.length === 2
    if (
      a.shape.length < 2 ||
      b.shape.length < 2 ||
      !(isShared || sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2)))
    )
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `matmul: ${formatShape(a.shape)} × ${formatShape(b.shape)}: leading axes differ.`,
      )
    if (isShared && a.shape.length > 2 && transposeA)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `matmul: ${formatShape(a.shape)} × ${formatShape(b.shape)}: a transposed stack does not go with a shared matrix.`,
        { hint: 'Transpose the stack first.' },
      )
    const [m, inner] = matrix(a.shape, transposeA)
    const [innerB, n] = matrix(b.shape, transposeB)
    if (inner !== innerB)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `matmul: inner sizes differ, ${formatShape(a.shape)} × ${formatShape(b.shape)}.`,
        {
          hint: 'Transpose one of them?',
        },
      )
    return { type: a.type, shape: [...a.shape.slice(0, -2), m, n] }
  },
  lower: (emit, names, { attributes: { transposeA = false, transposeB = false, alpha = 1 } }) => {
    if (!transposeA && !transposeB && alpha === 1) return emit.node('MatMul', names)
    return emit.node('FusedMatMul', names, {
      transA: transposeA ? 1 : 0,
      transB: transposeB ? 1 : 0,
      alpha: { float: alpha },
    })
  },
  gradient: ({ inputs: [a, b], attributes, outputGradient: dy, needs }) => {
    const isShared = b.shape.length === 2 && a.shape.length > 2
    return [
      needs(0) ? gradientOfA(dy, b, attributes) : undefined,
      needs(1) ? gradientOfB(isShared ? rows(dy) : dy, isShared ? rows(a) : a, attributes) : undefined,
    ]
  },
})

/**
 * alpha · A·B + C for matrices, where C may be the buffer that the result goes to: a weight's gradient is added to
 * those before it while it is computed. Gradients stop here.
 */
export const matmulAdd: Op<[a: Tensor, b: Tensor, c: Tensor], MatmulAttributes> = defineOp({
  name: 'matmulAdd',
  infer: ([a, b, c], attributes) => {
    const product = matmul.definition.infer([a, b], attributes) as TensorType
    if (a.shape.length !== 2 || b.shape.length !== 2 || !sameShape(product.shape, c.shape))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `matmulAdd: ${formatShape(a.shape)} × ${formatShape(b.shape)} + ${formatShape(c.shape)}: not matrices that fit.`,
      )
    return product
  },
  lower: (emit, names, { attributes: { transposeA = false, transposeB = false, alpha = 1 } }) =>
    emit.node('Gemm', names, { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: alpha } }),
})

function gradientOfA(
  dy: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, alpha = 1 }: MatmulAttributes,
): Tensor {
  if (transposeA) return matmul(b, dy, { transposeA: transposeB, transposeB: true, alpha })
  return matmul(dy, b, { transposeB: !transposeB, alpha })
}

function gradientOfB(
  dy: Tensor,
  a: Tensor,
  { transposeA = false, transposeB = false, alpha = 1 }: MatmulAttributes,
): Tensor {
  if (transposeB) return matmul(dy, a, { transposeA: true, transposeB: transposeA, alpha })
  return matmul(a, dy, { transposeA: !transposeA, alpha })
}

/** A stack of rows as one matrix: [..., K] → [N, K]. */
function rows(x: Tensor): Tensor {
  return reshape(x, { shape: [multiplyDims(x.shape.slice(0, -1)), x.shape.at(-1)!] })
}
