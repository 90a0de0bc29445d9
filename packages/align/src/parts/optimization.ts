import {
  type Adamw,
  type ComputePool,
  clipByGlobalNorm,
  constantSchedule,
  cosineSchedule,
  createAdamw,
  type GradientMap,
  linearSchedule,
  type ParameterMap,
  type Schedule,
} from '@plumbline/engine'
import type { OptimizationConfig } from '../config.ts'
import { checkFinite, type StepRows } from './training.ts'

export interface Optimizer {
  readonly adamw: Adamw
  /**
   * Clips and applies the gradients of the update-th update. Throws NOT_FINITE, naming `batch`, and changes nothing when
   * they are not finite.
   */
  step(update: number, gradients: GradientMap, batch: StepRows): { gradNorm: number; learningRate: number }
}

/** AdamW with a schedule over `totalSteps` and clipping by global norm. */
export function createOptimizer(
  parameters: ParameterMap,
  pool: ComputePool,
  config: OptimizationConfig,
  totalSteps: number,
): Optimizer {
  const adamw = createAdamw(parameters, pool, {
    b1: config.adam_beta1,
    b2: config.adam_beta2,
    epsilon: config.adam_epsilon,
    weightDecay: config.weight_decay,
  })
  const schedule = createSchedule(config, totalSteps)
  return {
    adamw,
    step(update, gradients, batch) {
      const { norm, scale } = clipByGlobalNorm(gradients, pool, config.max_grad_norm)
      checkFinite('gradient', norm, batch)
      const learningRate = schedule(update)
      adamw.step(gradients, { learningRate, gradientScale: scale })
      return { gradNorm: norm, learningRate }
    },
  }
}

function createSchedule(
  { lr_scheduler_type: type, learning_rate, warmup_steps: warmupSteps }: OptimizationConfig,
  totalSteps: number,
): Schedule {
  if (type === 'constant') return constantSchedule(learning_rate)
  if (type === 'constant_with_warmup') return constantSchedule(learning_rate, { warmupSteps })
  return (type === 'linear' ? linearSchedule : cosineSchedule)(learning_rate, { warmupSteps, totalSteps })
}
