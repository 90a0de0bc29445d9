export { gradients } from './autodiff.ts'
export { compileGradients, type GradientProgram, type GradientProgramOptions } from './gradient-program.ts'
export { Graph, type Tensor } from './graph.ts'
export {
  compileLoraMerge,
  createLoraParameters,
  type LoraLinearOptions,
  type LoraMerge,
  type LoraModule,
  type LoraScale,
  loraLinear,
  loraNames,
  type MergeOptions,
} from './lora.ts'
export { type CachedAttentionInputs, cachedAttention, rope } from './ops/attention.ts'
export { type DropoutAttributes, dropout } from './ops/dropout.ts'
export {
  add,
  div,
  exp,
  geluTanh,
  greater,
  log,
  maximum,
  minimum,
  mul,
  neg,
  scale,
  sigmoid,
  silu,
  softplus,
  sqrt,
  stopGradient,
  sub,
  tanh,
} from './ops/elementwise.ts'
export { argmax, embedding, pick, scatterAddRows } from './ops/indexing.ts'
export { concat, expand, pad, reshape, slice, sum, sumTo, transpose } from './ops/layout.ts'
export { matmul } from './ops/matmul.ts'
export { layerNorm, logSoftmax, logSumExp, rmsNorm, softmax } from './ops/normalization.ts'
export { padRows, spreadRows, unpadRows } from './ops/ragged.ts'
export { ops } from './ops/table.ts'
export { tokenLogprobs } from './ops/token-logprobs.ts'
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
export { type CompileOptions, compile, type Feeds, type Program, type Value } from './program.ts'
export { createRandom, type Random, type RandomState } from './random.ts'
export { type Dim, multiplyDims, type Shape } from './shape.ts'
