export {
  type Adamw,
  type AdamwOptions,
  type AdamwState,
  type AdamwStep,
  createAdamw,
  decaysByDefault,
} from './optim/adamw.ts'
export { type ComputePool, type ComputePoolOptions, createComputePool } from './optim/compute-pool.ts'
export {
  addGradients,
  clipByGlobalNorm,
  type GradientMap,
  globalNorm,
  scaleGradients,
  zeroGradients,
} from './optim/gradients.ts'
export {
  constantSchedule,
  cosineSchedule,
  type DecayOptions,
  linearSchedule,
  type Schedule,
  type WarmupOptions,
} from './optim/schedule.ts'
export { createParameter, elementCount, type Parameter, type ParameterMap } from './parameter.ts'
