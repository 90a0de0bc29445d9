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
import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'

/** Optimizer and schedule by TRL's flags; a trainer overrides the learning rate. */
export const optimizationFields = {
  lr_scheduler_type: z.enum(['constant', 'constant_with_warmup', 'linear', 'cosine']).default('linear').describe('how the learning rate goes on'),
  warmup_steps: z.number().int().min(0).default(0).describe('steps over which the learning rate rises from 0'),
  weight_decay: z.number().min(0).default(0).describe('decoupled decay of weights, not of norms and biases'),
  adam_beta1: z.number().min(0).lt(1).default(0.9).describe('AdamW: memory of the mean gradient'),
  adam_beta2: z.number().min(0).lt(1).default(0.999).describe('AdamW: memory of the squared gradient'),
  adam_epsilon: z.number().positive().default(1e-8).describe('AdamW: smallest divisor'),
  max_grad_norm: z.number().positive().default(1).describe('gradients longer than this are scaled down'),
}

type OptimizationConfig = { [Key in keyof typeof optimizationFields]: z.output<(typeof optimizationFields)[Key]> } & {
  readonly learning_rate: number
}

export interface Optimizer {
  readonly adamw: Adamw
  /** Clips and applies the gradients of a step. Throws NOT_FINITE and changes nothing when they are not finite. */
  step(step: number, gradients: GradientMap): { gradNorm: number; learningRate: number }
}

/** AdamW with a schedule over `totalSteps` and clipping by global norm. */
export function createOptimizer(parameters: ParameterMap, pool: ComputePool, config: OptimizationConfig, totalSteps: number): Optimizer {
  const adamw = createAdamw(parameters, pool, {
    b1: config.adam_beta1,
    b2: config.adam_beta2,
    epsilon: config.adam_epsilon,
    weightDecay: config.weight_decay,
  })
  const schedule = createSchedule(config, totalSteps)
  return {
    adamw,
    step(step, gradients) {
      const { norm, scale } = clipByGlobalNorm(gradients, pool, config.max_grad_norm)
      if (!Number.isFinite(norm))
        throw new PlumblineError('NOT_FINITE', `step ${step + 1}: the gradient is ${norm}.`, {
          hint: 'The weights are those before this step. Lower --learning-rate, or look at the rows of this batch.',
        })
      const learningRate = schedule(step)
      adamw.step(gradients, { learningRate, gradientScale: scale })
      return { gradNorm: norm, learningRate }
    },
  }
}

function createSchedule({ lr_scheduler_type: type, learning_rate, warmup_steps: warmupSteps }: OptimizationConfig, totalSteps: number): Schedule {
  if (type === 'constant') return constantSchedule(learning_rate)
  if (type === 'constant_with_warmup') return constantSchedule(learning_rate, { warmupSteps })
  return (type === 'linear' ? linearSchedule : cosineSchedule)(learning_rate, { warmupSteps, totalSteps })
}
