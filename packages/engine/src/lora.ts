/**
 * LoRA: low-rank adapters beside frozen weights (Hu et al. 2021, arXiv 2106.09685). Names, shapes and initial values are
 * those of PEFT, so that its adapters fit.
 */
import { PlumblineError } from '@plumbline/contracts'
import { Graph, type Tensor } from './graph.ts'
import { dropout } from './ops/dropout.ts'
import { add } from './ops/elementwise.ts'
import { matmul } from './ops/matmul.ts'
import { createParameter, elementCount, type Parameter, type ParameterMap } from './parameter.ts'
import { compile } from './program.ts'
import type { Random } from './random.ts'
import { formatShape } from './shape.ts'

/** A linear layer that gets an adapter. */
export interface LoraModule {
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
}

/** Strength of the adapter: its product counts alpha / rank. */
export interface LoraScale {
  readonly alpha: number
  readonly rank: number
}

/** Names of a module's two adapter matrices. */
export function loraNames(module: string): { a: string; b: string } {
  return { a: `${module}.lora_A.weight`, b: `${module}.lora_B.weight` }
}

/**
 * Adapters for the modules: A [rank, in] uniform in ±1/√in (Kaiming with a = √5), B [out, rank] zeros, so that training
 * starts at the base model. Each module has its own random stream: another module more changes none of the others.
 */
export function createLoraParameters(
  modules: readonly LoraModule[],
  { rank, random }: { rank: number; random: Random },
): ParameterMap {
  if (!Number.isInteger(rank) || rank < 1)
    throw new PlumblineError('BAD_VALUE', `LoRA: the rank is ${rank}, not a positive integer.`)
  const parameters = modules.flatMap(({ name, inFeatures, outFeatures }) => {
    const names = loraNames(name)
    const a = createParameter(names.a, [rank, inFeatures])
    const stream = random.fork(names.a)
    const bound = 1 / Math.sqrt(inFeatures)
    for (let i = 0; i < a.data.length; i++) a.data[i] = (2 * stream.uniform() - 1) * bound
    return [a, createParameter(names.b, [outFeatures, rank])]
  })
  return new Map(parameters.map((parameter) => [parameter.name, parameter]))
}

export interface LoraLinearOptions extends LoraScale {
  /** Dropout of the adapter's input, for training: seed is a uint32 scalar, salt another number for each module. */
  readonly dropout?: { readonly rate: number; readonly seed: Tensor; readonly salt: number }
}

/** base + (alpha / rank) · dropout(x)·Aᵀ·Bᵀ: x [..., in], base [..., out], A [rank, in], B [out, rank] → [..., out]. */
export function loraLinear(
  x: Tensor,
  base: Tensor,
  a: Tensor,
  b: Tensor,
  { alpha, rank, dropout: drop }: LoraLinearOptions,
): Tensor {
  if (a.shape[0] !== rank || b.shape[1] !== rank)
    throw new PlumblineError(
      'SHAPE_MISMATCH',
      `LoRA: A ${formatShape(a.shape)} and B ${formatShape(b.shape)} are not of rank ${rank}.`,
    )
  const input = drop ? dropout(x, drop.seed, { rate: drop.rate, salt: drop.salt }) : x
  const low = matmul(input, a, { transposeB: true }) // [..., rank]
  return add(base, matmul(low, b, { transposeB: true, alpha: alpha / rank }))
}

type Matrix = Pick<Parameter, 'shape'> & { readonly data: Float32Array }

export interface MergeOptions extends LoraScale {
  /** The weights are [in, out], as GPT-2's Conv1D has them; else [out, in]. */
  readonly isTransposed?: boolean
}

export interface LoraMerge {
  /** `into` becomes weight + (alpha / rank) · B·A, after which the adapter is not needed. Throws SHAPE_MISMATCH. */
  merge(weight: Matrix, a: Matrix, b: Matrix, into: Float32Array): Promise<void>
  dispose(): Promise<void>
}

/** Compiles the merging of adapters into base weights: on all cores it takes a tenth of what a loop takes. */
export async function compileLoraMerge({ alpha, rank, isTransposed = false }: MergeOptions): Promise<LoraMerge> {
  const graph = new Graph()
  const shapeOf = <T>(out: T, input: T) => (isTransposed ? [input, out] : [out, input])
  const w = graph.input('weight', 'float32', shapeOf('O', 'I'))
  const a = graph.input('a', 'float32', [rank, 'I'])
  const b = graph.input('b', 'float32', ['O', rank])
  const scale = { alpha: alpha / rank }
  const product = isTransposed ? matmul(a, b, { transposeA: true, transposeB: true, ...scale }) : matmul(b, a, scale)
  const program = await compile(graph, { merged: add(w, product) })
  return {
    async merge(weight, a, b, into) {
      const [outFeatures, inFeatures] = isTransposed ? weight.shape.toReversed() : weight.shape
      checkMatrices(weight, [
        [weight, shapeOf(outFeatures, inFeatures)],
        [a, [rank, inFeatures]],
        [b, [outFeatures, rank]],
      ])
      await program.run({ weight, a, b }, { into: { merged: { data: into, shape: weight.shape } } })
    },
    dispose: () => program.dispose(),
  }
}

function checkMatrices(weight: Matrix, wanted: readonly [Matrix, readonly number[]][]): void {
  for (const [{ shape, data }, expected] of wanted)
    if (
      shape.length !== 2 ||
      shape.some((size, axis) => size !== expected[axis]) ||
      data.length !== elementCount(expected)
    )
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `LoRA: a matrix of ${formatShape(shape)} where ${formatShape(weight.shape)} wants ${formatShape(expected)}.`,
      )
}
