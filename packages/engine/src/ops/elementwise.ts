/** Ops that act number by number, with NumPy's broadcasting. */
import { defineOp, type GradientContext, type Op, type OpDefinition, type Tensor } from '../graph.ts'
import { broadcastShapes } from '../shape.ts'
import { sumTo } from './layout.ts'

type PairGradient = (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => [a: () => Tensor, b: () => Tensor]

function pair(name: string, onnx: string, gradient: PairGradient) {
  return defineOp<[a: Tensor, b: Tensor], object>({
    name,
    infer: ([a, b]) => ({ type: a.type, shape: broadcastShapes(name, a.shape, b.shape) }),
    lower: (emit, names) => emit.node(onnx, names),
    gradient: ({ inputs: [a, b], outputs: [y], outputGradient, needs }) => {
      const [da, db] = gradient(outputGradient, a, b, y)
      return [needs(0) ? sumTo(da(), a.shape) : undefined, needs(1) ? sumTo(db(), b.shape) : undefined]
    },
  })
}

type SingleGradient = (dy: Tensor, x: Tensor, y: Tensor) => Tensor

function single(
  name: string,
  lower: string | OpDefinition['lower'],
  gradient: SingleGradient,
  fused?: OpDefinition['lower'],
) {
  return defineOp<[x: Tensor], object>({
    name,
    infer: ([x]) => ({ type: x.type, shape: x.shape }),
    lower: typeof lower === 'string' ? (emit, names) => emit.node(lower, names) : lower,
    ...(fused && { fused }),
    gradient: ({ inputs: [x], outputs: [y], outputGradient }: GradientContext<object>) => [
      gradient(outputGradient, x, y),
    ],
  })
}

const one = (x: Tensor) => x.graph.constant(1)
/** x·c for a plain number. */
export const scale = (x: Tensor, factor: number) => mul(x, x.graph.constant(factor))

export const add = pair('add', 'Add', (dy) => [() => dy, () => dy])
export const sub = pair('sub', 'Sub', (dy) => [() => dy, () => neg(dy)])
export const mul = pair('mul', 'Mul', (dy, a, b) => [() => mul(dy, b), () => mul(dy, a)])
export const div = pair('div', 'Div', (dy, _a, b, y) => [() => div(dy, b), () => neg(div(mul(dy, y), b))])
/** Where a and b are equal, a has the whole gradient. */
export const maximum = pair('maximum', 'Max', (dy, a, b) => [
  () => sub(dy, mul(dy, greater(b, a))),
  () => mul(dy, greater(b, a)),
])
/** Where a and b are equal, a has the whole gradient. */
export const minimum = pair('minimum', 'Min', (dy, a, b) => [
  () => sub(dy, mul(dy, greater(a, b))),
  () => mul(dy, greater(a, b)),
])

/** 1 where a > b, else 0. Gradients stop here. */
export const greater: Op<[a: Tensor, b: Tensor]> = defineOp({
  name: 'greater',
  infer: ([a, b]) => ({ type: 'float32', shape: broadcastShapes('greater', a.shape, b.shape) }),
  lower: (emit, names) => emit.node('Cast', [emit.node('Greater', names)], { to: 1 }),
})

/** The same numbers; gradients stop here. */
export const stopGradient: Op<[x: Tensor]> = defineOp({
  name: 'stopGradient',
  infer: ([x]) => ({ type: x.type, shape: x.shape }),
  lower: (emit, names) => emit.node('Identity', names),
})

export const neg = single('neg', 'Neg', (dy) => neg(dy))
export const exp = single('exp', 'Exp', (dy, _x, y) => mul(dy, y))
export const log = single('log', 'Log', (dy, x) => div(dy, x))
export const sqrt = single('sqrt', 'Sqrt', (dy, _x, y) => div(scale(dy, 0.5), y))
export const tanh = single('tanh', 'Tanh', (dy, _x, y) => mul(dy, sub(one(y), mul(y, y))))
export const sigmoid = single('sigmoid', 'Sigmoid', (dy, _x, y) => mul(mul(dy, y), sub(one(y), y)))
/** log(1 + e^x), so that -softplus(-x) is log σ(x). */
export const softplus = single('softplus', 'Softplus', (dy, x) => mul(dy, sigmoid(x)))

/** x·σ(x) (Elfwing et al. 2017). */
export const silu = single(
  'silu',
  (emit, [x]) => emit.node('Mul', [x, emit.node('Sigmoid', [x])]),
  (dy, x, y) => {
    const s = sigmoid(x) // y' = σ + y(1 − σ)
    return mul(dy, add(s, mul(y, sub(one(s), s))))
  },
  (emit, [x]) => emit.node('QuickGelu', [x], { alpha: { float: 1 } }),
)

const GELU_SCALE = Math.sqrt(2 / Math.PI)
const GELU_CUBIC = 0.044715

/** GELU by its tanh approximation (Hendrycks & Gimpel 2016), as GPT-2 has it. */
export const geluTanh = single(
  'geluTanh',
  (emit, [x]) => {
    const cube = emit.node('Mul', [emit.node('Mul', [x, x]), x])
    const inner = emit.node('Add', [x, emit.node('Mul', [cube, emit.float(GELU_CUBIC)])])
    const t = emit.node('Tanh', [emit.node('Mul', [inner, emit.float(GELU_SCALE)])])
    return emit.node('Mul', [emit.node('Mul', [x, emit.float(0.5)]), emit.node('Add', [t, emit.float(1)])])
  },
  (dy, x) => {
    const square = mul(x, x)
    const t = tanh(scale(mul(x, add(one(x), scale(square, GELU_CUBIC))), GELU_SCALE))
    const dInner = scale(add(one(x), scale(square, 3 * GELU_CUBIC)), GELU_SCALE)
    const slope = add(add(one(x), t), mul(mul(x, sub(one(x), mul(t, t))), dInner))
    return mul(dy, scale(slope, 0.5))
  },
  (emit, [x]) => emit.node('Gelu', [x], { approximate: 'tanh' }),
)
