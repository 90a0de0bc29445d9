import { PlumblineError } from '@plumbline/contracts'

/** Learning rate at an optimizer step; the first step is 0. */
export type Schedule = (step: number) => number

export interface WarmupOptions {
  /** Steps in which the rate rises in a line from 0. */
  warmupSteps?: number
}

export interface DecayOptions extends WarmupOptions {
  /** Steps of the whole run, warm-up included. */
  totalSteps: number
}

/** Warm-up, then `learningRate`: transformers' get_constant_schedule_with_warmup. */
export function constantSchedule(learningRate: number, { warmupSteps = 0 }: WarmupOptions = {}): Schedule {
  check('constant', learningRate, { warmupSteps })
  return (step) => learningRate * warmup(step, warmupSteps)
}

/** Warm-up, then in a line down to 0 at `totalSteps`: transformers' get_linear_schedule_with_warmup. */
export function linearSchedule(learningRate: number, { warmupSteps = 0, totalSteps }: DecayOptions): Schedule {
  check('linear', learningRate, { warmupSteps, totalSteps })
  return (step) =>
    step < warmupSteps
      ? learningRate * warmup(step, warmupSteps)
      : learningRate * Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps))
}

/** Warm-up, then half a cosine down to 0 at `totalSteps`: transformers' get_cosine_schedule_with_warmup. */
export function cosineSchedule(learningRate: number, { warmupSteps = 0, totalSteps }: DecayOptions): Schedule {
  check('cosine', learningRate, { warmupSteps, totalSteps })
  return (step) =>
    step < warmupSteps
      ? learningRate * warmup(step, warmupSteps)
      : learningRate *
        Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / Math.max(1, totalSteps - warmupSteps))))
}

function warmup(step: number, warmupSteps: number): number {
  return step < warmupSteps ? step / warmupSteps : 1
}

function check(name: string, learningRate: number, counts: Record<string, number>): void {
  if (!(Number.isFinite(learningRate) && learningRate >= 0)) {
    throw new PlumblineError('BAD_VALUE', `${name} schedule: the learning rate is ${learningRate}.`, {
      hint: 'Give a number ≥ 0, such as 1e-5.',
    })
  }
  for (const [option, count] of Object.entries(counts)) {
    if (!(Number.isInteger(count) && count >= 0)) {
      throw new PlumblineError('BAD_VALUE', `${name} schedule: ${option} is ${count}.`, {
        hint: 'Give a whole number of steps ≥ 0.',
      })
    }
  }
}
