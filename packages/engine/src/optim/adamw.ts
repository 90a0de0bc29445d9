/**
 * AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2), computed as
 * torch.optim.AdamW does:
 *
 *   p ← p · (1 − lr·λ)
 *   m ← m + (1 − b1)(g − m)            v ← b2·v + (1 − b2)·g²
 *   p ← p − lr / (1 − b1ᵗ) · m / (√v / √(1 − b2ᵗ) + ε)
 *
 * p parameter, g gradient, m and v first and second moment, λ weight decay, t the steps this parameter has seen.
 */
import { nearest, PlumblineError } from '@plumbline/contracts'
import { createParameter, type Parameter, type ParameterMap } from '../parameter.ts'
import type { ComputePool } from './compute-pool.ts'
import type { GradientMap } from './gradients.ts'
import type { TaskItem } from './task.ts'

export interface AdamwOptions {
  b1?: number
  b2?: number
  epsilon?: number
  weightDecay?: number
  /** Which parameters decay. */
  decays?: (name: string, shape: readonly number[]) => boolean
}

export interface AdamwState {
  /** Steps made. */
  readonly step: number
  /** Steps that each parameter has seen, where they are fewer than `step`: it got its first gradient late. */
  readonly lateSteps: ReadonlyMap<string, number>
  /** Moments of the parameters that have had a gradient; frozen ones cost no memory. */
  readonly firstMoments: ParameterMap
  readonly secondMoments: ParameterMap
}

export interface AdamwStep {
  learningRate: number
  /** Factor on every gradient: the scale of `clipByGlobalNorm`, one over the number of micro-batches, or their product. */
  gradientScale?: number
}

export interface Adamw {
  /**
   * Updates in place every parameter that has a gradient in the map; returns when all threads are done. Throws
   * `BAD_VALUE`, `SHAPE_MISMATCH` or `UNKNOWN_PARAMETER` before anything is written, and `WORKER_FAILED` when the step
   * is half done.
   */
  step(gradients: GradientMap, options: AdamwStep): void
  /** For checkpoints. The maps are live: copy what must not change. */
  readonly state: AdamwState
  /** Takes over a saved state; the values are copied. */
  loadState(state: Omit<AdamwState, 'lateSteps'> & Partial<Pick<AdamwState, 'lateSteps'>>): void
}

// transformers' Trainer.get_decay_parameter_names: these, and every nn.LayerNorm whatever its name
const NO_DECAY_NAMES = [/bias/, /layernorm/, /rmsnorm/, /(?:^|\.)norm(?:$|\.)/, /_norm(?:$|\.)/]

/**
 * As transformers' Trainer, and so TRL: no decay on biases and norm weights, decay on everything else, embeddings
 * too. A vector is taken for a norm or a bias, which covers LayerNorms known by their type alone (GPT-2's `ln_1`).
 */
export function decaysByDefault(name: string, shape: readonly number[]): boolean {
  return shape.length > 1 && !NO_DECAY_NAMES.some((pattern) => pattern.test(name.toLowerCase()))
}

/** An optimizer over `parameters`. Throws `BAD_VALUE` for options outside their range. */
export function createAdamw(
  parameters: ParameterMap,
  pool: ComputePool,
  { b1 = 0.9, b2 = 0.999, epsilon = 1e-8, weightDecay = 0, decays = decaysByDefault }: AdamwOptions = {},
): Adamw {
  requireValue('b1', b1, b1 >= 0 && b1 < 1, 'a number from 0 up to but not 1')
  requireValue('b2', b2, b2 >= 0 && b2 < 1, 'a number from 0 up to but not 1')
  requireValue('epsilon', epsilon, epsilon >= 0 && epsilon < Infinity, 'a number ≥ 0')
  requireValue('weight decay', weightDecay, weightDecay >= 0 && weightDecay < Infinity, 'a number ≥ 0')
  let step = 0
  let steps = new Map<string, number>() // per parameter, as torch counts them
  let firstMoments = new Map<string, Parameter>()
  let secondMoments = new Map<string, Parameter>()

  return {
    step(gradients, { learningRate, gradientScale = 1 }) {
      requireValue('learning rate', learningRate, learningRate >= 0 && learningRate < Infinity, 'a number ≥ 0')
      requireValue('gradient scale', gradientScale, Number.isFinite(gradientScale), 'finite: skip this batch')
      for (const [name, { length }] of gradients) requireSize('gradient', name, length, parameters)
      const items: TaskItem[] = []
      const pending: { name: string; m: Parameter; v: Parameter; t: number }[] = []
      for (const [name, gradient] of gradients) {
        const { data, shape } = parameters.get(name)!
        const m = firstMoments.get(name) ?? createParameter(name, shape)
        const v = secondMoments.get(name) ?? createParameter(name, shape)
        const t = (steps.get(name) ?? 0) + 1
        const decay = decays(name, shape) ? 1 - learningRate * weightDecay : 1
        const stepSize = learningRate / (1 - b1 ** t)
        // in the order of the kernel's scalars
        const scalars = [gradientScale, decay, 1 - b1, b2, 1 - b2, 1 / Math.sqrt(1 - b2 ** t), epsilon, -stepSize]
        items.push({ operands: [data, gradient, m.data, v.data], scalars })
        pending.push({ name, m, v, t })
      }
      pool.run('adamw', items)
      // Only now: the pool refuses what it cannot run before it writes, and then this step has not been.
      step++
      for (const { name, m, v, t } of pending) {
        firstMoments.set(name, m)
        secondMoments.set(name, v)
        steps.set(name, t)
      }
    },
    get state() {
      const lateSteps = new Map([...steps].filter(([, count]) => count !== step))
      return { step, lateSteps, firstMoments, secondMoments }
    },
    loadState(saved) {
      requireValue('saved step', saved.step, Number.isSafeInteger(saved.step) && saved.step >= 0, 'a whole number ≥ 0')
      const first = copyMoments('first moment', saved.firstMoments, parameters)
      const second = copyMoments('second moment', saved.secondMoments, parameters)
      for (const name of first.keys()) requireSize('first moment', name, first.get(name)!.data.length, second)
      step = saved.step
      steps = new Map([...first.keys()].map((name) => [name, saved.lateSteps?.get(name) ?? saved.step]))
      firstMoments = first
      secondMoments = second
    },
  }
}

function copyMoments(what: string, saved: ParameterMap, parameters: ParameterMap): Map<string, Parameter> {
  const copies = new Map<string, Parameter>()
  for (const [name, { data }] of saved) {
    requireSize(what, name, data.length, parameters)
    const copy = createParameter(name, parameters.get(name)!.shape)
    copy.data.set(data)
    copies.set(name, copy)
  }
  return copies
}

/** Throws unless `known` has `name` in this size. */
function requireSize(what: string, name: string, length: number, known: ParameterMap): void {
  const size = known.get(name)?.data.length
  if (size === length) return
  if (size === undefined) {
    const meant = nearest(name, [...known.keys()])
    throw new PlumblineError('UNKNOWN_PARAMETER', `AdamW: there is a ${what} for ${name}, but no such parameter.`, {
      hint: meant ? `Did you mean ${meant}?` : 'Make the optimizer and the gradients from the same model.',
    })
  }
  throw new PlumblineError('SHAPE_MISMATCH', `AdamW: the ${what} of ${name} has ${length} elements, not ${size}.`, {
    hint: 'Make the optimizer, the gradients and the checkpoint from the same model.',
  })
}

function requireValue(what: string, value: number, isGood: boolean, expected: string): void {
  if (isGood) return
  throw new PlumblineError('BAD_VALUE', `AdamW: the ${what} is ${value}.`, { hint: `It must be ${expected}.` })
}
